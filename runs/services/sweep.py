"""How a sweep goes through what it has found: one item's failure is its own."""

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from django.db import connection

from runs.locks import bounded_lock_waits

logger = logging.getLogger(__name__)

T = TypeVar("T")


def for_each(items: Iterable[T], action: Callable[[T], object]) -> int:
    """Do the action for every item, in a transaction of its own, and return how often it did something.

    A failure is logged and left to the next sweep; only a lost connection is raised.
    """
    done = 0
    for item in items:
        try:
            with bounded_lock_waits():
                done += bool(action(item))
        except Exception:
            if not connection.is_usable():
                raise
            logger.exception("%s was left to the next sweep", item)
    return done
