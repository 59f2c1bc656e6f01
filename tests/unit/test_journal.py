"""What waits for the database: it is stored in order, together, and nothing after what failed."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from django.db import DataError

from runs.execution.graphs import journal
from runs.execution.graphs.journal import MOST_WAITING, Journal, MustRead
from runs.execution.graphs.linger import Linger
from runs.services.graph_writes import GraphWrite
from runs.services.progress import Report
from tests.support.ledger import wait_until


class Kept:
    """A journal, and what it has stored: one list for each transaction."""

    def __init__(self) -> None:
        self.stored: list[list[Any]] = []
        self.refuses: Any = None
        self._thread = ThreadPoolExecutor(1)
        run: Any = SimpleNamespace(pk="run", thread_id="thread", attempt=1)
        self.journal = Journal(run, self, self._thread.submit)

    must_stop = False

    def persist_report(self, job: Callable[[Report], Any]) -> Any:
        """As an executor does."""
        return job(Report())

    def put(self, *, writes: Any, **_: Any) -> None:
        """In place of the service."""
        if self.refuses in writes:
            raise DataError("refused")
        self.stored.append(list(writes))

    def do(self, job: Callable[[], Any]) -> "Future[Any]":
        """In the journal's thread."""
        return self.journal.submit(job)

    def add(self, write: Any) -> None:
        """Add, and return when it is done."""
        self.do(lambda: self.journal.add(write)).result()

    def end(self) -> None:
        """There is no thread any more."""
        self._thread.shutdown()


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    """What nobody waits for is stored after an hour."""
    monkeypatch.setattr("runs.execution.graphs.linger.LINGER_SECONDS", 3600.0)
    monkeypatch.setattr(journal, "linger", Linger())
    kept = Kept()
    monkeypatch.setattr(journal, "put_graph_writes", kept.put)
    yield kept
    kept.end()


def make_writes(count: int) -> list[GraphWrite]:
    """So many."""
    return [GraphWrite(store=lambda: None) for _ in range(count)]


def test_what_waits_is_stored_together_and_in_order(kept: Kept) -> None:
    one, two, three = make_writes(3)
    kept.add(one)
    kept.add(two)
    kept.do(kept.journal.store).result()
    kept.add(three)
    kept.do(kept.journal.store).result()
    assert kept.stored == [[one, two], [three]]


def test_nothing_is_no_transaction(kept: Kept) -> None:
    kept.do(kept.journal.store).result()
    assert kept.stored == []


def test_what_is_taken_is_stored_by_whoever_took_it(kept: Kept) -> None:
    writes = make_writes(2)
    for write in writes:
        kept.add(write)
    assert kept.do(kept.journal.take).result() == writes
    kept.do(kept.journal.store).result()
    assert kept.stored == []


