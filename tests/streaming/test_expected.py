"""A run that is watched from before it is there: nothing is missed, and nothing asked for in vain."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from runs.api import waiting
from runs.api.disconnect import Connection
from runs.api.expected import Expected
from runs.api.presence import Presence
from runs.api.waiting import result
from runs.models import Run
from runs.services.create import RunSpec, create_run
from runs.services.results import find_result
from runs.streaming import hub as hubs
from runs.streaming import interest, log
from runs.streaming.connection import writer
from runs.streaming.frames import From
from runs.streaming.hub import Hub, hub
from runs.streaming.reader import Heartbeat
from runs.streaming.watch import Watch
from tests.support.factories import claim, finish, make_actor, make_thread
from tests.support.handwritten import end, put
from tests.support.ledger import wait_until
from tests.support.reading import HeldReader, Loop, show

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def loop(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    """A loop of its own, in which no row is looked at unless somebody asks."""
    monkeypatch.setattr(hubs, "LOOK_EVERY_SECONDS", 3600.0)
    with Loop() as loop:
        loop.run(loop.hub.close())
        loop.hub = loop.run(_hub_of_requests())
        yield loop


async def _hub_of_requests() -> Hub:
    return hub()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """The runs whose result was asked for."""
    asked: list[UUID] = []

    def ask(run_id: UUID) -> dict[str, Any] | None:
        asked.append(run_id)
        return find_result(run_id)

    monkeypatch.setattr(waiting, "find_result", ask)
    return asked


class Request:
    """Is served in the loop until it is told to end."""

    def __init__(self, loop: Loop) -> None:
        self._loop, self._over = loop, asyncio.Event()
        self.expected: Expected | None = None
        self._served = loop.start(self._serve())

    async def _serve(self) -> None:
        with Presence():
            self.expected = await asyncio.to_thread(Expected)
            await self._over.wait()

    def subscribed(self) -> Expected:
        """What is expected, when everything that happens to it is heard."""
        expected = wait_until(lambda: self.expected, "the request to begin")
        channel = log.channel(expected.run_id)
        wait_until(lambda: self._loop.hub.is_subscribed(channel), "the subscription")
        return expected

    def end(self) -> None:
        async def end() -> None:
            self._over.set()

        self._loop.run(end())
        self._served.result(30)


def create(expected: Expected) -> Run:
    thread, spec = make_thread(), RunSpec(assistant="echo")
    return create_run(thread_id=thread.pk, spec=spec, actor=make_actor(), expected=expected).run


def watchers(run_id: UUID) -> int:
    [(_, count)] = writer().pubsub_numsub(log.channel(run_id))
    return int(count)


def test_the_end_of_a_run_that_was_expected_is_heard_and_its_row_asked_once(loop: Loop, asked: list[UUID]) -> None:
    request = Request(loop)
    expected = request.subscribed()
    run = create(expected)
    assert run.pk == expected.run_id
    assert expected.watch is not None
    answer = loop.start(result(expected.watch, within=30.0, is_new=True))
    finish(claim(run), answer=42)
    assert answer.result(30) == {"answer": 42}
    assert asked == [run.pk]
    request.end()


def test_what_has_happened_before_anybody_waits_is_heard_too(loop: Loop, asked: list[UUID]) -> None:
    request = Request(loop)
    expected = request.subscribed()
    run = finish(claim(create(expected)), answer=42)
    assert expected.watch is not None
    assert loop.run(result(expected.watch, within=30.0, is_new=True)) == {"answer": 42}
    assert asked == [run.pk]
    request.end()


def test_who_is_not_subscribed_when_the_run_is_committed_has_not_heard_everything(loop: Loop) -> None:
    async def serve() -> Expected:
        with Presence():
            expected = Expected()
            expected.before_commit()  # the loop has had no turn
            return expected

    assert loop.run(serve()).watch is None


def test_a_subscription_that_is_not_confirmed_yet_has_not_heard_everything(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has been asked for, and Redis has not answered."""
    monkeypatch.setattr(Hub, "_heed", lambda *_: None)

    async def serve() -> Expected:
        with Presence():
            expected = await asyncio.to_thread(Expected)
            await asyncio.to_thread(wait_until, lambda: watchers(expected.run_id) == 1, "Redis to be asked")
            await asyncio.to_thread(expected.before_commit)
            return expected

    assert loop.run(serve()).watch is None


