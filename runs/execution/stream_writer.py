"""An attempt's side of its stream: numbers every frame, and writes them from a thread of the process.

The assistant never waits for Redis. What is written before it begins and after it has left is written by whoever has
it, for that thread would have to wait until the interpreter is its own. What cannot be written while Redis is away is
kept up to a bound and then given up, the oldest first; its numbers stay used, so readers see a gap and not a stream
that looks whole.
"""

import logging
import os
import threading
import time
from collections import deque
from queue import SimpleQueue
from typing import Any, ClassVar
from uuid import UUID

import redis
from django.core.serializers.json import DjangoJSONEncoder

from runs.dispatch import MESSENGER
from runs.streaming import log

logger = logging.getLogger(__name__)

MOST_WAITING = 20_000
MOST_WAITING_CHARACTERS = 32 * 1024 * 1024
BATCH = 200
#: What has piled up must be written within the time that one command may take, or it would never be written.
BATCH_CHARACTERS = 1_000_000
RETRY_SECONDS = 0.2
#: How long only that thread asks a Redis that has not answered.
BREAK_SECONDS = 2.0
#: How long the end of an attempt waits for its last frames.
FLUSH_SECONDS = 1.0
_ENCODER = DjangoJSONEncoder(ensure_ascii=False, separators=(",", ":"))


class _Post:
    """The thread that writes, one for all attempts of a process; it begins with the first frame."""

    def __init__(self) -> None:
        self._writers: SimpleQueue[StreamWriter] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def has_mail(self, writer: "StreamWriter") -> None:
        """The writer has something to write. Called with its lock held."""
        if not writer.is_queued:
            writer.is_queued = True
            self._writers.put(writer)
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"{MESSENGER}-streams", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            self._writers.get().write_queued()


_post = _Post()


def _begin_anew() -> None:
    """A forked child inherits no thread."""
    global _post  # noqa: PLW0603 - the child's own
    _post = _Post()


os.register_at_fork(after_in_child=_begin_anew)


class StreamWriter:
    """The one writer of an attempt's frames."""

    #: Of a Redis that has not answered, by the monotonic clock.
    _away_until: ClassVar[float] = 0.0

    def __init__(self, run_id: UUID, attempt: int) -> None:
        self._run_id, self._attempt = run_id, attempt
        self._next = 0
        self._waiting: deque[tuple[int, str, str]] = deque()
        self._characters = 0
        self._condition = threading.Condition()
        self._writing = self._closed = self._refused = False
        #: Whether anybody has listened to what was written last.
        self.is_heard = False
        #: Whether its turn has not come yet.
        self.is_queued = False

    def write(self, event: str, data: Any) -> None:
        """Number the frame and have it written soon."""
        text = _ENCODER.encode(data)
        with self._condition:
            if self._put(event, text):
                _post.has_mail(self)

    def write_first(self, event: str, data: Any) -> None:
        """The same, and it is written when this returns, if Redis answers. Not for assistants, nor in an event loop."""
        text = _ENCODER.encode(data)
        with self._condition:
            if not self._put(event, text):
                return
        self._write_here()

    def _put(self, event: str, text: str) -> bool:
        """Called with the lock held."""
        if self._closed:
            return False
        self._waiting.append((self._next, event, text))
        self._characters += len(text)
        self._next += 1
        self._give_up_oldest()
        return True

    def _give_up_oldest(self) -> None:
        while len(self._waiting) > MOST_WAITING or self._characters > MOST_WAITING_CHARACTERS:
            self._characters -= len(self._waiting.popleft()[2])

    def close(self, seconds: float) -> int | None:
        """Write what waits, and wait for that at most this long; return the number of the last frame."""
        deadline = time.monotonic() + seconds
        if seconds:
            self._write_here()
        with self._condition:
            while (self._waiting or self._writing) and not self._refused and time.monotonic() < deadline:
                self._condition.wait(deadline - time.monotonic())
            self._closed = True
            self._waiting.clear()
            return self._next - 1 if self._next else None

    def write_queued(self) -> None:
        """Write what waits, one batch; what is left waits for its next turn."""
        with self._condition:
            self.is_queued = False
        if not self._write_batch():
            time.sleep(RETRY_SECONDS)
        self._leave_the_rest()

    def _write_here(self) -> None:
        """Write a batch from this thread, unless Redis was asked in vain a moment ago."""
        if time.monotonic() >= StreamWriter._away_until:
            self._write_batch()
        self._leave_the_rest()

    def _leave_the_rest(self) -> None:
        with self._condition:
            if self._waiting and not self._writing:
                _post.has_mail(self)

    def _write_batch(self) -> bool:
        """False: Redis did not answer. One thread at a time, so that frames keep their order; it looks again after."""
        with self._condition:
            batch = [] if self._writing else self._take()
        return not batch or self._write(batch)

    def _write(self, batch: list[tuple[int, str, str]]) -> bool:
        try:
            listening = log.append(self._run_id, self._attempt, batch)
        except redis.RedisError as error:
            logger.warning("stream of run %s: Redis did not answer (%s); trying again", self._run_id, error)
            StreamWriter._away_until = time.monotonic() + BREAK_SECONDS
            self._put_back(batch)
            return False
        except Exception:  # this thread writes for others, too
            logger.exception("stream of run %s: %d frames cannot be written and are left out", self._run_id, len(batch))
            self._done(refused=False)
            return True
        self.is_heard = listening > 1
        self._done(refused=not listening)
        return True

    def _take(self) -> list[tuple[int, str, str]]:
        """Called with the lock held."""
        batch: list[tuple[int, str, str]] = []
        characters = 0
        while self._waiting and len(batch) < BATCH and characters < BATCH_CHARACTERS:
            batch.append(self._waiting.popleft())
            characters += len(batch[-1][2])
        self._characters -= characters
        self._writing = bool(batch)
        return batch

    def _put_back(self, batch: list[tuple[int, str, str]]) -> None:
        with self._condition:
            self._writing = False
            if not self._closed:
                self._waiting.extendleft(reversed(batch))
                self._characters += sum(len(text) for _, _, text in batch)
                self._give_up_oldest()

    def _done(self, *, refused: bool) -> None:
        """Refused: another attempt writes this stream, or it has ended; whatever follows is refused, too."""
        with self._condition:
            self._writing = False
            if refused:
                self._refused = self._closed = True
                self._waiting.clear()
            self._condition.notify_all()
