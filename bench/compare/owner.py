"""The user whose threads are long already in the databases of bench.growth, made ready for a measurement.

`python -m bench.compare.owner`, for the database that DATABASE_URL names: prints an API key, the longest thread, and
how many runs there are.
"""

import json
import sys

import django

LENGTH = 10_000


def main() -> None:
    """Make what is missing, and tell."""
    django.setup()
    from django.db import transaction

    from bench.operations import OWNER, subject_of
    from runs.models import Run
    from runs.services.api_keys import create_api_key
    from tests.support.factories import make_actor

    with transaction.atomic():
        transaction.get_connection().atomic_blocks[-1]._from_testcase = True  # services insist on being outermost
        thread = subject_of(LENGTH).thread
    _, key = create_api_key(owner=make_actor(OWNER).owner, name="bench")
    json.dump({"key": key, "thread": str(thread.pk), "runs": Run.objects.count()}, sys.stdout)


if __name__ == "__main__":
    main()
