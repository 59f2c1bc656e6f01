"""One subscription a web process: what it survives, and what its readers cost."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis

from runs.streaming import hub as hubs
from runs.streaming import interest, log, rows
from runs.streaming import reader as reader_module
from runs.streaming.connection import writer
from runs.streaming.hub import Hub
from runs.streaming.rows import RunRow
from runs.streaming.watch import Watch
from tests.support.factories import claim, make_run, make_thread
from tests.support.handwritten import end, put, running_run
from tests.support.ledger import wait_until
from tests.support.reading import Loop

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def loop(db: None) -> Iterator[Loop]:
    """A loop for each test: every hub is new."""
    with Loop() as loop:
        yield loop


def watchers(run_id: UUID) -> int:
    """How many processes are subscribed for this run."""
    [(_, count)] = writer().pubsub_numsub(log.channel(run_id))
    return int(count)


def subscriptions() -> list[Any]:
    """The connections on which somebody listens to runs."""
    clients: Any = writer().client_list(_type="pubsub")
    return [client for client in clients if int(client["sub"]) > 1]


class Watcher:
    """Watches a run until it is told to leave."""

    def __init__(self, loop: Loop, run_id: UUID) -> None:
        self._loop = loop
        self.watch: Watch | None = None
        self.task = loop.start(self._watch(run_id))

    async def _watch(self, run_id: UUID) -> None:
        async with self._loop.hub.watch(run_id) as self.watch:
            await asyncio.sleep(3600)

    def ready(self) -> "Watcher":
        """Return when the block has begun."""
        wait_until(lambda: self.watch, "the watch to begin")
        return self

    def leave(self) -> None:
        """Leave the block as a client does that goes away."""
        self.task.cancel()

    def woken(self) -> bool:
        """Whether something has happened since the last time."""
        assert self.watch is not None
        return self._loop.run(self.watch.wait(5.0))


def test_a_process_has_one_subscription_whatever_the_number_of_its_readers(loop: Loop) -> None:
    runs = [uuid4() for _ in range(30)]
    watching = [Watcher(loop, run_id).ready() for run_id in runs for _ in range(3)]
    assert [watchers(run_id) for run_id in runs] == [1] * 30
    assert len(subscriptions()) == 1
    for each in watching:
        each.leave()
    wait_until(lambda: not any(watchers(run_id) for run_id in runs), "the last to be unsubscribed")


def test_the_subscription_lasts_as_long_as_one_reader(loop: Loop) -> None:
    run_id = uuid4()
    one, other = Watcher(loop, run_id).ready(), Watcher(loop, run_id).ready()
    one.leave()
    wait_until(one.task.cancelled, "the one to leave")
    other.woken()
    log.wake(run_id, uuid4(), "running")
    assert other.woken()
    other.leave()
    wait_until(lambda: watchers(run_id) == 0, "the other to be unsubscribed")


def test_a_reader_whose_client_goes_while_it_subscribes_takes_nobody_with_it(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end must neither leave the next one deaf nor break the connection that all share."""
    Watcher(loop, uuid4()).ready()
    release = loop.run(_event())
    loop.run(_hold_back(loop.hub, release, monkeypatch))
    before = subscriptions()[0]["id"]
    run_id = uuid4()
    first, second = Watcher(loop, run_id), Watcher(loop, run_id)
    loop.run(asyncio.sleep(0))
    first.leave()
    loop.run(_set(release))
    second.ready()
    wait_until(lambda: watchers(run_id) == 1, "the second to be subscribed")
    assert subscriptions()[0]["id"] == before


async def _event() -> asyncio.Event:
    return asyncio.Event()


async def _set(event: asyncio.Event) -> None:
    event.set()


