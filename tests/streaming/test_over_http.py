"""Streams through two web processes: what was lost is told, where one begins, and what a crowd of readers costs."""

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import psutil
import pytest
from django.conf import settings
from django.db import connection
from django.test import override_settings

from runs.models import Run
from runs.states import Departure
from runs.streaming import log
from runs.streaming.connection import READ_CONNECTIONS, writer
from runs.streaming.frames import END
from tests.support.client import Client, path_of
from tests.support.emitters import web_process
from tests.support.factories import claim, leave
from tests.support.guests import Guest, House
from tests.support.handwritten import (
    end,
    finished_run,
    lose,
    pending_run,
    put,
    put_end,
    put_range,
    retained,
    running_run,
)
from tests.support.ledger import wait_until
from tests.support.server import ServerProcess

pytestmark = [pytest.mark.usefixtures("swept", "intact"), pytest.mark.timeout(180)]


def shown(client: Client) -> list[str]:
    """The places of what a client has seen, "gap" and "end" for those."""
    return [event.name if event.name in ("gap", "end") else str(event.id) for event in client.events]


def tail(watch: Callable[[Run], Guest]) -> tuple[Run, list[str], list[str]]:
    """The last frames were not written any more."""
    run = running_run()
    put(run, "1-0", "1-1")
    guest = watch(run)
    wait_until(lambda: len(guest.stream.events) == 2, "what there is")
    end(run, last_frame=3)
    return run, ["1-0", "1-1", "gap"], ["end"]


def middle(watch: Callable[[Run], Guest]) -> tuple[Run, list[str], list[str]]:
    """A frame was not written."""
    run = running_run()
    put(run, "1-0", "1-1")
    lose(run, "1-1")
    put(run, "1-2", "1-3")
    watch(run)
    end(run, last_frame=3)
    return run, ["1-0", "gap"], ["1-2", "1-3", "end"]


def trimmed(watch: Callable[[Run], Guest]) -> tuple[Run, list[str], list[str]]:
    """There were more frames than a stream retains."""
    run = running_run()
    with override_settings(RUNS={**settings.RUNS, "STREAM_MAX_FRAMES": 100}):
        put_range(run, 1, 0, 1000)
    kept = retained(run)
    assert 100 <= len(kept) < 300
    watch(run)
    end(run, last_frame=999)
    return run, ["gap"], [*kept, "end"]


def flushed(watch: Callable[[Run], Guest]) -> tuple[Run, list[str], list[str]]:
    """Redis lost everything, and with it a frame that nobody had seen yet."""
    run = running_run()
    put(run, "1-0", "1-1")
    guest = watch(run)
    wait_until(lambda: len(guest.stream.events) == 2, "what there is")
    writer().flushall()
    put(run, "1-3")
    end(run, last_frame=3)
    return run, ["1-0", "1-1", "gap"], ["1-3", "end"]


def between_attempts(watch: Callable[[Run], Guest]) -> tuple[Run, list[str], list[str]]:
    """Of the second attempt nothing was written."""
    run = running_run()
    put(run, "1-0")
    watch(run)
    for _ in range(2):
        leave(run, Departure.CRASH)
        run = claim(run)
    put(run, "3-0", "3-1")
    end(run, last_frame=1)
    return run, ["1-0", "gap"], ["3-0", "3-1", "end"]


@pytest.mark.parametrize("loss", [tail, middle, trimmed, flushed, between_attempts])
def test_what_was_lost_is_one_gap_and_then_there_is_what_is_left(house: House, loss: Any) -> None:
    guests: list[Guest] = []

    def watch(run: Run) -> Guest:
        guests.append(house.join(run, "stream", after="0"))
        return guests[0]

    _, first, rest = loss(watch)
    client: Client = guests[0].end()
    assert shown(client) == first
    assert client.events[-1].data["code"] == "stream_replay_gap"
    guests[0].come(house.webs[1]).end()
    assert shown(client) == [*first, *rest]


def test_redis_that_lost_everything_is_no_gap_for_whoever_has_seen_it_all(house: House) -> None:
    run = running_run()
    put(run, "1-0", "1-1")
    guest = house.join(run, "stream")
    wait_until(lambda: len(guest.stream.events) == 2, "what there is")
    writer().flushall()
    put(run, "1-2")
    end(run, last_frame=2)
    assert shown(guest.end()) == ["1-0", "1-1", "1-2", "end"]


@pytest.mark.parametrize("cursor", ["-1", "0"])
def test_minus_one_and_zero_mean_from_the_start(house: House, cursor: str) -> None:
    run = running_run()
    put(run, "1-0")
    guest = house.join(run, "stream", after=cursor)
    wait_until(lambda: guest.stream.events, "the start")
    put(run, "1-1")
    end(run, last_frame=1)
    assert shown(guest.end()) == ["1-0", "1-1", "end"]


