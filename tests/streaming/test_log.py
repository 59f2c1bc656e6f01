"""The log of a run on a real Redis: what it takes, what it refuses, how long it stays."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.conf import settings
from django.test import override_settings

from runs.models import Run
from runs.streaming import log
from runs.streaming.connection import writer
from runs.streaming.frames import END
from tests.support.handwritten import lose, put, put_end, put_range, retained, trim

LAST = 2**63


@pytest.fixture
def run(db: None) -> Run:
    """A run of which the log knows nothing but the id."""
    return Run(id=uuid4())


def append(run: Run, attempt: int, *numbers: int) -> int:
    """Try to append frames with these numbers."""
    return log.append(run.pk, attempt, [(number, "custom", "null") for number in numbers])


def entries(run: Run) -> Any:
    """What Redis has."""
    return writer().xrange(log.key(run.pk))


def test_frames_are_kept_as_they_were_written(run: Run) -> None:
    assert log.append(run.pk, 1, [(0, "metadata", '{"a": 1}'), (1, "custom", '"h\u00e9\\n\u2028"')])
    assert entries(run) == [
        ("1-0", {"e": "metadata", "d": '{"a": 1}'}),
        ("1-1", {"e": "custom", "d": '"h\u00e9\\n\u2028"'}),
    ]


def test_a_batch_that_was_written_already_is_not_refused(run: Run) -> None:
    """The answer to the first try was lost; the second must not be taken for an attempt that came too late."""
    assert append(run, 1, 0, 1, 2)
    assert append(run, 1, 0, 1, 2)
    assert append(run, 1, 1, 2, 3)
    assert retained(run) == ["1-0", "1-1", "1-2", "1-3"]


def test_an_attempt_is_refused_once_a_later_one_has_written(run: Run) -> None:
    put(run, "1-0", "1-1", "2-0")
    assert not append(run, 1, 2)
    assert not append(run, 1, LAST)
    assert retained(run) == ["1-0", "1-1", "2-0"]


def test_nothing_comes_after_the_end(run: Run) -> None:
    put(run, "1-0")
    put_end(run)
    assert not append(run, 1, 1)
    assert not append(run, 1, 0)
    assert not append(run, 1, END - 1)
    assert retained(run) == ["1-0", "end"]


def test_a_batch_around_the_end_is_refused_as_a_whole(run: Run) -> None:
    """The first try was written, then somebody ended the stream: the second try must learn it."""
    assert append(run, 1, 0, 1)
    put_end(run)
    assert not append(run, 1, 1, 2)
    assert retained(run) == ["1-0", "1-1", "end"]


def test_the_first_end_counts(run: Run) -> None:
    put(run, "1-0")
    put_end(run, last=0)
    put_end(run, last=None, error={"error": "Late", "message": ""})
    (_, first), (_, end) = entries(run)
    assert first["e"] == "custom"
    assert json.loads(end["d"]) == {"error": None, "last": 0}


def test_the_end_of_a_run_that_was_never_claimed(run: Run) -> None:
    put_end(run, 0)
    assert entries(run) == [(f"0-{END}", {"e": "end", "d": '{"error": null, "last": null}'})]


def test_an_end_that_redis_cannot_take_is_an_error(run: Run) -> None:
    writer().set(log.key(run.pk), "no stream")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        put_end(run)


def test_an_earlier_attempts_end_is_not_written_into_a_later_one(run: Run) -> None:
    put(run, "1-0", "2-0")
    put_end(run, 1)
    assert retained(run) == ["1-0", "2-0"]


def test_after_everything_was_lost_the_same_attempt_goes_on_with_its_numbers(run: Run) -> None:
    put(run, "1-0", "1-1")
    writer().delete(log.key(run.pk))
    put(run, "1-2")
    assert retained(run) == ["1-2"]


def test_a_retry_goes_on_although_the_frames_before_it_are_gone(run: Run) -> None:
    put(run, "1-0", "1-1", "1-2")
    lose(run, "1-1", "1-2")
    assert append(run, 1, 3)
    assert retained(run) == ["1-0", "1-3"]


def test_what_redis_cannot_take_now_is_an_error_and_not_taken_for_written(run: Run) -> None:
    """Out of memory: the writer must keep the frames and try again."""
    put(run, "1-0")
    with memory_limit("1"), pytest.raises(redis.ResponseError, match="maxmemory"):
        append(run, 1, 1)
    assert append(run, 1, 1)
    assert retained(run) == ["1-0", "1-1"]


@contextmanager
def memory_limit(size: str) -> Iterator[None]:
    """Redis has no memory for more than this."""
    writer().config_set("maxmemory", size)
    try:
        yield
    finally:
        writer().config_set("maxmemory", "0")


def test_what_is_not_a_stream_is_an_error(run: Run) -> None:
    writer().set(log.key(run.pk), "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        append(run, 1, 0)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        put_end(run)


@pytest.fixture
def limits() -> Iterator[Any]:
    """Change the bounds of the log."""
    changed: list[override_settings] = []

    def change(**values: float) -> None:
        override = override_settings(RUNS={**settings.RUNS, **values})
        override.enable()
        changed.append(override)

    yield change
    for override in reversed(changed):
        override.disable()


def test_the_length_is_bounded_about(run: Run, limits: Any) -> None:
    limits(STREAM_MAX_FRAMES=200)
    put_range(run, 1, 0, 1000)
    kept = retained(run)
    assert 200 <= len(kept) <= 300
    assert kept[-1] == "1-999"


def test_the_end_drives_no_frame_out(run: Run, limits: Any) -> None:
    limits(STREAM_MAX_FRAMES=100)
    put_range(run, 1, 0, 100)
    trim(run, 100)
    put_end(run, last=99)
    assert len(retained(run)) == 101


def ttl(run: Run) -> float:
    """Seconds until Redis forgets the stream; -1: never."""
    left = int(str(writer().pttl(log.key(run.pk))))
    return left / 1000 if left > 0 else left


def test_each_write_keeps_the_stream_for_the_whole_time_again(run: Run) -> None:
    day = 24 * 3600
    for write in (partial(put, run, "1-0"), partial(put, run, "1-1"), partial(put_end, run), partial(put_end, run)):
        writer().pexpire(log.key(run.pk), 1000)
        write()
        assert day - 60 < ttl(run) <= day


def test_a_stream_outlives_the_longest_silence_of_its_run(run: Run, limits: Any) -> None:
    limits(STREAM_TTL_SECONDS=1, MAX_RUN_SECONDS=1000)
    put(run, "1-0")
    assert 940 < ttl(run) <= 1000


def test_a_time_of_zero_keeps_streams_for_ever(run: Run, limits: Any) -> None:
    limits(STREAM_TTL_SECONDS=0)
    put(run, "1-0")
    assert ttl(run) == -1
    put_end(run)
    assert (ttl(run), retained(run)) == (-1, ["1-0", "end"])


def test_redis_forgets_a_stream_whose_time_is_over(run: Run) -> None:
    put(run, "1-0")
    writer().pexpire(log.key(run.pk), 1)
    while writer().exists(log.key(run.pk)):
        pass
    assert retained(run) == []