async def _hold_back(hub: Hub, release: asyncio.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis takes its time with subscriptions."""
    subscribe = hub._pubsub.subscribe

    async def slowly(*channels: str) -> None:
        await release.wait()
        await subscribe(*channels)

    monkeypatch.setattr(hub._pubsub, "subscribe", slowly)


def test_it_listens_also_when_something_else_has_begun_before(loop: Loop) -> None:
    loop.run(_begin(loop.hub))
    run_id = uuid4()
    Watcher(loop, run_id).ready()
    wait_until(lambda: watchers(run_id) == 1, "the subscription")


async def _begin(hub: Hub) -> None:
    hub.begin(asyncio.sleep(3600))


def test_a_lost_subscription_comes_back_with_everything_and_wakes_everybody(loop: Loop) -> None:
    runs = [uuid4() for _ in range(3)]
    watching = [Watcher(loop, run_id).ready() for run_id in runs]
    for each in watching:
        each.woken()
    writer().client_kill_filter(_type="pubsub")
    wait_until(lambda: all(watchers(run_id) == 1 for run_id in runs), "everything to be subscribed again")
    assert all(each.woken() for each in watching)


@pytest.mark.parametrize("error", [RuntimeError("concurrent reads"), AttributeError("no connection"), OSError()])
def test_whatever_breaks_the_listener_it_listens_again(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    run_id = uuid4()
    Watcher(loop, run_id).ready()
    before = subscriptions()[0]["id"]

    def broken(*_: object) -> None:
        monkeypatch.undo()
        raise error

    monkeypatch.setattr(loop.hub, "_heed", broken)
    log.wake(run_id, uuid4(), "running")
    wait_until(lambda: [each["id"] for each in subscriptions()] not in ([], [before]), "another subscription")
    wait_until(lambda: watchers(run_id) == 1, "it to be subscribed again")


def test_a_watch_that_ended_while_the_connection_was_away_is_not_subscribed_again(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be taken for somebody who watches, and its run would never be cancelled."""
    stays, goes = uuid4(), uuid4()
    Watcher(loop, stays).ready()
    going = Watcher(loop, goes).ready()
    subscribe = redis.asyncio.client.PubSub.subscribe

    async def slowly(pubsub: Any, *channels: str) -> None:
        await subscribe(pubsub, *channels)
        if log.channel(goes) in channels:
            going.leave()
            await asyncio.sleep(0.05)

    monkeypatch.setattr(redis.asyncio.client.PubSub, "subscribe", slowly)
    writer().client_kill_filter(_type="pubsub")
    wait_until(lambda: watchers(stays) == 1, "the other to be subscribed again")
    wait_until(lambda: watchers(goes) == 0, "the one that went to be unsubscribed")


def test_a_connection_on_which_nothing_is_heard_is_given_up(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half-open: nobody says that it is gone. It is pinged, so silence means something."""
    monkeypatch.setattr(hubs, "SILENCE_SECONDS", 0.3)
    monkeypatch.setattr(hubs, "LOOK_EVERY_SECONDS", 3600.0)  # nobody pings
    run_id = uuid4()
    Watcher(loop, run_id).ready()
    first = subscriptions()[0]["id"]
    wait_until(lambda: first not in [each["id"] for each in subscriptions()], "another connection")


def test_a_quiet_connection_that_answers_pings_is_kept(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(hubs, "LOOK_EVERY_SECONDS", 0.05)
    run_id = uuid4()
    Watcher(loop, run_id).ready()
    first = subscriptions()[0]["id"]
    loop.run(asyncio.sleep(1.5))
    assert [each["id"] for each in subscriptions()] == [first]


def test_a_reader_waits_for_a_wake_and_not_for_the_next_look(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "LOOK_EVERY_SECONDS", 3600.0)
    run = running_run()
    reading = loop.read(run.pk)
    loop.hold(reading)
    put(run, "1-0")
    assert reading.wait_for(1) == ["1-0"]
    end(run, last_frame=0)
    assert reading.to_the_end() == ["1-0", "end"]


def test_a_reader_heeds_a_cancellation_that_was_swallowed(loop: Loop) -> None:
    """As `asyncio.wait_for` does before Python 3.12, and redis-py with it: the client has gone all the same."""

    async def swallow_and_wait() -> None:
        async with loop.hub.watch(uuid4()) as watch:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
            await watch.wait(3600)

    with pytest.raises(CancelledError):
        loop.start(swallow_and_wait()).result(30)


def test_a_thread_is_watched_by_a_wake_and_not_by_the_next_look(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "LOOK_EVERY_SECONDS", 3600.0)
    thread = make_thread()
    reading = loop.read_thread(thread.pk)
    wait_until(lambda: numsub(log.thread_channel(thread.pk)) == 1, "the reader to wait")
    run = claim(make_run(thread))
    put(run, "1-0")
    reading.wait_for((run.pk, "1-0"))
    reading.stop()
    end(run)


def numsub(channel: str) -> int:
    """How many processes are subscribed to the channel."""
    [(_, count)] = writer().pubsub_numsub(channel)
    return int(count)


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """No commit tells anybody anything."""
    monkeypatch.setattr(log, "wake", lambda *_: None)
    monkeypatch.setattr(log, "append_end", lambda *_, **__: None)


def test_an_end_that_nobody_told_is_seen_at_the_next_look(loop: Loop, deaf: None) -> None:
    run = running_run()
    put(run, "1-0")
    reading = loop.read(run.pk, "1-0")
    loop.hold(reading)
    end(run, last_frame=0)
    assert reading.to_the_end() == ["end"]


def test_a_beginning_that_nobody_told_is_seen_at_the_next_look(loop: Loop, deaf: None) -> None:
    thread = make_thread()
    reading = loop.read_thread(thread.pk)
    wait_until(lambda: numsub(log.thread_channel(thread.pk)) == 1, "the reader to wait")
    run = claim(make_run(thread))
    put(run, "1-0")
    reading.wait_for((run.pk, "1-0"))
    reading.stop()
    end(run)


def test_the_rows_of_all_watches_are_read_in_one_statement(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def read(run_ids: Collection[UUID]) -> dict[UUID, RunRow]:
        asked.append(len(run_ids))
        return {}

    monkeypatch.setattr(rows, "read", read)
    monkeypatch.setattr(hubs, "LOOK_EVERY_SECONDS", 0.05)
    runs = [uuid4() for _ in range(20)]
    for run_id in runs:
        Watcher(loop, run_id).ready()
    wait_until(lambda: 20 in asked, "all rows to be read together")


def test_a_server_that_shuts_down_ends_its_streams(loop: Loop) -> None:
    run, thread = running_run(), make_thread()
    put(run, "1-0")
    reading, of_thread = loop.read(run.pk), loop.read_thread(thread.pk)
    reading.wait_for(1)
    wait_until(lambda: numsub(log.thread_channel(thread.pk)) == 1, "the reader to wait")
    loop.run(_shut_down(loop.hub))
    assert reading.to_the_end() == ["1-0"]
    of_thread.task.result(5)
    end(run)


async def _shut_down(hub: Hub) -> None:
    hub._shut_down()


# Whether anybody is interested in a run


@asynccontextmanager
async def another_hub() -> AsyncIterator[Hub]:
    """Another web process."""
    other = Hub()
    try:
        yield other
    finally:
        await other.close()


def test_interest_is_known_over_all_processes(loop: Loop) -> None:
    run_id = uuid4()

    async def scene() -> list[float | None]:
        async with another_hub() as other:
            nobody = await interest.lasts(loop.hub, run_id, 2.0)
            async with other.watch(run_id):
                elsewhere = await interest.lasts(loop.hub, run_id, 2.0)
                here = await interest.lasts(other, run_id, 2.0)
        return [nobody, elsewhere, here]

    assert loop.run(scene()) == [0.0, 2.0, 2.0]


def test_interest_outlives_a_watcher_by_the_time_it_leaves(loop: Loop) -> None:
    run_id = uuid4()
    loop.run(interest.keep(loop.hub, run_id, 60.0))
    left = loop.run(interest.lasts(loop.hub, run_id, 2.0))
    assert left is not None
    assert 50 < left <= 60


def test_interest_is_not_knowable_right_after_a_lost_connection(loop: Loop) -> None:
    """Other processes may still be on their way back: their watchers do not count yet."""
    mine, theirs = uuid4(), uuid4()
    Watcher(loop, mine).ready()
    assert loop.run(interest.lasts(loop.hub, theirs, 2.0)) == 0.0
    writer().client_kill_filter(_type="pubsub")
    wait_until(lambda: loop.hub.lost_at > 0, "the loss to be noticed")
    assert loop.run(interest.lasts(loop.hub, theirs, 2.0)) is None
    assert loop.run(interest.lasts(loop.hub, mine, 2.0)) == 2.0


def test_one_question_that_is_not_answered_leaves_the_interest_knowable(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, asked = interest._ask, []

    async def fail_once(hub: Hub, run_id: UUID) -> tuple[int, int]:
        asked.append(run_id)
        if len(asked) == 1:
            raise redis.ConnectionError("a moment's trouble")
        return await ask(hub, run_id)

    monkeypatch.setattr(interest, "_ask", fail_once)
    run_id = uuid4()
    assert loop.run(interest.lasts(loop.hub, run_id, 2.0)) == 0
    assert asked == [run_id, run_id]


@pytest.mark.parametrize("heard", [log.FRAMES, "pending", "running"])
def test_what_leaves_a_run_in_flight_makes_nobody_ask_whether_it_has_ended(loop: Loop, heard: str) -> None:
    watch = loop.run(_watch_woken_by(heard))
    assert loop.run(watch.wait(0))
    assert not loop.run(watch.wait_for_end(0))


@pytest.mark.parametrize("heard", [log.END_OF_STREAM, "success", "interrupted", "", "a word of another version"])
def test_whatever_else_is_heard_makes_them_ask(loop: Loop, heard: str) -> None:
    watch = loop.run(_watch_woken_by(heard))
    assert loop.run(watch.wait(0))
    assert loop.run(watch.wait_for_end(0))


async def _watch_woken_by(heard: str) -> Watch:
    watch = Watch("a channel")
    watch.wake(heard)
    return watch


class Unheard:
    """Wakes and looks are lost: only the question about all streams is left. Counts what Redis is asked."""

    def __init__(self, loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.questions: list[int] = []
        monkeypatch.setattr(hubs, "LOOK_EVERY_SECONDS", 3600.0)
        monkeypatch.setattr(hubs, "CATCH_UP_SECONDS", 0.2)
        monkeypatch.setattr(loop.hub, "_heed", self._subscriptions_only(loop.hub._heed))
        self.answer: Callable[..., Coroutine[Any, Any, list[bool]]] = log.go_on
        monkeypatch.setattr(log, "go_on", self._count)

    def _subscriptions_only(self, heed: Any) -> Any:
        return lambda message: heed(message) if message["type"] == "subscribe" else None

    async def _count(self, client: Any, places: Collection[Any]) -> list[bool]:
        self.questions.append(len(places))
        return await self.answer(client, list(places))


def test_readers_that_missed_every_wake_are_found_by_one_question(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """In batches; and whoever is not behind is left alone."""
    monkeypatch.setattr(hubs, "CATCH_UP_BATCH", 4)
    unheard = Unheard(loop, monkeypatch)
    runs = [running_run() for _ in range(6)]
    for run in runs:
        put(run, "1-0")
    readings = [loop.read(run.pk) for run in runs]
    assert [reading.wait_for(1) for reading in readings] == [["1-0"]] * 6
    wait_until(lambda: unheard.questions[-2:] == [4, 2], "all of them to be asked for")
    put(runs[5], "1-1")
    assert readings[5].wait_for(2) == ["1-0", "1-1"]
    end(runs[0], last_frame=0)
    assert readings[0].to_the_end() == ["1-0", "end"]
    assert [len(reading.items) for reading in readings[1:5]] == [1] * 4
    for reading in readings[1:]:
        reading.stop()


def test_readers_ask_for_themselves_if_that_question_is_not_answered(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    unheard = Unheard(loop, monkeypatch)

    async def fail(*_: object) -> list[bool]:
        raise redis.ConnectionError("Redis is away")

    unheard.answer = fail
    run = running_run()
    put(run, "1-0")
    reading = loop.read(run.pk)
    assert reading.wait_for(1) == ["1-0"]
    wait_until(lambda: unheard.questions, "a question in vain")
    put(run, "1-1")
    assert reading.wait_for(2) == ["1-0", "1-1"]
    reading.stop()


def test_without_that_question_a_missed_wake_would_be_missed_for_good(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: several heartbeats later the reader still waits."""
    monkeypatch.setattr(reader_module, "HEARTBEAT_SECONDS", 0.1)
    unheard = Unheard(loop, monkeypatch)

    async def nobody(_: Any, places: Collection[Any]) -> list[bool]:
        return [False] * len(places)

    unheard.answer = nobody
    run = running_run()
    put(run, "1-0")
    reading = loop.read(run.pk)
    assert reading.wait_for(1) == ["1-0"]
    wait_until(lambda: unheard.questions, "a question")
    put(run, "1-1")
    beats = reading.heartbeats
    wait_until(lambda: reading.heartbeats > beats + 3, "more heartbeats")
    assert reading.places == ["1-0"]
    reading.stop()
