"""What becomes of a run when its clients go away, over two web processes. Nobody executes these runs but the test."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction

from runs.api.disconnect import Connection
from runs.api.presence import Presence
from runs.locks import lock_thread
from runs.models import Run
from runs.states import RunStatus
from tests.support.client import Waiter
from tests.support.factories import claim, make_run, make_thread, stored
from tests.support.guests import BODY, Guest, House
from tests.support.handwritten import end, put
from tests.support.ledger import wait_until
from tests.support.race import Rival
from tests.support.scale import rounds
from tests.support.stage import wait_for_status

pytestmark = [pytest.mark.usefixtures("swept", "intact"), pytest.mark.timeout(180)]

GRACE_SECONDS = 2.0
LIMIT_SECONDS = 3.0
TIMES = 3
LEFT_ALONE_SECONDS = 120.0


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
    return row.cancelled_at.timestamp()


def test_a_thread_that_is_held_takes_no_thread_of_the_process_and_its_run_is_cancelled_later(house: House) -> None:
    """Those who look at rows for open streams share these few threads: nobody may wait there for long."""
    guest, run = house.create("stream")
    with held(run.thread_id):
        guest.leave()
        house.wait_out_a_grace()
        wait_until(lambda: not waiting_for_locks(), "nobody to wait for the thread")
        assert stored(run).status == "pending"
    cancelled_at(run)


@contextmanager
def held(thread_id: UUID) -> Iterator[None]:
    """Somebody holds the thread's row within this block."""
    is_held, let_go = threading.Event(), threading.Event()

    @transaction.atomic
    def hold() -> None:
        lock_thread(thread_id)
        is_held.set()
        let_go.wait(LEFT_ALONE_SECONDS)

    holder = Rival(hold).start()
    try:
        assert is_held.wait(LEFT_ALONE_SECONDS)
        yield
    finally:
        let_go.set()
        holder.outcome()


def waiting_for_locks() -> int:
    """How many transactions of this database wait for a row that somebody holds."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize("kind", ["stream", "wait"])
def test_a_client_that_goes_before_it_is_answered_has_gone_too(house: House, kind: str) -> None:
    thread = make_thread()
    hasty = Waiter(house.key, f"/threads/{thread.pk}/runs/{kind}", "POST", BODY)
    guest = Guest(house.loop, hasty, house.webs[0])
    run = wait_until(thread.runs.first, "the run")
    left_at = time.time()
    guest.leave()
    assert cancelled_at(run) >= left_at


def test_a_process_that_is_slow_to_begin_an_answer_has_not_lost_its_client(house: House) -> None:
    """Whether the client is there is what the server says; not how long the answer takes."""
    run, begun, over = make_run(make_thread()), threading.Event(), asyncio.Event()

    async def serve() -> None:
        with Presence():
            await sync_to_async(partial(Connection.to, run, cares=True), thread_sensitive=False)()
            begun.set()
            await over.wait()

    async def end() -> None:
        over.set()

    request = house.loop.start(serve())
    assert begun.wait(30)
    house.wait_out_a_grace()
    house.wait_out_a_grace()
    assert stored(run).status == "pending"
    house.loop.run(end())
    request.result(30)
    cancelled_at(run)


def test_a_client_nobody_watches_over_has_gone_unless_its_answer_begins_within_the_grace(house: House) -> None:
    """Behind a server that is not ours."""
    run, asked_at = make_run(make_thread()), time.time()
    house.loop.run(sync_to_async(partial(Connection.to, run, cares=True), thread_sensitive=False)())
    assert cancelled_at(run) >= asked_at


def test_of_many_clients_that_go_as_soon_as_they_are_answered_none_is_overlooked(house: House) -> None:
    """Each goes while its process is busy with its first read, where a cancellation is easily swallowed."""
    runs = []
    for number in range(rounds(200)):
        guest, run = house.create("stream", number % 2)
        guest.leave()
        runs.append(run)
    assert len({run.pk for run in runs if cancelled_at(run)}) == rounds(200)


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
    house.wait_out_a_grace()
    for _, run in guests:
        if run not in kept:
            cancelled_at(run)
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
    client = guest.stream
    wait_until(lambda: client.last_id == "1-0", "the first frame")
    guest.leave()
    guest.come(house.webs[1])
    house.wait_out_a_grace()
    assert (client.connections, stored(run).status) == (2, "running")
    put(run, "1-1")
    wait_until(lambda: client.last_id == "1-1", "the next frame")
    assert client.ids == ["1-0", "1-1"]
    guest.leave()


def test_the_end_of_a_stream_is_no_disconnect_nor_is_a_gap(house: House) -> None:
    guest, run = house.create("stream")
    run = claim(run)
    put(run, "1-0", "1-2")
    client = guest.end()
    assert (client.ids, client.names[-1], client.ended) == (["1-0", "1-1"], "gap", False)
    finished, other = house.create("stream")
    end(claim(other), last_frame=None)
    assert finished.end().ended
    house.wait_out_a_grace()
    assert (stored(run).status, stored(run).cancelled_by) == ("running", "")
    assert (stored(other).status, stored(other).cancelled_by) == ("success", "")


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_web_process_that_goes_cancels_nothing_and_its_clients_come_back(house: House, how: str) -> None:
    """Neither does the other process, nor the one that takes its place."""
    first = house.webs[0]
    guests = [house.create(kind) for kind in ("stream", "wait", "stream")]
    runs = [run for _, run in guests]
    claim(runs[2])
    getattr(first, how)()
    for guest, _ in guests:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            guest.end()
    first.start()
    house.wait_out_a_grace()
    assert [stored(run).status for run in runs] == ["pending", "pending", "running"]
    back = guests[2][0].come(first)
    end(stored(runs[2]), last_frame=None)
    assert back.end().ended
