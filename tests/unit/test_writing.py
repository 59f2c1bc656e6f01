"""Who does what a graph writes: the event loop itself where nothing is gained by another thread."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig

from runs.execution.graphs.journal import Journal
from runs.execution.graphs.writing import Writing

ROOT: RunnableConfig = {"configurable": {"checkpoint_ns": ""}}
INNER: RunnableConfig = {"configurable": {"checkpoint_ns": "node:1"}}


class Written:
    """Writes of a graph, the threads that did them, and what was stored."""

    def __init__(self, *, can_be_here: bool = True) -> None:
        self._thread = ThreadPoolExecutor(1)
        run: Any = SimpleNamespace(pk="run", thread_id="thread", attempt=1)
        host: Any = SimpleNamespace(must_stop=False)
        self.journal = Journal(run, host, self._submit, nullcontext)
        self.journal.store = self._store  # type: ignore[method-assign]
        self.writing = Writing(self.journal, can_be_here=can_be_here)
        self.done: list[str] = []

    def _submit(self, job: Callable[[], Any]) -> "Future[Any]":
        return self._thread.submit(job)

    def _store(self) -> None:
        self.done.append(f"store {self._where()}")

    def _where(self) -> str:
        return "here" if threading.current_thread() is threading.main_thread() else "there"

    def write(self, config: RunnableConfig = ROOT, *, is_durable: bool = False, reads: bool = False) -> list[str]:
        """What has become of one write."""

        def write() -> bool:
            if reads:
                self.writing.must_not_read()
            self.done.append(f"write {self._where()}")
            return is_durable

        self.done.clear()
        asyncio.run(self.writing.awrite(config, write, waits=True))
        return self.done

    def end(self) -> None:
        """There is no thread any more."""
        self._thread.shutdown()


@pytest.fixture
def written() -> Iterator[Written]:
    """Of a graph that waits for every step."""
    written = Written()
    yield written
    written.end()


def test_the_event_loop_writes_itself(written: Written) -> None:
    assert written.write() == ["write here"]


def test_what_must_be_stored_is_stored_elsewhere(written: Written) -> None:
    assert written.write(is_durable=True) == ["write here", "store there"]


def test_what_a_subgraph_writes_is_written_elsewhere(written: Written) -> None:
    assert written.write(INNER, is_durable=True) == ["write there", "store there"]


def test_what_has_to_read_is_written_elsewhere_and_so_is_all_that_follows(written: Written) -> None:
    assert written.write(reads=True) == ["write there"]
    assert written.write() == ["write there"]


def test_a_graph_that_waits_for_nothing_writes_nothing_itself() -> None:
    written = Written(can_be_here=False)
    assert written.write() == ["write there"]
    written.end()
