"""The pools that can execute runs, by name."""

from typing import Any

from celery import concurrency
from celery.concurrency.base import BasePool

LOOP_POOL = "runs.execution.loops.pool:LoopPool"


def is_known(pool: Any) -> bool:
    """Whether a pool, or what names one to Celery, is Celery's prefork or that of loop processes."""
    try:
        found = pool if isinstance(pool, type) else concurrency.get_implementation(pool)
    except (ImportError, AttributeError, ValueError, KeyError):
        return False
    if not (isinstance(found, type) and issubclass(found, BasePool)):
        return False
    bases = {f"{base.__module__}:{base.__name__}" for base in found.__mro__}
    return bool(bases & {LOOP_POOL, "celery.concurrency.prefork:TaskPool"})
