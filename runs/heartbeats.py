"""Signs of life of the processes that listen on no port: a file for each, whose time says when it last went round.

Files and not rows, so that a probe needs no engine: a worker waits out an outage of the database or of Redis with its
runs, and whoever restarted it for that would lose them their progress.
"""

import contextlib
import json
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runs.conf import runs_settings
from runs.state_dir import is_alive, state_directory

logger = logging.getLogger(__name__)

#: A round may wait for the database: to connect, and for an answer that never comes, before it goes on.
ROUND_SECONDS = 30.0


@dataclass(frozen=True)
class Beat:
    """What a process has said of itself, and how long ago."""

    pid: int
    seconds_ago: float
    #: What it says of itself: {"lease": true} and the like.
    says: dict[str, object]

    @property
    def is_fresh(self) -> bool:
        """Whether it has gone round lately."""
        return self.seconds_ago <= max(3 * runs_settings().RENEW_SECONDS, ROUND_SECONDS)


class Heart:
    """Beats for this process. What cannot be written is logged once, and harms nothing but the probe."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._complained = False

    def beat(self, **says: object) -> None:
        """Say that this process has just gone round."""
        try:
            file = _file(self._kind, os.getpid())
            draft = file.with_suffix(".new")
            draft.write_text(json.dumps(says))
            draft.replace(file)
        except OSError as error:
            if not self._complained:
                logger.warning("no heartbeat can be written, so `manage.py health` will not see this one: %s", error)
            self._complained = True

    def stop(self) -> None:
        """The process ends in good order."""
        with contextlib.suppress(OSError):
            _file(self._kind, os.getpid()).unlink(missing_ok=True)


def beats(kind: str) -> list[Beat]:
    """What the living processes of this kind have said; the signs of the dead are removed."""
    return list(_beats(kind))


def _beats(kind: str) -> Iterator[Beat]:
    with contextlib.suppress(OSError):
        for file in sorted(state_directory("heartbeats").glob(f"{kind}-*.json")):
            with contextlib.suppress(OSError, ValueError):
                pid = int(file.stem.rpartition("-")[2])
                if is_alive(pid):
                    yield Beat(pid, time.time() - file.stat().st_mtime, json.loads(file.read_text()))
                else:
                    file.unlink()


def _file(kind: str, pid: int) -> Path:
    return state_directory("heartbeats") / f"{kind}-{pid}.json"
