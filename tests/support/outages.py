"""Servers of the session that stop, or stand still, for a while."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from django.db import connection

from tests.support.engines import SessionEngines
from tests.support.ledger import wait_until
from tests.support.scale import rounds

#: Several leases long; every round of `make test-crashes` takes the full time.
OUTAGE_SECONDS = max(10.0, float(rounds(20)))


def wait_out(seconds: float) -> None:
    """Return when this time has passed; for what has no condition to wait for: the length of an outage."""
    until = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= until, "time to pass", seconds + 60.0)


@contextmanager
def standing_still(*pids: int) -> Iterator[None]:
    """In this block these processes exist and do nothing."""
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def family(pid: int) -> list[int]:
    """A process and all that it has started."""
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def restart_redis(engines: SessionEngines) -> None:
    """Killed, and started again with what it had written down."""
    assert engines.redis is not None
    engines.redis.kill()
    engines.redis.start()


def still_redis(engines: SessionEngines, seconds: float = OUTAGE_SECONDS) -> None:
    """It accepts connections and says nothing."""
    assert engines.redis is not None
    assert engines.redis.process is not None
    with standing_still(engines.redis.process.pid):
        wait_out(seconds)


def restart_postgres(engines: SessionEngines) -> None:
    """What `pg_ctl restart -m immediate` does: every session is cut, and the start is a recovery."""
    postgres = engines.postgres
    assert postgres is not None
    assert postgres.process is not None
    postgres.process.send_signal(signal.SIGQUIT)
    postgres.process.wait(30)
    postgres.start()
    connection.close()


@contextmanager
def postgres_away(engines: SessionEngines) -> Iterator[None]:
    """In this block there is none."""
    assert engines.postgres is not None
    connection.close()
    engines.postgres.stop()
    try:
        yield
    finally:
        engines.postgres.start()


def stop_postgres(engines: SessionEngines, seconds: float = OUTAGE_SECONDS) -> None:
    """Away for so long."""
    with postgres_away(engines):
        wait_out(seconds)


def still_postgres(engines: SessionEngines, seconds: float = OUTAGE_SECONDS) -> None:
    """It and all its sessions exist and say nothing."""
    assert engines.postgres is not None
    assert engines.postgres.process is not None
    with standing_still(*family(engines.postgres.process.pid)):
        wait_out(seconds)