def test_what_cannot_be_read_means_the_live_tail(house: House) -> None:
    run, waiting, over = running_run(), pending_run(), finished_run()
    put(run, "1-0")
    put(over, "1-0")
    put_end(over, last=0)
    guests = [house.join(each, "stream", after="nonsense") for each in (run, waiting)]
    wait_until(lambda: all(guest.stream.heartbeats for guest in guests), "a heartbeat, also while pending")
    put(run, "1-1")
    waiting = claim(waiting)
    put(waiting, "1-0")
    end(run, last_frame=1)
    end(waiting, last_frame=0)
    assert shown(guests[0].end()) == ["1-1", "end"]
    assert shown(guests[1].end()) == ["1-0", "end"]
    assert shown(house.join(over, "stream", after="nonsense").end()) == ["end"]


def test_a_finished_run_is_answered_from_postgresql_when_its_stream_has_expired(house: House) -> None:
    run = finished_run(last_frame=4, answer=42)
    whole, cut = (house.join(run, "stream", after=cursor) for cursor in ("0", "1-2"))
    client: Client = whole.end()
    assert (client.names, client.ids[-1]) == (["metadata", "values", "end"], f"1-{END}")
    assert client.events[1].data == {"answer": 42}
    assert cut.end().names == ["gap"]
    assert cut.come(house.webs[1]).end().names == ["gap", "values", "end"]
    assert house.join(run, "stream", after="1-4").end().names == ["end"]


# What it costs


def connections_to_redis(web: ServerProcess, kind: str | None = None) -> int:
    """How many connections this process has, as Redis lists them; of this kind, or all."""
    listed: Any = writer().client_list(_type=kind)
    mine = {each.laddr.port for each in psutil.Process(web.pid).net_connections() if each.laddr}
    return sum(int(client["addr"].rpartition(":")[2]) in mine for client in listed)


def test_a_process_has_one_subscription_whatever_the_number_of_its_clients(house: House) -> None:
    runs = [running_run() for _ in range(5)]
    kinds = ("stream", "join")
    guests = [house.join(run, kind, web) for run in runs for kind in kinds for web in (0, 1)]
    guests += [house.join(runs[0], "stream", web) for _ in range(20) for web in (0, 1)]
    for run in runs:
        put(run, "1-0")
    streams = [guest.stream for guest in guests if isinstance(guest.client, Client)]
    wait_until(lambda: all(client.events for client in streams), "all to have the first frame")
    assert [connections_to_redis(web, "pubsub") for web in house.webs] == [1, 1]
    assert max(connections_to_redis(web) for web in house.webs) <= READ_CONNECTIONS + 3
    for run in runs:
        end(run, last_frame=0)
    assert [guest.end() and guest.task.exception() for guest in guests] == [None] * len(guests)


def test_an_open_stream_holds_no_database_connection(house: House, tmp_path: Any) -> None:
    """Without a pool, so that every connection is somebody's."""
    name = f"web-{uuid4()}"
    url = f"{os.environ['DATABASE_URL']}&application_name={name}"
    run = running_run()
    with web_process(tmp_path, pool_size=0, DATABASE_URL=url) as web:
        there = House(house.loop, (web, web), house.key)
        guests = [there.join(run, kind) for kind in ("stream", "join") for _ in range(20)]
        wait_until(lambda: backends(name) > 0, "a moment at which the rows are looked at")
        wait_until(lambda: backends(name) == 0, "a moment without any connection")
        put(run, "1-0")
        end(run, last_frame=0)
        for guest in guests:
            guest.end()


def backends(name: str) -> int:
    """How many connections PostgreSQL has from the application of this name."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [name])
        return int(cursor.fetchone()[0])


@dataclass
class SlowClient(Client):
    """Does not read its socket until it is told to."""

    reads: asyncio.Event = field(default_factory=asyncio.Event)

    async def _take(self, events: Any, most: int | None) -> None:
        await self.reads.wait()
        await super()._take(events, most)


def test_a_client_that_does_not_read_gets_a_gap_and_slows_nobody(house: House) -> None:
    """More than all the buffers between hold, and more frames than a stream retains."""
    run, text = running_run(), "x" * 16_000
    slow = Guest(house.loop, SlowClient(house.key, f"{path_of(run)}/stream"), house.webs[0]).settle()
    quick = [house.join(run, "stream", web) for web in (0, 0, 1)]
    with override_settings(RUNS={**settings.RUNS, "STREAM_MAX_FRAMES": 100}):
        for start in range(0, 1000, 50):
            numbers = range(start, start + 50)
            assert log.append(run.pk, 1, [(number, "custom", json.dumps([number, text])) for number in numbers])
            wait_until(lambda: all(len(guest.stream.events) == numbers.stop for guest in quick), "the quick ones")  # noqa: B023
    kept = retained(run)
    end(run, last_frame=999)
    everything = [*(f"1-{number}" for number in range(1000)), "end"]
    assert [shown(guest.end()) for guest in quick] == [everything] * 3

    client = slow.stream
    assert isinstance(client, SlowClient)
    house.loop.run(wake(client))
    slow.end()
    seen = len(client.events) - 1
    assert 0 < seen < 1000 - len(kept)
    assert shown(client) == [*everything[:seen], "gap"]
    slow.come(house.webs[1]).end()
    assert shown(client) == [*everything[:seen], "gap", *kept, "end"]


async def wake(client: SlowClient) -> None:
    client.reads.set()
