"""What an assistant does with the database, and what an interruption does to it, does not concern the executor."""

from collections.abc import Iterator

import pytest
from django.db import connection

from runs.actors import Actor
from runs.models import Run
from runs.services.cancel import cancel_run
from runs.states import RunStatus
from tests.support.assistants import ANSWER
from tests.support.factories import make_run, make_thread
from tests.support.ledger import entries, open_gate, wait_for_entry, wait_until
from tests.support.scale import rounds
from tests.support.stage import error_of, head_values, settlement, wait_until_settled
from tests.support.worker import WorkerProcess

OPERATOR = Actor("operator")

pytestmark = pytest.mark.usefixtures("db", "intact", "swept")


@pytest.fixture(scope="module")
def worker(db: None) -> Iterator[WorkerProcess]:
    """One child: what an attempt breaks, the next one meets. No renewal helps a settlement along."""
    settings = {"LEASE_SECONDS": 120.0, "RENEW_SECONDS": 60.0, "INTERRUPT_EVERY_SECONDS": 0.1}
    with WorkerProcess(concurrency=1, runs=settings) as worker:
        yield worker


def started(assistant: str) -> Run:
    run = make_run(make_thread(), assistant=assistant)
    wait_for_entry(run.pk, "start")
    return run


def test_a_query_that_is_interrupted_leaves_the_process_whole(worker: WorkerProcess) -> None:
    """Sooner or later one is hit while it enters or leaves a transaction; the next run works in the same process."""
    for _ in range(rounds(200)):
        run = started("querying")
        cancel_run(run_id=run.pk, actor=OPERATOR)
        wait_until_settled(run.pk)
        assert settlement(run).reason == "settled: left"

    after = make_run(make_thread(), assistant="prompt")
    assert wait_until_settled(after.pk).status == RunStatus.SUCCESS
    assert entries(after.pk, "start")[0].pid == entries(run.pk, "start")[0].pid


def test_a_transaction_of_the_assistant_does_not_hold_its_steps_back(worker: WorkerProcess) -> None:
    """The step is committed while the assistant's own transaction is open."""
    run = started("holding")
    wait_until(lambda: head_values(run) == ANSWER or None, "the step")
    open_gate(run.pk)
    assert wait_until_settled(run.pk).status == RunStatus.SUCCESS


def test_a_transaction_that_async_code_leaves_open_is_not_met_by_the_next_attempt(worker: WorkerProcess) -> None:
    runs = [make_run(make_thread(), assistant="async_holding") for _ in range(3)]

    assert [wait_until_settled(run.pk).status for run in runs] == [RunStatus.SUCCESS] * 3
    assert [head_values(run) for run in runs] == [{"found": False}] * 3


@pytest.fixture
def refusal(db: None) -> Iterator[None]:
    """The database refuses a run that names its model so, for a reason that does not pass."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'too much' USING ERRCODE = 'program_limit_exceeded'; END $$;"
            "CREATE TRIGGER refuse BEFORE UPDATE ON runs_run FOR EACH ROW "
            "WHEN (NEW.model_name = 'unstorable') EXECUTE FUNCTION refuse()"
        )
        yield
        cursor.execute("DROP TRIGGER refuse ON runs_run; DROP FUNCTION refuse()")


def test_an_outcome_that_cannot_be_stored_is_an_error_and_not_a_crash(worker: WorkerProcess, refusal: None) -> None:
    """Executing it again would end the same way."""
    run = make_run(make_thread(), assistant="unstorable")
    ended = wait_until_settled(run.pk)
    assert (ended.status, ended.attempt, ended.crashes) == (RunStatus.ERROR, 1, 0)
    assert error_of(ended)["message"].startswith("too much")
