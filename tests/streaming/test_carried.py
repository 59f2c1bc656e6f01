"""Frames that come with their wake: given without asking Redis where nothing can be missing, and only there."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from runs.models import Run
from runs.states import Departure
from runs.streaming import hub as hubs
from runs.streaming import log, wakes
from runs.streaming.connection import writer
from runs.streaming.frames import END, Cursor, Frame, From, Place
from runs.streaming.reader import Item, RunReader
from runs.streaming.watch import Watch
from tests.support.factories import claim, leave
from tests.support.handwritten import end, lose, put, put_end, put_range, running_run, wipe
from tests.support.ledger import wait_until
from tests.support.reading import Loop, place, show
from tests.support.watching import Eavesdropper, Watcher, numsub

pytestmark = pytest.mark.usefixtures("db")

LARGE = json.dumps("x" * wakes.MOST_CARRIED)


@pytest.fixture
def loop(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    """A loop of its own, in which nobody looks unless somebody is told to."""
    monkeypatch.setattr(hubs, "LOOK_EVERY_SECONDS", 3600.0)
    monkeypatch.setattr(hubs, "CATCH_UP_SECONDS", 3600.0)
    with Loop() as loop:
        first = Watcher(loop, uuid4()).ready()
        wait_until(lambda: first.watch and first.watch.looked, "the look at the begin of a hub")
        yield loop


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """The runs into whose stream somebody has looked."""
    read_after, looked = log.read_after, list[UUID]()

    async def look(client: Any, run_id: UUID, *rest: Any) -> Any:
        looked.append(run_id)
        return await read_after(client, run_id, *rest)

    monkeypatch.setattr(log, "read_after", look)
    return looked


class Client:
    """Takes one item after the other, when the test wants: in between it is slow."""

    def __init__(self, loop: Loop, run: Run, cursor: Cursor = From.START) -> None:
        self._loop, self._channel = loop, log.channel(run.pk)
        self._items: Any = RunReader(loop.hub, run.pk, cursor).read()

    def asks(self) -> Any:
        """Begin to wait for the next item; return when nothing has come by looking."""
        asked = self._loop.start(self._next())
        wait_until(lambda: asked.done() or self.watch.waits_for_frames, "the reader to wait")
        return asked

    def takes(self, count: int) -> list[str]:
        """The places of the next items."""
        return [show(self._loop.run(self._next())) for _ in range(count)]

    async def _next(self) -> Item:
        item: Item = await anext(self._items)
        return item

    @property
    def watch(self) -> Watch:
        """Its eye on the run."""
        (watch,) = self._loop.hub._watches[self._channel]
        return watch

    def hears(self, carried: tuple[str, ...] | int) -> None:
        """Return when this is kept for it, or this many wakes."""
        wait_until(
            lambda: carried in (self.watch._carried, len(self.watch._carried or ())), f"{carried} to be kept for it"
        )

    def leave(self) -> None:
        self._loop.run(self._items.aclose())


@pytest.fixture
def run(db: None) -> Run:
    """A run in its first attempt, with one frame."""
    run = running_run()
    put(run, "1-0")
    return run


@pytest.fixture
def client(loop: Loop, run: Run) -> Iterator[Client]:
    """Somebody who has the first two frames, of which the second came while he waited, and is slow now."""
    client = Client(loop, run)
    assert client.takes(1) == ["1-0"]
    asked = client.asks()
    put(run, "1-1")
    assert show(asked.result(30)) == "1-1"
    yield client
    client.leave()


def silently(run: Run, *places: str) -> None:
    """Frames whose wake is lost."""
    for each in places:
        writer().xadd(log.key(run.pk), {"e": "custom", "d": json.dumps(each)}, id=each)


def say(run: Run, *lines: str) -> None:
    """A wake that nobody has sent, or that comes again."""
    writer().publish(log.channel(run.pk), "\n".join(lines))


def carrying(*places: str) -> list[str]:
    """The lines of a wake for frames of one attempt."""
    lines = [line for each in places for line in (each.split("-")[1], "custom", json.dumps(each))]
    return ["frames", str(place(places[0]).attempt), *lines, ""]


def test_who_has_everything_gets_what_comes_without_looking(loop: Loop, looks: list[UUID]) -> None:
    run = running_run()
    reading = loop.read(run.pk)
    loop.hold(reading)
    looks.clear()
    put(run, "1-0")
    assert reading.wait_for(1) == ["1-0"]
    put_range(run, 1, 1, 300)
    end(run, last_frame=299)
    assert reading.to_the_end() == [f"1-{number}" for number in range(300)] + ["end"]
    assert looks == []


def test_what_was_carried_is_what_is_kept(loop: Loop) -> None:
    run = running_run()
    reading = loop.read(run.pk)
    loop.hold(reading)
    error = {"error": "ValueError", "message": "a\nb"}
    assert log.append(run.pk, 1, [(0, "metadata", '{"a": 1}'), (1, "values|a:1", '"h\u00e9\\n\u2028\\u2028\x85"')])
    put_end(run, last=1, error=error)
    assert reading.to_the_end() == ["1-0", "1-1", "end"]
    assert reading.items == loop.run(log.read_after(loop.hub.client, run.pk, None, 10))


def test_who_resumes_goes_on_with_what_comes(loop: Loop, run: Run, looks: list[UUID]) -> None:
    reading = loop.read(run.pk, "1-0")
    loop.hold(reading)
    looks.clear()
    put(run, "1-1", "1-2")
    assert reading.wait_for(2) == ["1-1", "1-2"]
    assert looks == []
    reading.stop()


def test_frames_whose_wake_was_lost_are_looked_for_before_those_that_came(
    run: Run, client: Client, looks: list[UUID]
) -> None:
    silently(run, "1-2")
    put(run, "1-3")
    assert client.takes(2) == ["1-2", "1-3"]
    assert looks == [run.pk]


def test_wakes_that_come_twice_or_late_give_nothing_twice(run: Run, client: Client, looks: list[UUID]) -> None:
    put(run, "1-2", "1-3")
    say(run, *carrying("1-2"))
    say(run, *carrying("1-1", "1-2", "1-3"))
    client.hears(4)
    assert client.takes(2) == ["1-2", "1-3"]
    asked = client.asks()
    say(run, *carrying("1-0", "1-1"))
    put(run, "1-4")
    assert show(asked.result(30)) == "1-4"
    assert looks == []


def test_wakes_in_the_wrong_order_are_no_order_of_frames(run: Run, client: Client) -> None:
    silently(run, "1-2", "1-3")
    say(run, *carrying("1-3"))
    say(run, *carrying("1-2"))
    client.hears(2)
    assert client.takes(2) == ["1-2", "1-3"]


def test_a_wake_that_carries_nothing_has_everything_looked_for(run: Run, client: Client, looks: list[UUID]) -> None:
    """Also what is known from the wakes beside it: nobody else would say that there is more."""
    put(run, "1-2")
    client.hears(1)
    assert log.append(run.pk, 1, [(3, "values", LARGE)])
    client.hears(())
    put(run, "1-4")
    assert client.takes(3) == ["1-2", "1-3", "1-4"]
    assert looks == [run.pk]


def test_another_attempt_is_looked_for(loop: Loop, run: Run, looks: list[UUID]) -> None:
    """Only the stream knows how many frames the former had."""
    reading = loop.read(run.pk)
    reading.wait_for(1)
    loop.hold(reading)
    looks.clear()
    leave(run, Departure.CRASH)
    silently(run, "1-1")
    put(claim(run), "2-0")
    assert reading.wait_for(3) == ["1-0", "1-1", "2-0"]
    assert looks == [run.pk]
    reading.stop()


def test_an_end_that_does_not_say_what_was_the_last_is_looked_for(loop: Loop, run: Run, client: Client) -> None:
    silently(run, "1-2")
    put_end(run)
    assert client.takes(2) == ["1-2", "end"]


def test_an_end_after_frames_that_nobody_has_heard_of_is_looked_for(run: Run, client: Client) -> None:
    silently(run, "1-2")
    put_end(run, last=2)
    assert client.takes(2) == ["1-2", "end"]


def test_the_tail_of_a_stream_that_has_nothing(loop: Loop, run: Run) -> None:
    """The first wake need not be that of the first frame."""
    wipe(run)
    reading = loop.read(run.pk, From.TAIL)
    loop.hold(reading)
    silently(run, "1-1")
    put(run, "1-2")
    assert reading.wait_for(2) == ["1-1", "1-2"]
    reading.stop()


@pytest.mark.parametrize(
    "lines",
    [
        ["frames", "1", "2", "custom", ""],
        ["frames", "1", "2", "custom", '"1-2"', "3", ""],
        ["frames", "1", "x", "custom", '"1-2"', ""],
        ["frames", "", ""],
        ["frames", "1"],
        ["frames", ""],
        ["a word of another version", "1", "2", "custom", '"1-2"', "more"],
    ],
)
def test_what_nobody_of_ours_has_said_is_no_frame(run: Run, client: Client, lines: list[str]) -> None:
    silently(run, "1-2")
    say(run, *lines)
    assert client.takes(1) == ["1-2"]


def test_an_attempt_does_not_go_on_where_another_was(run: Run, client: Client) -> None:
    """Its frame has the next number, by chance, and those before it were announced in vain."""
    silently(run, "2-0", "2-1")
    put(run, "2-2")
    assert client.takes(3) == ["2-0", "2-1", "2-2"]


def test_a_slow_client_keeps_few_wakes_and_misses_nothing(run: Run, client: Client, looks: list[UUID]) -> None:
    everything = [f"1-{number}" for number in range(2, wakes.MOST_WAKES + 3)]
    put(run, *everything[:-1])
    client.hears(wakes.MOST_WAKES)
    put(run, everything[-1])
    client.hears(())
    assert client.takes(len(everything)) == everything
    assert looks == [run.pk]


def test_a_slow_client_keeps_few_bytes_and_misses_nothing(run: Run, client: Client) -> None:
    half = json.dumps("x" * (wakes.MOST_CHARACTERS // 3))
    for number in (2, 3):
        assert log.append(run.pk, 1, [(number, "values", half)])
    client.hears(2)
    assert log.append(run.pk, 1, [(4, "values", half)])
    client.hears(())
    assert client.takes(3) == ["1-2", "1-3", "1-4"]


def test_who_is_to_look_keeps_nothing_until_then() -> None:
    watch = Watch("a channel", waits_for_frames=True)
    watch.wake(log.FRAMES, "carried")
    watch.wake(log.FRAMES)
    watch.wake(log.FRAMES, "carried")
    assert watch._carried == watch.take() == ()
    watch.wake(log.FRAMES, "carried")
    assert watch.take() == ("carried",)


def test_for_those_who_do_not_read_nothing_is_kept(loop: Loop, run: Run) -> None:
    """Who waits for a result is woken by its end, and would never take them."""

    async def wait() -> tuple[str, ...] | None:
        async with loop.hub.watch(run.pk) as watch:
            await watch.wait(30)
            return watch._carried

    waiting = loop.start(wait())
    wait_until(lambda: numsub(log.channel(run.pk)) == 1, "somebody to listen")
    put(run, "1-1")
    assert waiting.result(30) == ()


@pytest.fixture
def listener(run: Run) -> Iterator[Eavesdropper]:
    """Hears what is published of the run from now on."""
    listener = Eavesdropper(log.channel(run.pk))
    yield listener
    listener.close()


def test_a_wake_carries_what_was_appended_and_what_it_could_not_append_it_does_not(
    run: Run, listener: Eavesdropper
) -> None:
    assert log.append(run.pk, 1, [(1, "custom", "1"), (2, "custom", "2")])
    assert log.append(run.pk, 1, [(2, "custom", "2"), (3, "custom", "3")])  # its answer to the first try was lost
    put_end(run, last=3)
    assert not log.append(run.pk, 1, [(4, "custom", "4")])
    put_end(run, last=7)
    assert [listener.next() for _ in range(4)] == [
        "frames\n1\n1\ncustom\n1\n2\ncustom\n2\n",
        "frames",
        f'end\n1\n{END}\nend\n{{"error": null, "last": 3}}\n',
        "end",
    ]


def test_a_fenced_attempt_says_nothing(run: Run, listener: Eavesdropper) -> None:
    put(run, "2-0")
    assert not log.append(run.pk, 1, [(1, "custom", "1")])
    put_end(run, 1, last=0)
    assert [listener.next() for _ in range(2)] == ['frames\n2\n0\ncustom\n"2-0"\n', "end"]


def test_what_is_large_is_not_carried(run: Run, listener: Eavesdropper) -> None:
    assert log.append(run.pk, 1, [(1, "values", LARGE), (2, "custom", "2")])
    put_end(run, last=2, error={"error": "E", "message": LARGE})
    assert [listener.next() for _ in range(2)] == ["frames", "end"]


def test_a_line_break_in_an_event_is_no_end_of_it(loop: Loop, run: Run) -> None:
    """Nobody could be sent it: whatever is of several lines is an event of its own to a client."""
    assert log.append(run.pk, 1, [(1, "custom\n5\ncustom", '{"a":\n1}'), (2, "custom", "2")])
    reading = loop.read(run.pk, "1-0")
    assert reading.wait_for(2) == ["1-1", "1-2"]
    assert reading.items[0] == Frame(Place(1, 1), "custom 5 custom", '{"a": 1}')
    reading.stop()


def test_a_frame_that_is_lost_again_was_given_once(run: Run, client: Client) -> None:
    """Redis came back without it, and its executor goes on."""
    put(run, "1-2")
    client.hears(1)
    lose(run, "1-2")
    put(run, "1-3")
    client.hears(2)
    assert client.takes(2) == ["1-2", "1-3"]
