"""A run that was to go on from a step which was given up meanwhile does not begin anew from nothing, unsaid."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runs.actors import Actor
from runs.errors import CheckpointNotFound
from runs.models import Checkpoint, Run, Thread
from runs.services.cancel import cancel_run
from runs.states import CancelAction, RunStatus
from tests.support.factories import make_run, make_thread, stored
from tests.support.ledger import wait_until
from tests.support.stage import wait_until_settled
from tests.support.worker import WorkerProcess

pytestmark = pytest.mark.usefixtures("db", "intact", "swept")


@pytest.fixture(scope="module")
def worker(db: None) -> Iterator[WorkerProcess]:
    with WorkerProcess(concurrency=2, runs={"INTERRUPT_EVERY_SECONDS": 0.1}) as worker:
        yield worker


def values_of(thread: Thread) -> Any:
    head = Thread.objects.select_related("head").get(pk=thread.pk).head
    return None if head is None else head.values


def executing(thread: Thread, gates: Path) -> tuple[Run, Checkpoint]:
    """A run that stands in its second step, and what its first has left."""
    (gates / "1").touch()
    run = make_run(thread, assistant="slow", kwargs={"input": {"n": 5, "tag": "A", "gates": str(gates)}})
    wait_until(lambda: run.checkpoints.filter(values__log=["0:0", "A:1"]).exists(), "the first step")
    return run, run.checkpoints.get(values__log=["0:0", "A:1"])


def begun(thread: Thread) -> None:
    first = make_run(thread, assistant="slow", kwargs={"input": {"n": 1, "tag": "0"}})
    wait_until_settled(first.pk)
    assert values_of(thread)["log"] == ["0:0"]


def test_given_up_while_the_fork_waits(worker: WorkerProcess, tmp_path: Path) -> None:
    thread = make_thread()
    begun(thread)
    former, step = executing(thread, tmp_path)
    fork = make_run(thread, assistant="slow", kwargs={"input": {"tag": "B", "n": 1}, "checkpoint_id": str(step.pk)})
    cancel_run(run_id=former.pk, actor=Actor("operator"), action=CancelAction.ROLLBACK)
    wait_until_settled(fork.pk)
    assert values_of(thread)["log"] == ["0:0"]
    assert stored(fork).status == RunStatus.ERROR
    assert (stored(fork).error or {})["type"] == "CheckpointNotFound"


def test_given_up_by_the_create_itself(worker: WorkerProcess, tmp_path: Path) -> None:
    """All or nothing: what this very create gives up cannot be forked from, and the old run goes on."""
    thread = make_thread()
    begun(thread)
    former, step = executing(thread, tmp_path)
    given = {"input": {"tag": "B", "n": 1}, "checkpoint_id": str(step.pk)}
    with pytest.raises(CheckpointNotFound):
        make_run(thread, "rollback", assistant="slow", kwargs=given)
    assert stored(former).status == RunStatus.RUNNING
    cancel_run(run_id=former.pk, actor=Actor("operator"), action=CancelAction.ROLLBACK)
    wait_until_settled(former.pk)