def test_without_a_server_that_tells_of_its_requests_nobody_listens(loop: Loop) -> None:
    expected = Expected()
    expected.before_commit()
    assert expected.watch is None


def test_the_watch_ends_with_the_request_whether_or_not_a_run_was_made(loop: Loop) -> None:
    request = Request(loop)
    expected = request.subscribed()
    assert watchers(expected.run_id) == 1
    request.end()
    wait_until(lambda: watchers(expected.run_id) == 0, "the end of the subscription")


def test_a_wait_that_hears_nothing_asks_when_its_time_is_over(loop: Loop, asked: list[UUID]) -> None:
    request = Request(loop)
    expected = request.subscribed()
    wait_until(lambda: expected._begun is not None and expected._begun[1].looked, "the look at the begin of a hub")
    run = create(expected)
    watch = expected.watch
    assert watch is not None
    assert loop.run(result(watch, within=0.01, is_new=True)) is None
    assert asked == [run.pk]
    request.end()


def test_who_reads_an_expected_run_and_hears_everything_never_looks_into_its_stream(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_after, looked = log.read_after, list[UUID]()

    async def look(client: Any, run_id: UUID, *rest: Any) -> Any:
        looked.append(run_id)
        return await read_after(client, run_id, *rest)

    async def read(reader: HeldReader, watch: Watch) -> list[str]:
        return [show(item) async for item in reader.follow(watch) if not isinstance(item, Heartbeat)]

    monkeypatch.setattr(log, "read_after", look)
    request = Request(loop)
    expected = request.subscribed()
    wait_until(lambda: expected._begun is not None and expected._begun[1].looked, "the look at the begin of a hub")
    run = create(expected)
    assert expected.watch is not None
    reader = HeldReader(loop.hub, run.pk, From.START, is_new=True, is_expected=True)
    reading = loop.start(read(reader, expected.watch))
    wait_until(lambda: reader.waits, "the reader to wait")
    run = claim(run)
    put(run, "1-0")
    end(run, last_frame=0)
    assert reading.result(30) == ["1-0", "end"]
    assert looked == []
    request.end()


@pytest.mark.parametrize(("is_expected", "notes"), [(True, 0), (False, 1)])
def test_that_an_expected_run_is_watched_is_known_without_a_note(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, is_expected: bool, notes: int
) -> None:
    """Its subscription says so, from before anybody else could come to the run and leave it."""
    noted: list[UUID] = []

    async def note(_: Hub, run_id: UUID, seconds: float) -> None:
        noted.append(run_id)

    async def serve(run: Run, watch: Watch | None) -> int:
        with Presence():
            async with await asyncio.to_thread(Connection.to, run, cares=True, expected=watch):
                return len(noted)

    monkeypatch.setattr(interest, "keep", note)
    request = Request(loop)
    expected = request.subscribed()
    run = create(expected)
    assert loop.run(serve(run, expected.watch if is_expected else None)) == notes
    request.end()


def test_the_confirmation_of_a_subscription_wakes_nobody_who_begins_to_look(loop: Loop) -> None:
    async def watched(run_id: UUID) -> bool:
        async with hub().watch(run_id) as watch:
            return await watch.wait_for_end(0.0)

    first = Request(loop)
    expected = first.subscribed()
    create(expected)
    assert expected.watch is not None
    wait_until(lambda: expected._begun is not None and expected._begun[1].looked, "the look at the begin of a hub")
    assert loop.run(watched(uuid4())) is False
    first.end()
