"""Bring the database to the present version and make sure that somebody can log in.

Run as a program of its own by `make up`, so that the supervisor does not load Django. Writes what it did as JSON.
"""

import json
import os
import sys

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import OperationalError, connection

OPERATOR = "operator"
KEY_NAME = "made by make up"


def main() -> int:
    """Migrate, register the assistants, create what is missing; a sentence on stderr and 1 if that cannot be done."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    django.setup()
    from runs.errors import InvalidRequest
    from runs.services.registration import register_assistants

    try:
        connection.ensure_connection()
    except OperationalError as error:
        return _refuse(f"the PostgreSQL of DATABASE_URL does not answer: {str(error).strip()}")
    call_command("migrate", interactive=False, verbosity=0)
    try:
        problems = register_assistants().problems
        chosen = os.environ["RUNYARD_ADMIN_PASSWORD_CHOSEN"] == "yes"  # noqa: S105 - a word, not a password
        accounts = create_accounts(
            os.environ["RUNYARD_ADMIN_PASSWORD"], os.environ["RUNYARD_API_KEY"] or None, chosen=chosen
        )
        json.dump({**accounts, "problems": problems}, sys.stdout)
    except ImproperlyConfigured as error:
        return _refuse(str(error))
    except InvalidRequest as error:
        return _refuse(f"RUNYARD_API_KEY: {error}")
    return 0


def create_accounts(password: str, key: str | None, *, chosen: bool) -> dict[str, str]:
    """Create the operator and the API key if they are missing.

    An operator who exists keeps the password, unless another one was asked for (`chosen`): then it is that one, here
    as in Flower, which knows no other.
    """
    from django.contrib.auth import get_user_model

    from runs.services.api_keys import create_api_key

    users = get_user_model().objects
    operator = users.filter(username=OPERATOR).first()
    created = operator is None
    if operator is None:
        operator = users.create_superuser(OPERATOR, password=password)
    elif chosen and not operator.check_password(password):
        operator.set_password(password)
        operator.save(update_fields=["password"])
    _, readable = create_api_key(owner=operator, name=KEY_NAME, key=key)
    return {"api_key": readable, "operator": "created" if created else "kept"}


def _refuse(reason: str) -> int:
    print(reason, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
