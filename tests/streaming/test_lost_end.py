"""The end marker and every wake, lost wherever they can be lost: whoever watches or waits learns the outcome."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from project.local.valkey import Valkey, ping
from runs.models import Run
from runs.services.recover import recover_stalled_runs, time_out_overdue_runs
from runs.states import RunStatus
from runs.streaming import log
from runs.streaming.frames import END
from tests.support.client import Client, Waiter
from tests.support.factories import (
    SYSTEM,
    bury,
    cancel,
    make_overdue,
    make_run,
    make_thread,
    make_worker,
    running,
    stored,
)
from tests.support.guests import Guest, House
from tests.support.handwritten import put, retained
from tests.support.ledger import open_gate, wait_for_entry, wait_until
from tests.support.stage import wait_for_start, wait_for_status, wait_until_settled

pytestmark = [pytest.mark.usefixtures("swept", "intact"), pytest.mark.timeout(240)]

COUNT = 30
#: Of each kind; the quickest shows what it takes on a machine that has nothing else to do.
TIMES = 2
LIMIT_SECONDS = 2.0
KEPT = {"count": COUNT}
ENDED = ["metadata", *["custom"] * COUNT, "end"]


def emitting(**given: Any) -> dict[str, Any]:
    """A run that emits, then waits for its last gate, and is to go on whoever leaves."""
    modes = given.pop("modes", ["custom"])
    given = {"count": COUNT, "last_gate": True, **given}
    return {"assistant_id": "emitter", "input": given, "stream_mode": modes, "on_disconnect": "continue"}


class Audience:
    """Everybody who can be interested in a run: streams and joins through both processes, and who waits for it."""

    def __init__(self, house: House, run: Run, *others: tuple[str, Guest]) -> None:
        kinds = ("stream", "join")
        joined = [(kind, house.join(run, kind, web)) for kind in kinds for web in (0, 1) for _ in range(TIMES)]
        self.guests = [*others, *joined]

    @property
    def streams(self) -> list[Guest]:
        """Those who see frames."""
        return [guest for kind, guest in self.guests if kind == "stream"]

    def see(self, count: int) -> "Audience":
        """Return when every stream has shown so many events."""
        wait_until(lambda: all(len(guest.stream.events) >= count for guest in self.streams), f"{count} events")
        return self

    def lags(self, since: float) -> dict[str, float]:
        """When all have ended: for each kind, how long the quickest took since then."""
        for _, guest in self.guests:
            guest.end()
        kinds = {kind for kind, _ in self.guests}
        return {kind: min(guest.ended_at - since for other, guest in self.guests if other == kind) for kind in kinds}

    def answers(self) -> dict[str, list[Any]]:
        """What was said last to each kind: the names of the events, or status and body; each once."""
        found: dict[str, list[Any]] = {}
        for kind, guest in self.guests:
            answer = said(guest.client)
            if answer not in found.setdefault(kind, []):
                found[kind].append(answer)
        return found


def said(client: Client | Waiter) -> Any:
    """The names of a stream's events, or an answer's status and JSON."""
    if isinstance(client, Client):
        return client.names
    return client.status, json.loads(client.answer or "null")


def begun(house: House, kind: str, **body: Any) -> tuple[Guest, Run]:
    """A run that a worker has begun, and who created it."""
    guest, run = house.create(kind, **body)
    wait_for_start(run.pk)
    return guest, run


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("returns", [False, True])
def test_redis_is_away_when_the_run_finishes(house: House, redis_away: Valkey, returns: bool) -> None:
    """They end while it is still away; and soon after its return, should that come first."""
    creator, run = begun(house, "wait", **emitting())
    stopped = make_run(make_thread(), assistant="stubborn", kwargs={"input": {}})
    wait_for_start(stopped.pk)
    canceller = house.cancel(stopped)
    wait_for_status(stopped.pk, RunStatus.INTERRUPTED)
    audience = Audience(house, run, ("wait", creator)).see(COUNT + 1)

    redis_away.kill()
    open_gate(f"{run.pk}-last")
    open_gate(stopped.pk)
    wait_for_status(run.pk, RunStatus.SUCCESS)
    wait_until_settled(stopped.pk)
    since = time.time()
    if returns:
        redis_away.start()
        since = time.time()
    audience.guests.append(("cancel", canceller))
    lags = audience.lags(since)

    if returns:
        assert {kind: lag < LIMIT_SECONDS for kind, lag in lags.items()} == dict.fromkeys(lags, True), lags
    else:
        assert not ping(redis_away.url)
        redis_away.start()
    answer = (200, KEPT)
    assert audience.answers() == {"wait": [answer], "join": [answer], "stream": [ENDED], "cancel": [(204, None)]}
    assert (stored(run).status, stored(run).attempt) == ("success", 1)


@pytest.mark.usefixtures("worker")
def test_what_could_not_be_written_while_redis_is_away_is_one_gap_and_then_the_state(
    house: House, redis_away: Valkey
) -> None:
    creator, run = begun(house, "stream", **emitting(modes=["custom", "values"]))
    wait_until(lambda: len(creator.stream.events) == COUNT + 1, "what it emits")
    redis_away.kill()
    open_gate(f"{run.pk}-last")
    client = creator.end()
    assert client.names == [*ENDED[:-1], "gap"]
    assert creator.come(house.webs[1]).end().names == [*ENDED[:-1], "gap", "values", "end"]
    assert client.events[-2].data == KEPT
    redis_away.start()
    assert house.join(run, "stream", after=f"1-{COUNT}").end().names == ["gap"]


@pytest.mark.usefixtures("worker")
def test_the_executor_is_killed_between_commit_and_end(house: House) -> None:
    creator, run = begun(house, "wait", **emitting(dies_before_end=True))
    audience = Audience(house, run, ("wait", creator)).see(COUNT + 1)
    open_gate(f"{run.pk}-last")
    wait_for_entry(run.pk, "dies before the end")
    since = time.time()
    lags = audience.lags(since)
    answer = (200, KEPT)
    assert audience.answers() == {"wait": [answer], "join": [answer], "stream": [ENDED]}
    assert {kind: lag < LIMIT_SECONDS for kind, lag in lags.items()} == dict.fromkeys(lags, True), lags
    assert (stored(run).status, stored(run).attempt, retained(run)[-1]) == ("success", 1, "end")


@pytest.fixture
def mute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this process commits, it dies before it tells anybody."""
    monkeypatch.setattr(log, "wake", lambda *_: None)
    monkeypatch.setattr(log, "append_end", lambda *_, **__: None)


