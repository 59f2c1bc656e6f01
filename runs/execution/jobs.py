"""Jobs that a thread does for somebody who may wait for their end."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def fulfil(future: "Future[T]", job: Callable[[], T]) -> None:
    """Do the job, and give whoever waits what it returns or raises."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(job())
    except BaseException as error:
        future.set_exception(error)
