"""Streams of runs that a worker executes, while things happen to it, to the run and to Redis."""

import os
import shutil
import signal
from collections.abc import Callable
from typing import Any

import pytest

from project.local.valkey import Valkey
from runs.models import Run
from runs.states import RunStatus
from tests.support.client import Client
from tests.support.factories import make_run, make_thread, stored
from tests.support.guests import Guest, House
from tests.support.handwritten import retained
from tests.support.ledger import open_gate, wait_for_entry, wait_until
from tests.support.stage import wait_for_start, wait_for_status, wait_until_settled
from tests.support.worker import WorkerProcess

pytestmark = [pytest.mark.usefixtures("worker", "swept", "intact"), pytest.mark.timeout(240)]

#: One is free while a run executes: that makes the loss of the broker harder.
CONCURRENCY = 2
COUNT = 300


def begun(assistant: str, modes: list[str], **given: Any) -> tuple[Run, int]:
    """A run that a worker has begun, and the process that executes it."""
    run = make_run(make_thread(), assistant=assistant, kwargs={"input": given, "stream_mode": modes})
    return run, wait_for_start(run.pk).pid


def numbers(client: Client) -> list[Any]:
    """What the assistant emitted, as the client has seen it."""
    return [event.data for event in client.events if event.name == "custom"]


@pytest.mark.parametrize("cancels", [True, False])
def test_nothing_that_an_executor_emits_after_its_cancel_is_shown(house: House, cancels: bool) -> None:
    """It goes on, for it ignores every interruption; without a cancel what it emits then is shown."""
    run, _ = begun("defiant", ["custom"])
    guest = house.join(run, "stream")
    wait_until(lambda: numbers(guest.stream) == ["before"], "what it emits before")
    if cancels:
        canceller = house.cancel(run, 1)
        guest.end()
        written = retained(run)
    open_gate(run.pk)
    wait_for_entry(run.pk, "left")
    run = wait_until_settled(run.pk)
    assert numbers(guest.end()) == (["before"] if cancels else ["before", "after"])
    assert house.join(run, "stream").end().events == guest.stream.events
    if cancels:
        assert canceller.end().status == 204
        assert retained(run) == written == ["1-0", "1-1", "end"]


def test_a_recovered_run_goes_on_in_the_same_stream_with_the_metadata_of_its_next_attempt(house: House) -> None:
    run, pid = begun("emitter", ["custom"], count=20, last_gate=True)
    guest = house.join(run, "stream")
    wait_until(lambda: len(numbers(guest.stream)) == 20, "what the first attempt emits")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(numbers(guest.stream)) == 40, "what the second attempt emits")
    open_gate(f"{run.pk}-last")
    client = guest.end()
    assert stored(run).status == "success", "committed before the stream ends"
    assert numbers(client) == [*range(20), *range(20)]
    begins = [(event.id, event.data) for event in client.events if event.name == "metadata"]
    assert begins == [(f"{attempt}-0", {"run_id": str(run.pk), "attempt": attempt}) for attempt in (1, 2)]
    assert client.names == (["metadata"] + ["custom"] * 20) * 2 + ["end"]


def restarted(redis: Valkey) -> None:
    """Shut down as it should be, and started again: nothing is lost."""
    redis.stop()
    redis.start()


def crashed(redis: Valkey) -> None:
    """Killed: what it wrote within its last second may be lost."""
    redis.kill()
    redis.start()


def replaced(redis: Valkey) -> None:
    """Another one, which is empty."""
    redis.kill()
    shutil.rmtree(redis.data)
    redis.start()


@pytest.mark.parametrize("happens", [restarted, crashed, replaced])
def test_redis_goes_away_in_the_middle_and_comes_back(
    house: House, worker: WorkerProcess, redis_away: Valkey, happens: Callable[[Valkey], None]
) -> None:
    """It is the broker, too: the worker goes on as well."""
    run, _ = begun("emitter", ["custom"], count=COUNT, burst=5, pause=0.05, last_gate=True)
    guests = [house.join(run, "stream", web) for web in (0, 1)]
    waiting = house.join(run, "join")
    wait_until(lambda: all(len(numbers(guest.stream)) > 20 for guest in guests), "the first events")
    happens(redis_away)
    wait_until(lambda: all(has_all(house, guest) for guest in guests), "the last event", 60)
    open_gate(f"{run.pk}-last")
    clients: list[Client] = [guest.end() for guest in guests]
    run = wait_for_status(run.pk, RunStatus.SUCCESS)
    assert waiting.end().answer.strip() == f'{{"count":{COUNT}}}'
    assert (run.attempt, run.crashes, stored(run).leased) == (1, 0, False)
    for client in clients:
        assert client.names[-1] == "end"
        assert told(client) <= (0 if happens is restarted else 1)
    following, _ = begun("emitter", ["custom"], count=1)
    assert house.join(following, "stream").end().ended
    assert worker.process is not None
    assert worker.process.poll() is None


def has_all(house: House, guest: Guest) -> bool:
    """Whether the client has come to the last event; one that was told of a gap goes on after it, as SDKs do."""
    if guest.task.done():
        assert guest.stream.names[-1] == "gap"
        guest.come(house.webs[0])
    return COUNT - 1 in numbers(guest.stream)


def told(client: Client) -> int:
    """How often the client was told that something is missing; everywhere else each number follows the one before."""
    gaps, following = 0, {0}
    for event in client.events:
        if event.name == "gap":
            gaps, following = gaps + 1, set(range(max(following), COUNT))
        elif event.name == "custom":
            assert event.data in following, client.names
            following = {event.data + 1}
    return gaps