def cancelled(run: Run) -> None:
    """Cancelled by another process."""
    cancel(run, actor=SYSTEM)


def lost(run: Run) -> None:
    """Its worker is lost, and it is not tried again."""
    assert run.worker is not None
    bury(run.worker)
    assert recover_stalled_runs() == 1


def overdue(run: Run) -> None:
    """The scheduler finds that it has taken too long."""
    make_overdue(run)
    assert time_out_overdue_runs() == 1


@pytest.mark.usefixtures("mute")
@pytest.mark.parametrize(("over", "error"), [(cancelled, None), (lost, "attempts_exhausted"), (overdue, "RunTimedOut")])
def test_the_process_that_ends_the_run_dies_after_its_commit(
    house: House, over: Callable[[Run], None], error: str | None
) -> None:
    run = running(make_thread(), make_worker(), max_attempts=1)
    put(run, "1-0", "1-1")
    audience = Audience(house, run).see(2)
    over(run)
    lags = audience.lags(time.time())

    told = (stored(run).error or {}).get("message")
    result = {"__error__": {"error": error, "message": told}} if error else {}
    shown = ["custom", "custom", *(["error"] if error else []), "end"]
    assert audience.answers() == {"join": [(200, result)], "stream": [shown]}
    assert {kind: lag < LIMIT_SECONDS for kind, lag in lags.items()} == dict.fromkeys(lags, True), lags
    assert retained(run) == ["1-0", "1-1", "end"]
    assert {guest.stream.last_id for guest in audience.streams} == {f"1-{END}"}
