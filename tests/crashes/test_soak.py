"""Everything at once: runs of all strategies, cancels, and SIGKILLs at random, as clients of the API see it."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psutil
import pytest

from runs.models import Run, RunEvent
from runs.services.api_keys import create_api_key
from runs.states import MultitaskStrategy
from tests.support.callers import Caller
from tests.support.factories import make_actor, make_thread
from tests.support.history import History, Seen, explain
from tests.support.ledger import entries, wait_until
from tests.support.scale import rounds
from tests.support.stack import Stack
from tests.support.stage import empty_queue

pytestmark = [pytest.mark.usefixtures("db", "intact", "swept"), pytest.mark.timeout(3600)]

CALLERS = 6
THREADS = 10


@pytest.fixture(scope="module")
def stack(db: None) -> Iterator[Stack]:
    """Four workers, three web processes, two schedulers."""
    empty_queue()
    with Stack(workers=4, webs=3, schedulers=2) as stack:
        yield stack


def test_soak(stack: Stack) -> None:
    history = History()
    key = create_api_key(owner=make_actor().owner, name="soak")[1]
    threads = [str(make_thread().pk) for _ in range(THREADS)]
    callers = [Caller([web.url for web in stack.webs], key, history) for _ in range(CALLERS)]
    todo = [random.Random(number) for number in range(rounds(300))]
    with ThreadPoolExecutor(CALLERS) as pool:
        works = [pool.submit(work, caller, todo, threads) for caller in callers]
        killed = kill_at_random(stack, rounds(60))
        accepted = [pair for one in works for pair in one.result()]
    stack.mend()
    ended = [callers[0].wait(thread, run) for thread, run in accepted]
    assert killed == rounds(60)
    check_ends(ended)
    objections = history.objections(told(accepted))
    assert objections == [], explain(history, objections)


def work(caller: Caller, todo: list[random.Random], threads: list[str]) -> list[tuple[str, str]]:
    """Create runs, look at them, cancel some, until there is nothing left to do."""
    accepted = []
    while todo:
        chance = todo.pop()
        thread = chance.choice(threads)
        how = chance.choice([*MultitaskStrategy, MultitaskStrategy.ENQUEUE, MultitaskStrategy.ENQUEUE])
        run = caller.create(thread, how, input={"seconds": chance.choice([0.0, 0.1, 0.5])})
        if run is None:
            continue
        accepted.append((thread, run))
        for _ in range(chance.randrange(4)):
            caller.read(*chance.choice(accepted))
        if chance.random() < 0.25:
            caller.cancel(*chance.choice(accepted), action=chance.choice(["interrupt", "rollback"]))
    return accepted


def kill_at_random(stack: Stack, count: int) -> int:
    """SIGKILL so many workers, children and schedulers, one after the other, and start the dead anew."""
    chance, killed = random.Random(count), 0
    while killed < count:
        stack.mend(workers=2)
        killed += kill_one(stack, chance)
    return killed


def kill_one(stack: Stack, chance: random.Random) -> bool:
    """Whether there was somebody to kill: a child that was chosen may have gone by itself."""
    kind = chance.choice(["worker", "child", "child", "scheduler"])
    if kind == "scheduler":
        chance.choice(stack.schedulers).kill()
        return True
    worker = chance.choice([worker for worker in stack.workers if worker.is_ready()])
    if kind == "worker":
        worker.kill()
        return True
    children = sorted(worker.children())
    return bool(children) and kill_child(chance.choice(children))


def kill_child(pid: int) -> bool:
    """Wait until its parent has seen it; False if it had gone before."""
    try:
        process = psutil.Process(pid)
        process.kill()
    except psutil.NoSuchProcess:
        return False
    wait_until(lambda: is_dead(process), "the child to be dead")
    return True


def is_dead(process: psutil.Process) -> bool:
    """Whether it has gone, or waits for its parent to see it."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def check_ends(ended: list[dict[str, Any]]) -> None:
    """An error is only what too many crashes are; no attempt did anything twice."""
    for run in ended:
        assert run["status"] in ("success", "interrupted", "error"), run
        assert run["status"] != "error" or run["error"]["error"] == "attempts_exhausted", run
        paid = [(entry.attempt, entry.event) for entry in entries(run["run_id"]) if entry.event.startswith("paid")]
        assert paid == sorted(set(paid)), run


def told(accepted: list[tuple[str, str]]) -> list[Seen]:
    """What the server's own history says of these runs."""
    found = []
    for thread, run in accepted:
        events = (
            RunEvent.objects.filter(run_id=UUID(run)).order_by("id").values_list("from_status", "to_status", "attempt")
        )
        found.append(Seen(run, thread, tuple((came or "", to, attempt) for came, to, attempt in events)))
    assert Run.objects.filter(pk__in=[run for _, run in accepted]).count() == len(accepted)
    return found
