"""Errors speak for themselves: a code that never changes and a sentence."""

from collections.abc import Iterator

import pytest

from runs.errors import Interruption, NotCancellable, RunError, ThreadBusy


def all_below(error: type[RunError]) -> Iterator[type[RunError]]:
    """The error and all that derive from it."""
    yield error
    for derived in error.__subclasses__():
        yield from all_below(derived)


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [error.code for error in all_below(RunError)]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("error", list(all_below(RunError)))
def test_the_default_message_is_a_sentence(error: type[RunError]) -> None:
    message = str(error())
    assert message[0].isupper()
    assert message.endswith(".")


def test_a_message_and_details_may_be_given() -> None:
    error = NotCancellable("Too late.", status="success")
    assert (str(error), error.message, error.extra) == ("Too late.", "Too late.", {"status": "success"})
    assert str(ThreadBusy()).startswith("Thread is already running a task.")


def test_an_interruption_is_not_caught_by_code_that_catches_exceptions() -> None:
    assert not issubclass(Interruption, Exception)
