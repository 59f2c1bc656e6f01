"""What becomes of a run when its clients go away, over two web processes. Nobody executes these runs but the test."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from runs.models import Run
from runs.states import RunStatus
from tests.support.api import make_api
from tests.support.client import Client, Waiter, Webs, creator, joiner, path_of
from tests.support.factories import claim, make_run, make_thread, stored
from tests.support.handwritten import end, put
from tests.support.ledger import wait_until
from tests.support.reading import Loop
from tests.support.server import ServerProcess
from tests.support.stage import wait_for_status

pytestmark = [pytest.mark.usefixtures("swept", "intact"), pytest.mark.timeout(180)]

GRACE_SECONDS = 2.0
LIMIT_SECONDS = 3.0
TIMES = 3
BODY = {"assistant_id": "echo", "on_disconnect": "cancel"}


class Guest:
    """A client that is there until it leaves."""

    def __init__(self, loop: Loop, client: Client | Waiter, web: ServerProcess, **options: Any) -> None:
        self.client = client
        work = client.wait(web.url) if isinstance(client, Waiter) else client.read(web.url, **options)
        self.task: Future[Any] = loop.start(work)

    @property
    def is_in(self) -> bool:
        """Whether it has been answered."""
        return bool(self.client.status if isinstance(self.client, Waiter) else self.client.connections)

    def settle(self) -> "Guest":
        """Return when it is in."""
        wait_until(lambda: self.is_in, "a client to be let in")
        return self

    def leave(self) -> float:
        """Cut its connection; the time at which it did."""
        left_at = time.time()
        self.task.cancel()
        return left_at


class House:
    """Everything that a guest needs."""

    def __init__(self, loop: Loop, webs: Webs, key: str) -> None:
        self.loop, self.webs, self.key = loop, webs, key

    def create(self, kind: str, web: int = 0, **body: Any) -> tuple[Guest, Run]:
        """A guest that has created a run by `stream` or `wait`."""
        thread = make_thread()
        path, given = f"/threads/{thread.pk}/runs/{kind}", BODY | body
        if kind == "wait":
            guest = Guest(self.loop, Waiter(self.key, path, "POST", given), self.webs[web])
        else:
            guest = Guest(self.loop, creator(self.key, thread.pk), self.webs[web], create=given)
        guest.settle()
        return guest, thread.runs.get()

    def join(self, run: Run, kind: str, web: int = 0, **query: Any) -> Guest:
        """A guest that watches the run by `stream` or `join`."""
        if kind == "stream":
            client: Client | Waiter = joiner(self.key, path_of(run), **query)
        else:
            client = Waiter(self.key, f"{path_of(run)}/join?{urlencode(query)}")
        return Guest(self.loop, client, self.webs[web]).settle()

    def wait_out_a_grace(self, *webs: int) -> None:
        """Return when whoever had left one of these processes before has been gone for the grace and was judged."""
        marks = [self.create("stream", web) for web in webs or (0, 1)]
        for guest, _ in marks:
            guest.leave()
        for _, run in marks:
            wait_for_status(run.pk, RunStatus.INTERRUPTED)


@pytest.fixture(scope="module")
def house(loop: Loop, webs: Webs) -> House:
    """The two web processes, and the key of the runs' owner."""
    return House(loop, webs, make_api("ada").key)


def pending(run: Run) -> Run:
    """Nobody has claimed it."""
    return run


@pytest.mark.parametrize("begin", [pending, claim])
def test_a_run_whose_client_has_gone_is_cancelled_after_the_grace_and_within_three_seconds(
    house: House, begin: Callable[[Run], Run]
) -> None:
    guests = {kind: [house.create(kind) for _ in range(TIMES)] for kind in ("stream", "wait")}
    runs = {guest: begin(run) for some in guests.values() for guest, run in some}
    left = {guest: guest.leave() for guest in runs}
    for kind, some in guests.items():
        took = [cancelled_at(runs[guest]) - left[guest] for guest, _ in some]
        assert min(took) >= GRACE_SECONDS, kind
        assert min(took) < LIMIT_SECONDS, kind


