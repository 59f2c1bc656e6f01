"""Which schedulers there are. They need no row: the database sees the connection of each, on whatever host it is.

What it does not see, because a pooler or a setting names connections otherwise, a file of this host may show.
"""

import os
import socket
from dataclasses import dataclass

from django.db import connection

from runs.heartbeats import ROUND_SECONDS, beats

_NAME = "runyard scheduler "
#: PostgreSQL cuts longer names.
_LONGEST_NAME = 63


@dataclass(frozen=True)
class SeenScheduler:
    """A scheduler, and how long ago it did something that was noticed."""

    #: Its host and the number of its process there.
    where: str
    seconds_ago: float
    #: Whether the database sees it; else only a file of this host does.
    connected: bool

    @property
    def is_late(self) -> bool:
        """It stands still, or waits for the database: it should go round every RUNS["SWEEP_SECONDS"]."""
        return self.seconds_ago > ROUND_SECONDS


def connection_name() -> str:
    """What the present process has to call its connections in order to be seen as a scheduler (PGAPPNAME)."""
    return f"{_NAME}{_here(os.getpid())}"[:_LONGEST_NAME]


def this_host() -> str:
    """The host whose files are looked at."""
    return socket.gethostname()


def seen_schedulers() -> list[SeenScheduler]:
    """All that are seen, by name; in one statement."""
    found = {where: SeenScheduler(where, seconds, connected=True) for where, seconds in _connected()}
    for beat in beats("scheduler"):
        where = _here(beat.pid)
        found.setdefault(where, SeenScheduler(where, beat.seconds_ago, connected=False))
    return [found[where] for where in sorted(found)]


def _here(pid: int) -> str:
    return f"{this_host()}:{pid}"[: _LONGEST_NAME - len(_NAME)]


def _connected() -> list[tuple[str, float]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT substr(application_name, length(%s) + 1) AS place, "
            "extract(epoch FROM clock_timestamp() - max(greatest(state_change, query_start, backend_start)))::float "
            "FROM pg_stat_activity WHERE datname = current_database() AND starts_with(application_name, %s) "
            "GROUP BY place",
            [_NAME, _NAME],
        )
        return [(place, max(seconds, 0.0)) for place, seconds in cursor.fetchall()]
