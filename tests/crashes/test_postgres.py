"""PostgreSQL restarted and its connections terminated, under load: no run is lost or doubled."""

import os
import random
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection

from runs.states import RunStatus
from tests.support.engines import SessionEngines
from tests.support.ledger import entries
from tests.support.load import Load
from tests.support.outages import restart_postgres
from tests.support.scale import rounds
from tests.support.stack import Stack
from tests.support.stage import empty_queue

pytestmark = [pytest.mark.usefixtures("db", "intact", "swept"), pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def stack(db: None) -> Iterator[Stack]:
    """Two workers and a scheduler."""
    empty_queue()
    with Stack(workers=2) as stack:
        yield stack


def check_all_done(load: Load) -> None:
    """Every run has succeeded; no attempt did anything twice, and nothing was executed after it had succeeded."""
    runs = load.wait_until_settled()
    assert {run.status for run in runs} == {RunStatus.SUCCESS}
    for run in runs:
        paid = [(entry.attempt, entry.event) for entry in entries(run.pk) if entry.event.startswith("paid")]
        assert paid == sorted(set(paid))
        assert paid[-3:] == [(run.attempt, f"paid {number}") for number in range(3)]


def test_immediate_restarts(stack: Stack, engines: SessionEngines) -> None:
    with Load() as load:
        for _ in range(rounds(10)):
            load.wait_for_more(5)
            restart_postgres(engines)
        load.wait_for_more(5)
    check_all_done(load)
    assert {run.attempt for run in load.wait_until_settled()} == {1}


def test_terminated_connections(stack: Stack) -> None:
    """One after the other, whoever uses it and for whatever."""
    connection.ensure_connection()
    own: int = connection.connection.info.backend_pid
    with Load(pause=0.02, seconds=0.05) as load, psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as admin:
        terminated = 0
        while terminated < rounds(200):
            terminated += terminate_one(admin, spared=own)
            load.wait_for_more(1)
    check_all_done(load)


def terminate_one(admin: psycopg.Connection, *, spared: int) -> bool:
    """End a session of the test database at random, but not the test's; False if there is none."""
    rows = admin.execute(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), %s)",
        [spared],
    ).fetchall()
    if not rows:
        return False
    (pid,) = random.choice(rows)
    answer = admin.execute("SELECT pg_terminate_backend(%s)", [pid]).fetchone()
    return answer is not None and bool(answer[0])
