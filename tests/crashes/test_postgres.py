"""PostgreSQL restarted and its connections terminated, under load: no run is lost or doubled."""

import json
import os
import random
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection

from runs.services.api_keys import create_api_key
from runs.states import RunStatus
from tests.support.engines import SessionEngines
from tests.support.factories import make_actor, make_run, make_thread
from tests.support.ledger import entries
from tests.support.load import Load
from tests.support.outages import restart_postgres
from tests.support.scale import rounds
from tests.support.stack import Stack
from tests.support.stage import empty_queue, wait_for_status

pytestmark = [pytest.mark.usefixtures("db", "intact", "swept"), pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def stack(db: None) -> Iterator[Stack]:
    """Two workers, a scheduler and a web process."""
    empty_queue()
    with Stack(workers=2, webs=1) as stack:
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


def test_callers_are_told_to_come_again(stack: Stack, engines: SessionEngines) -> None:
    """While the database is away nothing is accepted, and nothing is a bug; afterwards the same calls succeed."""
    key = create_api_key(owner=make_actor().owner, name="outage")[1]
    run = make_run(make_thread(), assistant="prompt")
    calls: list[tuple[str, Any]] = [(f"/threads/{run.thread_id}/runs", {"assistant_id": "prompt"})]
    calls += [(f"/threads/{run.thread_id}/runs/{run.pk}", None)]
    wait_for_status(run.pk, RunStatus.SUCCESS)
    assert engines.postgres is not None
    connection.close()
    engines.postgres.stop()
    try:
        refused = [ask(stack.webs[0].url + path, key, body) for path, body in calls]
    finally:
        engines.postgres.start()
    for status, headers, answer in refused:
        assert (status, answer["code"], int(headers["Retry-After"]) > 0) == (503, "database_unavailable", True)
    assert [ask(stack.webs[0].url + path, key, body)[0] for path, body in calls] == [200, 200]


def ask(url: str, key: str, body: Any) -> tuple[int, Any, Any]:
    """Status, headers and body of the answer."""
    content = None if body is None else json.dumps(body).encode()
    headers = {"X-Api-Key": key, "Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, content, headers), timeout=60) as answer:
            return answer.status, answer.headers, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.headers, json.load(error)


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
