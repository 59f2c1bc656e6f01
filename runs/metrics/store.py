"""The files in which every process of a machine counts, so that one of them can tell all of it.

Each process adds to files of its own, mapped into memory: what it has counted survives its SIGKILL, and adding costs
microseconds. The format and the merging are prometheus_client's; its own counters decide at import whether they are
shared, and inherit locks at a fork.
"""

import atexit
import fcntl
import json
import logging
import math
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from runs.state_dir import is_alive, state_directory

logger = logging.getLogger(__name__)

DIRECTORY = "metrics"
#: The only kind whose values end with their process; the name tells prometheus_client to add up those of the living.
LIVE = "gauge_livesum"
#: Of whoever counts: it may hold the lock of a thread, and the process that it would wait for may have been stopped.
LONGEST_WAIT_SECONDS, LOOK_SECONDS = 0.5, 0.01


class _Files:
    """The files of this process, opened when something is first counted. A forked child opens its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, MmapedDict] = {}
        self._is_broken = False

    def add(self, kind: str, amounts: Sequence[tuple[str, float]]) -> None:
        """Add to these keys. Never raises: nothing that is counted may fail for it."""
        try:
            with self._lock:
                if self._is_broken:
                    return
                file = self._open.get(kind) or self._begin(kind)
                for key, amount in amounts:
                    file.write_value(key, file.read_value(key)[0] + amount, 0.0)
        except Exception:
            self._is_broken = True
            logger.warning("this process counts nothing any more: its metrics cannot be written", exc_info=True)

    def close(self) -> None:
        """Close this process's view of them. Without the lock: after a fork nobody else is there to hold it."""
        while self._open:
            self._open.popitem()[1].close()

    def _begin(self, kind: str) -> MmapedDict:
        directory = state_directory(DIRECTORY)
        with _locked(directory, at_most=LONGEST_WAIT_SECONDS):
            file = self._open[kind] = MmapedDict(str(directory / f"{kind}_{os.getpid()}.db"))
        return file


_files = _Files()


def begin_anew() -> None:
    """Count into files that are opened anew: a forked child must not write into its parent's, nor wait for its lock."""
    global _files
    former, _files = _files, _Files()
    former.close()


def close() -> None:
    """Close the files of this process; whoever counts something afterwards opens them again."""
    _files.close()


os.register_at_fork(after_in_child=begin_anew)
atexit.register(close)


def add(kind: str, amounts: Sequence[tuple[str, float]]) -> None:
    """Add to the keys of this process, in memory. Never raises."""
    _files.add(kind, amounts)


def read() -> list[Metric]:
    """Everything that was counted on this machine, by the living and the dead. Raises OSError if it cannot be read."""
    directory = state_directory(DIRECTORY)
    with _locked(directory):
        _tidy(directory)
        files = [str(file) for file in directory.glob("*.db") if _is_whole(file)]
        return list(MultiProcessCollector.merge(files))


@contextmanager
def _locked(directory: Path, at_most: float | None = None) -> Iterator[None]:
    """One at a time opens files, reads all of them, or adds up those of the dead.

    `at_most`: who has waited for so many seconds goes on without. It may miscount if a process with its number has
    just died, and may not count at all if it is read in the moment in which its file is empty.
    """
    with (directory / "lock").open("w") as file:
        _lock(file.fileno(), at_most)
        try:
            yield
        finally:
            # Closing it is not enough: a child that was forked meanwhile has it open, too, and would keep the lock.
            fcntl.flock(file, fcntl.LOCK_UN)


def _lock(file: int, at_most: float | None) -> None:
    deadline = time.monotonic() + (math.inf if at_most is None else at_most)
    while not _is_free(file) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)


def _is_free(file: int) -> bool:
    """Whether it was free: it is locked then."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_whole(file: Path) -> bool:
    """A machine that lost its power may have kept half of a file: it is set aside."""
    try:
        for _ in MmapedDict.read_all_values_from_file(str(file)):
            pass
    except Exception:
        logger.warning("%s is not readable; its counts are lost", file, exc_info=True)
        file.replace(file.with_suffix(".broken"))
        return False
    return True


def _tidy(directory: Path) -> None:
    """Add the counts of dead processes up in one file for each kind, and forget their gauges."""
    _finish_tidying(directory)
    dead: dict[str, list[Path]] = defaultdict(list)
    for file in directory.glob("*_*.db"):
        kind, _, pid = file.stem.rpartition("_")
        if pid.isdigit() and not is_alive(int(pid)):
            dead[kind].append(file)
    for kind, files in dead.items():
        if kind == LIVE:
            for file in files:
                file.unlink(missing_ok=True)
        else:
            _add_up(directory, kind, files)


def _add_up(directory: Path, kind: str, dead: list[Path]) -> None:
    """A crash in the middle counts nothing twice: the journal says what is in the new file as soon as it counts."""
    past, draft, journal = directory / f"{kind}_past.db", directory / "draft", directory / "journal"
    totals: dict[str, float] = defaultdict(float)
    for file in filter(_is_whole, [*([past] if past.exists() else []), *dead]):
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(file)):
            totals[key] += value
    draft.unlink(missing_ok=True)
    written = MmapedDict(str(draft))
    for key, value in totals.items():
        written.write_value(key, value, 0.0)
    written.close()
    journal.write_text(json.dumps([file.name for file in dead]))
    draft.replace(past)
    _finish_tidying(directory)


def _finish_tidying(directory: Path) -> None:
    draft, journal = directory / "draft", directory / "journal"
    if journal.exists() and not draft.exists():
        for name in json.loads(journal.read_text()):
            (directory / name).unlink(missing_ok=True)
    journal.unlink(missing_ok=True)
