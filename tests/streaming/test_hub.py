"""One subscription a web process: what it survives, and what its readers cost."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any
from uuid import uuid4

import pytest

from runs.streaming import hub as hubs
from runs.streaming import log
from runs.streaming.connection import writer
from runs.streaming.hub import Hub
from runs.streaming.subscription import Subscription
from tests.support.ledger import wait_until
from tests.support.reading import Loop
from tests.support.watching import Watcher, subscriptions, watchers

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def loop(db: None) -> Iterator[Loop]:
    """A loop for each test: every hub is new."""
    with Loop() as loop:
        yield loop


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
    release = _hold_back(loop.hub, monkeypatch)
    before = subscriptions()[0]["id"]
    run_id = uuid4()
    first, second = Watcher(loop, run_id), Watcher(loop, run_id)
    loop.run(asyncio.sleep(0))
    first.leave()
    loop.run(release())
    second.ready()
    wait_until(lambda: watchers(run_id) == 1, "the second to be subscribed")
    assert subscriptions()[0]["id"] == before


def _hold_back(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Coroutine[Any, Any, None]]:
    """Redis takes its time with subscriptions, until what this returns is awaited."""
    assert hub._subscription is not None
    subscribe, held = hub._subscription.subscribe, list[str]()

    async def release() -> None:
        subscribe(*held)

    monkeypatch.setattr(hub._subscription, "subscribe", lambda *channels: held.extend(channels))
    return release


def test_it_listens_also_when_something_else_has_begun_before(loop: Loop) -> None:
    loop.run(_begin(loop.hub))
    run_id = uuid4()
    watcher = Watcher(loop, run_id).ready()
    wait_until(lambda: watchers(run_id) == 1, "the subscription")
    log.wake(run_id, uuid4(), "a word")
    assert watcher.woken()


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
    watcher = Watcher(loop, run_id).ready()
    before = subscriptions()[0]["id"]

    def broken(*_: object) -> None:
        monkeypatch.undo()
        raise error

    monkeypatch.setattr(loop.hub, "_heed", broken)
    log.wake(run_id, uuid4(), "running")
    wait_until(lambda: [each["id"] for each in subscriptions()] not in ([], [before]), "another subscription")
    wait_until(lambda: watchers(run_id) == 1, "it to be subscribed again")
    loop.run(_forget(watcher))
    log.wake(run_id, uuid4(), "a word")
    assert watcher.woken()


def test_a_watch_that_ended_while_the_connection_was_away_is_not_subscribed_again(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be taken for somebody who watches, and its run would never be cancelled."""
    stays, goes = uuid4(), uuid4()
    Watcher(loop, stays).ready()
    going = Watcher(loop, goes).ready()
    connect = Subscription.over

    async def slowly(client: Any) -> Subscription:
        subscription = await connect(client)
        going.leave()
        while log.channel(goes) in loop.hub._watches:
            await asyncio.sleep(0)
        return subscription

    monkeypatch.setattr(Subscription, "over", slowly)
    writer().client_kill_filter(_type="pubsub")
    wait_until(lambda: watchers(stays) == 1, "the other to be subscribed again")
    assert watchers(goes) == 0
    Watcher(loop, goes).ready()
    assert watchers(goes) == 1


def test_who_begins_to_watch_a_run_that_another_has_just_left_is_not_unsubscribed_with_it(loop: Loop) -> None:
    left, again = uuid4(), uuid4()
    leaving = [Watcher(loop, run_id).ready() for run_id in (left, again)]
    for each in leaving:
        each.leave()
    wait_until(lambda: all(each.task.cancelled() for each in leaving), "both to leave")
    watcher = Watcher(loop, again).ready()
    wait_until(lambda: watchers(left) == 0, "the other to be unsubscribed")
    assert watchers(again) == 1
    loop.run(_forget(watcher))
    log.wake(again, uuid4(), "a word")
    assert watcher.woken()


async def _forget(watcher: Watcher) -> None:
    assert watcher.watch is not None
    watcher.watch.forget_wakes()


def test_all_that_have_just_been_left_are_unsubscribed_at_once(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [uuid4() for _ in range(20)]
    watching = [Watcher(loop, run_id).ready() for run_id in runs]
    assert loop.hub._subscription is not None
    unsubscribe, sent = loop.hub._subscription.unsubscribe, list[tuple[str, ...]]()

    def count(*channels: str) -> None:
        sent.append(channels)
        unsubscribe(*channels)

    async def leave() -> None:
        for each in watching:
            assert each.watch is not None
            each.task.cancel()

    monkeypatch.setattr(loop.hub._subscription, "unsubscribe", count)
    loop.run(leave())
    wait_until(lambda: not any(watchers(run_id) for run_id in runs), "all to be unsubscribed")
    assert sorted(map(len, sent)) == [20]


@pytest.mark.parametrize("error", [OSError(), RuntimeError("the handler is closed")])
def test_who_subscribes_on_a_connection_that_is_being_lost_is_subscribed_on_the_next(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    Watcher(loop, uuid4()).ready()
    before = subscriptions()[0]["id"]

    def fail(*_: str) -> None:
        writer().client_kill_filter(_id=before)
        raise error

    monkeypatch.setattr(loop.hub._subscription, "subscribe", fail)
    run_id = uuid4()
    Watcher(loop, run_id).ready()
    wait_until(lambda: watchers(run_id) == 1, "the subscription")
    assert before not in [each["id"] for each in subscriptions()]


def test_a_connection_on_which_nothing_is_heard_is_given_up(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half-open: nobody says that it is gone. It is pinged, so silence means something."""
    monkeypatch.setattr(hubs, "SILENCE_SECONDS", 0.3)
    monkeypatch.setattr(hubs, "LOOK_EVERY_SECONDS", 3600.0)  # nobody pings
    run_id = uuid4()
    Watcher(loop, run_id).ready()
    first = subscriptions()[0]["id"]
    wait_until(lambda: first not in [each["id"] for each in subscriptions()], "another connection")
    wait_until(lambda: watchers(run_id) == 1, "it to be subscribed again")
    assert loop.hub.lost_at > 0


def test_a_quiet_connection_that_answers_pings_is_kept(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(hubs, "LOOK_EVERY_SECONDS", 0.05)
    Watcher(loop, uuid4()).ready()
    first, heed, answers = subscriptions()[0]["id"], loop.hub._heed, list[str]()

    def count(kind: str, *heard: Any) -> None:
        answers.extend([kind] if kind == "pong" else [])
        heed(kind, *heard)

    monkeypatch.setattr(loop.hub, "_heed", count)
    wait_until(lambda: len(answers) > 20, "more answers than there would be time for")
    assert [each["id"] for each in subscriptions()] == [first]
