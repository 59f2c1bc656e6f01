"""An attempt's side of its stream, with a Redis that is away for as long as the test wants."""

import threading
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

import pytest
import redis

from runs.execution import stream_writer
from runs.execution.stream_writer import StreamWriter
from runs.streaming import log
from tests.support.ledger import wait_until

Batch = list[tuple[int, str, str]]


class Redis:
    """Takes what is appended once it is back."""

    def __init__(self) -> None:
        self.is_back, self.was_asked = threading.Event(), threading.Event()
        self.batches: list[Batch] = []

    def come_back(self) -> None:
        """After two more refusals: the second was of everything that had been written before."""
        for _ in range(2):
            self.was_asked.clear()
            assert self.was_asked.wait(30.0)
        self.is_back.set()

    def append(self, _run_id: UUID, _attempt: int, batch: Batch) -> bool:
        self.was_asked.set()
        if not self.is_back.is_set():
            raise redis.ConnectionError("away")
        self.batches.append(batch)
        return True


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Redis:
    there = Redis()
    monkeypatch.setattr(log, "append", there.append)
    monkeypatch.setattr(stream_writer, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(StreamWriter, "_away_until", 0.0)
    return there


def test_what_has_piled_up_is_written_in_order_and_in_portions(away: Redis) -> None:
    """One command with all of it would take longer than a command may take, every time."""
    writer = StreamWriter(uuid4(), 1)
    for _ in range(30):
        writer.write("values", "x" * 300_000)
    away.come_back()
    assert writer.close(30.0) == 29
    assert [number for batch in away.batches for number, _, _ in batch] == list(range(30))
    assert max(sum(len(text) for _, _, text in batch) for batch in away.batches) < 1_000_000 + 300_003


def test_small_frames_go_together(away: Redis) -> None:
    writer = StreamWriter(uuid4(), 1)
    for number in range(stream_writer.BATCH + 1):
        writer.write("custom", number)
    away.come_back()
    assert writer.close(30.0) == stream_writer.BATCH
    assert [len(batch) for batch in away.batches] == [stream_writer.BATCH, 1]


def test_what_waits_is_bounded_in_size_and_the_newest_are_kept(away: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_writer, "MOST_WAITING_CHARACTERS", 1020)
    writer = StreamWriter(uuid4(), 1)
    for _ in range(30):
        writer.write("values", "x" * 100)  # 102 characters as JSON
    away.come_back()
    assert writer.close(30.0) == 29
    assert [number for batch in away.batches for number, _, _ in batch] == list(range(20, 30))


class Slow:
    """Answers when it is told to, and says who has asked."""

    def __init__(self) -> None:
        self.was_asked, self.answers = threading.Event(), threading.Event()
        self.threads: list[int] = []
        self.numbers: list[int] = []

    def append(self, _run_id: UUID, _attempt: int, batch: Batch) -> int:
        self.threads.append(threading.get_ident())
        self.was_asked.set()
        assert self.answers.wait(30.0)
        self.numbers += [number for number, _, _ in batch]
        return 1


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    there = Slow()
    monkeypatch.setattr(log, "append", there.append)
    monkeypatch.setattr(StreamWriter, "_away_until", 0.0)
    return there


def test_the_first_frame_and_the_last_are_written_by_who_has_them(slow: Slow) -> None:
    slow.answers.set()
    writer = StreamWriter(uuid4(), 1)
    writer.write_first("metadata", {})
    assert slow.numbers == [0]
    with writer._condition:  # the other thread cannot come before
        writer._put("values", "1")
    assert writer.close(30.0) == 1
    assert slow.numbers == [0, 1]
    assert set(slow.threads) == {threading.get_ident()}


def test_who_has_the_last_frame_waits_for_those_before_it(slow: Slow) -> None:
    writer = StreamWriter(uuid4(), 1)
    writer.write("custom", 0)
    assert slow.was_asked.wait(30.0)
    writer.write("custom", 1)
    closing = threading.Thread(target=writer.close, args=(30.0,))
    closing.start()
    wait_until(lambda: not closing.is_alive() or slow.threads[1:] or closes(writer), "the other to wait")
    assert len(slow.threads) == 1
    slow.answers.set()
    closing.join(30.0)
    assert slow.numbers == [0, 1]


def closes(writer: StreamWriter) -> bool:
    """Whether somebody waits in `close`."""
    return bool(writer._condition._waiters)  # type: ignore[attr-defined]


def test_a_redis_that_was_away_a_moment_ago_is_left_to_the_thread(away: Redis) -> None:
    """Each attempt would wait for it as long as a command may take."""
    first, second = StreamWriter(uuid4(), 1), StreamWriter(uuid4(), 1)
    first.write_first("metadata", {})
    asked: list[int] = []
    append = log.append

    def ask(*given: Any) -> int:
        asked.append(threading.get_ident())
        return append(*given)

    with patch.object(log, "append", ask):
        second.write_first("metadata", {})
        away.come_back()
        assert (first.close(30.0), second.close(30.0)) == (0, 0)
    assert threading.get_ident() not in asked
    assert sorted(len(batch) for batch in away.batches) == [1, 1]


def test_the_thread_does_not_turn_round_while_somebody_else_writes(slow: Slow) -> None:
    """It would take the interpreter from who writes, for as long as Redis takes."""
    writer = StreamWriter(uuid4(), 1)
    first = threading.Thread(target=writer.write_first, args=("metadata", {}))
    first.start()
    assert slow.was_asked.wait(30.0)
    with patch.object(writer, "write_queued", wraps=writer.write_queued) as turns:
        writer.write("custom", 1)
        for _ in range(20):
            another_turn_of_the_thread()
        slow.answers.set()
        first.join(30.0)
        assert writer.close(30.0) == 1
    assert turns.call_count <= 2
    assert slow.numbers == [0, 1]


def another_turn_of_the_thread() -> None:
    """Return when it has done what was there, and this."""
    done = threading.Event()
    stream_writer._post._writers.put(SimpleNamespace(write_queued=done.set))  # type: ignore[arg-type]
    assert done.wait(30.0)