def cancelled_at(run: Run) -> float:
    """When the run was cancelled, and for its client's leaving; the clocks are this machine's."""
    row = wait_for_status(run.pk, RunStatus.INTERRUPTED)
    assert (row.cancelled_by, row.cancel_action) == ("system/disconnect", "interrupt")
    assert row.reason == "client disconnected (on_disconnect=cancel)"
    assert row.cancelled_at is not None
    return (row.cancelled_at - datetime.fromtimestamp(0, tz=UTC)).total_seconds()


@pytest.mark.parametrize("kind", ["stream", "wait"])
def test_a_client_that_goes_before_it_is_answered_has_gone_too(house: House, kind: str) -> None:
    thread = make_thread()
    hasty = Waiter(house.key, f"/threads/{thread.pk}/runs/{kind}", "POST", BODY)
    guest = Guest(house.loop, hasty, house.webs[0])
    run = wait_until(thread.runs.first, "the run")
    guest.leave()
    cancelled_at(run)


def test_joiners_cancel_if_they_asked_to_and_nobody_else_does(house: House) -> None:
    """A joiner's word counts, the run's own policy does not; and a creator may have said that the run goes on."""
    guests = [house.create(kind, on_disconnect="continue") for kind in ("stream", "wait")]
    kept = [run for _, run in guests]
    for kind in ("stream", "join"):
        asked, silent = (make_run(make_thread(), on_disconnect=mode) for mode in ("continue", "cancel"))
        guests += [(house.join(asked, kind, cancel_on_disconnect=1), asked), (house.join(silent, kind), silent)]
        kept.append(silent)
    for guest, _ in guests:
        guest.leave()
    for _, run in guests:
        if run not in kept:
            cancelled_at(run)
    house.wait_out_a_grace()
    assert [(stored(run).status, stored(run).cancelled_by) for run in kept] == [("pending", "")] * 4


def test_it_goes_on_as_long_as_one_watches_it_through_any_process(house: House) -> None:
    one, run = house.create("stream", 0)
    other = house.join(run, "stream", 1, cancel_on_disconnect=1)
    one.leave()
    house.wait_out_a_grace()
    assert stored(run).status == "pending"
    other.leave()
    cancelled_at(run)


def test_a_client_that_comes_back_through_the_other_process_keeps_its_run(house: House) -> None:
    """As SDKs do: to the address the server named, after the last id it has seen."""
    guest, run = house.create("stream", 0)
    claim(run)
    put(run, "1-0")
    client = guest.client
    assert isinstance(client, Client)
    wait_until(lambda: client.last_id == "1-0", "the first frame")
    guest.leave()
    back = Guest(house.loop, client, house.webs[1])
    house.wait_out_a_grace()
    assert (client.connections, stored(run).status) == (2, "running")
    put(run, "1-1")
    wait_until(lambda: client.last_id == "1-1", "the next frame")
    assert client.ids == ["1-0", "1-1"]
    back.leave()
    cancelled_at(run)


def test_the_end_of_a_stream_is_no_disconnect_nor_is_a_gap(house: House) -> None:
    guest, run = house.create("stream")
    run = claim(run)
    put(run, "1-0", "1-2")
    client = guest.task.result(30)
    assert (client.ids, client.names[-1], client.ended) == (["1-0", "1-1"], "gap", False)
    finished, other = house.create("stream")
    end(claim(other), last_frame=None)
    assert finished.task.result(30).ended
    house.wait_out_a_grace()
    assert (stored(run).status, stored(run).cancelled_by) == ("running", "")
    assert (stored(other).status, stored(other).cancelled_by) == ("success", "")


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_web_process_that_goes_cancels_nothing_and_its_clients_come_back(house: House, how: str) -> None:
    first = house.webs[0]
    guests = [house.create(kind) for kind in ("stream", "wait", "stream")]
    runs = [run for _, run in guests]
    claim(runs[2])
    getattr(first, how)()
    for guest, _ in guests:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            guest.task.result(30)
    house.wait_out_a_grace(1)
    assert [stored(run).status for run in runs] == ["pending", "pending", "running"]
    first.start()
    house.wait_out_a_grace(0)
    assert [stored(run).status for run in runs] == ["pending", "pending", "running"]
    back = Guest(house.loop, guests[2][0].client, first)
    end(stored(runs[2]), last_frame=None)
    assert back.task.result(30).ended
