"""What follows a commit and must never fail it: hints, counts."""

from collections.abc import Callable

from django.db import transaction


def after_commit(follow: Callable[[], object]) -> None:
    """Call this when the transaction has committed. What it raises is logged by Django, and the committed stands.

    Inside a function of its own: Django logs a hook that fails by its name, which a `partial` does not have, and what
    is raised over that would reach whoever has just committed.
    """

    def hook() -> None:
        follow()

    transaction.on_commit(hook, robust=True)
