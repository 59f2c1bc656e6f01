"""An attempt's side of its stream, with a Redis that is away for as long as the test wants."""

import threading
from uuid import UUID, uuid4

import pytest
import redis

from runs.execution import stream_writer
from runs.execution.stream_writer import StreamWriter
from runs.streaming import log

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