def test_what_nobody_waits_for_is_stored_after_a_moment(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runs.execution.graphs.linger.LINGER_SECONDS", 0.01)
    first, second = make_writes(2)
    kept.add(first)
    wait_until(lambda: kept.stored, "the first to be stored")
    kept.add(second)
    wait_until(lambda: len(kept.stored) == 2, "the second to be stored")
    assert kept.stored == [[first], [second]]


def test_nothing_is_stored_after_what_failed(kept: Kept) -> None:
    """What was added before is; whoever waits next is told of it."""
    before, after = make_writes(2)
    kept.add(before)
    kept.journal.post(lambda: 1 / 0)
    kept.journal.post(lambda: kept.journal.add(after))
    with pytest.raises(ZeroDivisionError):
        kept.do(kept.journal.take).result()
    kept.journal.store()
    assert kept.stored == [[before]]


def test_those_before_the_one_that_is_refused_are_stored(kept: Kept) -> None:
    writes = make_writes(3)
    kept.refuses = writes[1]
    for write in writes:
        kept.add(write)
    with pytest.raises(DataError):
        kept.do(kept.journal.store).result()
    assert kept.stored == [[writes[0]]]
    with pytest.raises(DataError):
        kept.do(kept.journal.take).result()


def test_it_says_when_so_much_is_waiting_that_nothing_should_be_posted(kept: Kept) -> None:
    gate = threading.Event()
    kept.journal.post(gate.wait)
    wait_until(lambda: not kept.journal.is_stuck, "it to begin")
    for _ in range(MOST_WAITING):
        kept.journal.post(lambda: None)
    assert kept.journal.is_stuck
    gate.set()
    wait_until(lambda: not kept.journal.is_stuck, "it to come after")


def test_it_says_that_something_has_failed(kept: Kept) -> None:
    """So that the next write is waited for, and the graph hears of it."""
    kept.journal.post(lambda: 1 / 0)
    wait_until(lambda: kept.journal.is_stuck, "it to fail")
    with pytest.raises(ZeroDivisionError):
        kept.do(kept.journal.take).result()


def test_nothing_is_added_after_the_end(kept: Kept) -> None:
    """A thread that was left behind would move the head after the outcome has been decided."""
    before, after = make_writes(2)
    kept.add(before)
    assert kept.do(kept.journal.close).result() == [before]
    with pytest.raises(RuntimeError, match="ended"):
        kept.add(after)
    kept.journal.store()
    assert kept.stored == []


class Beside:
    """Whoever asks for jobs and may do them: it is seen how often an interruption would have waited."""

    def __init__(self) -> None:
        self.depth = self.times = 0

    @contextmanager
    def section(self) -> Iterator[None]:
        """Nothing interrupts what is done inside."""
        self.depth += 1
        self.times += 1
        yield
        self.depth -= 1

    def where(self) -> tuple[int, bool]:
        """In which thread this is called, and whether it can be interrupted."""
        return threading.get_ident(), not self.depth


@pytest.fixture
def beside(kept: Kept) -> Beside:
    """The journal of `kept` has jobs done by whoever asks."""
    beside = Beside()
    kept.journal._section = beside.section
    return beside


@pytest.mark.parametrize("waits", [True, False])
def test_a_job_is_done_by_who_asks_for_it(kept: Kept, beside: Beside, waits: bool) -> None:
    assert kept.journal.try_here(beside.where, waits=waits) == (threading.get_ident(), False)


def test_where_others_would_wait_no_job_is_done_by_who_asks_for_it(kept: Kept) -> None:
    job = Mock()
    assert kept.journal.try_here(job, waits=True) is None
    assert not job.called


def test_a_job_waits_for_those_before_it_whoever_does_them(kept: Kept, beside: Beside) -> None:
    gate, done = threading.Event(), list[str]()
    kept.journal.post(gate.wait)
    kept.journal.post(lambda: done.append("first"))
    job = Mock()
    assert kept.journal.try_here(job, waits=True) is None
    assert not job.called
    assert kept.journal.close_here() is None
    gate.set()
    kept.do(lambda: done.append("second")).result()
    wait_until(lambda: not kept.journal._left, "the second to be counted")
    kept.journal.try_here(lambda: done.append("third"), waits=True)
    assert done == ["first", "second", "third"]


def test_a_job_of_another_thread_waits_for_one_that_is_done_here(kept: Kept, beside: Beside) -> None:
    done = list[str]()

    def here() -> None:
        later.append(kept.do(lambda: done.append("there")))
        wait_until(lambda: later[0].running() or later[0].done(), "it to be begun")
        done.append("here")

    later: list[Future[Any]] = []
    kept.journal.try_here(here, waits=True)
    later[0].result()
    assert done == ["here", "there"]


def test_a_job_that_must_read_is_not_done_here(kept: Kept, beside: Beside) -> None:
    def job() -> str:
        if not beside.where()[1]:
            raise MustRead
        return "read"

    assert kept.journal.try_here(job, waits=True) is None
    assert kept.do(job).result() == "read"


def test_one_that_fails_here_says_so_to_who_waits(kept: Kept, beside: Beside) -> None:
    with pytest.raises(ZeroDivisionError):
        kept.journal.try_here(lambda: 1 / 0, waits=True)
    assert kept.journal.try_here(lambda: 1 / 0, waits=False) is None
    assert kept.journal.try_here(beside.where, waits=True) is None
    with pytest.raises(ZeroDivisionError):
        kept.do(lambda: None).result()
    wait_until(lambda: not kept.journal._left, "that to be counted")
    with pytest.raises(ZeroDivisionError):
        kept.journal.close_here()


def test_the_end_is_here_if_nothing_is_left_to_be_done(kept: Kept) -> None:
    """What comes after it, from a thread that was left behind or a moment later, is not added."""
    before, after = make_writes(2)
    kept.add(before)
    wait_until(lambda: not kept.journal._left, "that to be counted")
    assert kept.journal.close_here() == [before]
    with pytest.raises(RuntimeError, match="ended"):
        kept.add(after)
    kept.journal.store()
    assert kept.stored == []
