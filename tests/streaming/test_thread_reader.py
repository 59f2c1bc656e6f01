"""A reader of a thread's stream: all runs, in the order in which they began, with a cursor of its own."""

from uuid import UUID

import pytest

from runs.models import ClockTimestamp, Run, Thread
from runs.services.retention import remove_deleted_runs, remove_deleted_threads
from runs.services.threads import create_thread, delete_run, delete_thread
from runs.streaming import thread_reader
from runs.streaming.frames import END
from tests.support.factories import cancel, claim, make_actor, make_run, make_thread
from tests.support.handwritten import end, put, wipe
from tests.support.reading import Loop

pytestmark = pytest.mark.usefixtures("db", "intact")


@pytest.fixture
def thread(db: None) -> Thread:
    """An empty thread."""
    return make_thread(make_actor("ada"))


def begin(thread: Thread) -> Run:
    """A run that executes, without frames."""
    return claim(make_run(thread))


def over(thread: Thread) -> Run:
    """A run that has emitted one frame and ended."""
    run = begin(thread)
    put(run, "1-0")
    return end(run, last_frame=0)


def whole(run: Run) -> list[tuple[UUID, str]]:
    """What a reader gets of a run that is `over`."""
    return [(run.pk, "1-0"), (run.pk, "end")]


def test_the_run_that_executes_from_its_start_and_then_the_next_ones(loop: Loop, thread: Thread) -> None:
    over(thread)
    first = begin(thread)
    put(first, "1-0", "1-1")
    reading = loop.read_thread(thread.pk)
    reading.wait_for((first.pk, "1-0"), (first.pk, "1-1"))
    end(first, last_frame=1)
    second = begin(thread)
    put(second, "1-0")
    reading.wait_for((first.pk, "1-0"), (first.pk, "1-1"), (first.pk, "end"), (second.pk, "1-0"))
    reading.stop()
    end(second)


def test_a_run_that_is_over_before_its_reader_has_looked(loop: Loop, thread: Thread) -> None:
    """It began and ended within one blink: there is no moment at which it could be seen executing."""
    over(thread)
    reading = loop.read_thread(thread.pk)
    quick, quicker = over(thread), over(thread)
    reading.wait_for(*whole(quick), *whole(quicker))
    reading.stop()


def test_the_first_run_of_a_thread_that_is_over_before_its_reader_has_looked(loop: Loop, thread: Thread) -> None:
    reading = loop.read_thread(thread.pk)
    quick = over(thread)
    reading.wait_for(*whole(quick))
    reading.stop()


def test_runs_come_in_the_order_in_which_they_began_and_not_in_which_they_were_accepted(
    loop: Loop, thread: Thread
) -> None:
    reading = loop.read_thread(thread.pk)
    late = make_run(thread, after_seconds=3600)
    early = over(thread)
    Run.objects.filter(pk=late.pk).update(not_before=ClockTimestamp())  # its time has come
    late = claim(late)
    put(late, "1-0")
    end(late, last_frame=0)
    reading.wait_for(*whole(early), *whole(late))
    reading.stop()


def test_a_run_that_never_began_is_not_shown(loop: Loop, thread: Thread) -> None:
    reading = loop.read_thread(thread.pk)
    cancel(make_run(thread))
    shown = over(thread)
    reading.wait_for(*whole(shown))
    reading.stop()


def test_it_ends_with_the_thread(loop: Loop, thread: Thread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_reader, "HEARTBEAT_SECONDS", 0.05)
    reading = loop.read_thread(thread.pk, owner=thread.owner)
    run = over(thread)
    reading.wait_for(*whole(run))
    delete_thread(thread_id=thread.pk, actor=make_actor("ada"))
    reading.task.result(30.0)
    reading.wait_for(*whole(run))


@pytest.mark.parametrize(("watches_as", "sees"), [("ada", False), (None, True)])
def test_the_next_owner_of_its_id_is_not_watched(
    loop: Loop, thread: Thread, watches_as: str | None, sees: bool
) -> None:
    """A deleted thread's id is free, and whoever had it before may still be connected. Without an owner it shows."""
    ada = make_actor("ada")
    reading = loop.read_thread(thread.pk, owner=watches_as and ada.owner)
    run = over(thread)
    reading.wait_for(*whole(run))
    delete_thread(thread_id=thread.pk, actor=ada)
    assert remove_deleted_threads() > 0
    assert not Thread.objects.filter(pk=thread.pk).exists()
    another = over(create_thread(actor=make_actor("bob"), thread_id=thread.pk))
    if sees:
        reading.wait_for(*whole(run), *whole(another))
        reading.stop()
    else:
        reading.task.result(30.0)
        reading.wait_for(*whole(run))


@pytest.mark.parametrize("cursor", ["0", "-1", "0-0"])
def test_from_the_first_run(loop: Loop, thread: Thread, cursor: str) -> None:
    first, second = over(thread), over(thread)
    reading = loop.read_thread(thread.pk, cursor)
    reading.wait_for(*whole(first), *whole(second))
    third = over(thread)
    reading.wait_for(*whole(first), *whole(second), *whole(third))
    reading.stop()


def test_exactly_what_is_after_the_cursor(loop: Loop, thread: Thread) -> None:
    first, second, third = over(thread), over(thread), over(thread)
    everything = [*whole(first), *whole(second), *whole(third)]
    ids = [f"{run_id}/{f'1-{END}' if shown == 'end' else shown}" for run_id, shown in everything]
    for count, last_id in enumerate(ids[:-1], start=1):
        reading = loop.read_thread(thread.pk, last_id)
        reading.wait_for(*everything[count:])
        assert reading.last_id == ids[-1]
        reading.stop()


def test_a_cursor_at_the_end_of_a_run_shows_only_what_begins_after_it(loop: Loop, thread: Thread) -> None:
    first = over(thread)
    reading = loop.read_thread(thread.pk, f"{first.pk}/1-{END}")
    second = over(thread)
    reading.wait_for(*whole(second))
    reading.stop()


@pytest.mark.parametrize("cursor", ["nonsense", "1-0", "nonsense/1-0", "/", ""])
def test_a_cursor_that_cannot_be_read_means_from_now_on(loop: Loop, thread: Thread, cursor: str) -> None:
    over(thread)
    reading = loop.read_thread(thread.pk, cursor)
    following = over(thread)
    reading.wait_for(*whole(following))
    reading.stop()


def test_a_cursor_in_a_run_of_another_thread_shows_nothing_of_it(loop: Loop, thread: Thread) -> None:
    """Whoever may see one thread must not see another with its help."""
    foreign = over(make_thread(make_actor("bob")))
    reading = loop.read_thread(thread.pk, f"{foreign.pk}/0")
    mine = over(thread)
    reading.wait_for(*whole(mine))
    reading.stop()


def test_a_cursor_in_a_run_that_was_deleted_is_a_gap_that_leads_to_what_there_is(loop: Loop, thread: Thread) -> None:
    kept, gone, missed = over(thread), over(thread), over(thread)
    delete_run(thread_id=thread.pk, run_id=gone.pk, actor=make_actor("ada"))
    for removed in (False, True):
        if removed:
            remove_deleted_runs()
        reading = loop.read_thread(thread.pk, f"{gone.pk}/1-0")
        reading.wait_for((kept.pk, "gap"))
        again = loop.read_thread(thread.pk, reading.last_id)
        again.wait_for(*whole(kept), *whole(missed))
        again.stop()


def test_a_run_that_is_deleted_under_its_reader(loop: Loop, thread: Thread) -> None:
    earlier = over(thread)
    run = begin(thread)
    put(run, "1-0")
    reading = loop.read_thread(thread.pk)
    reading.wait_for((run.pk, "1-0"))
    end(run, last_frame=0)
    reading.wait_for(*whole(run))
    delete_run(thread_id=thread.pk, run_id=run.pk, actor=make_actor("ada"))
    remove_deleted_runs()
    following = over(thread)
    reading.wait_for(*whole(run), *whole(following))
    reading.stop()
    assert Run.objects.filter(pk=earlier.pk).exists()


def test_a_gap_in_a_run_is_a_gap_of_the_thread_and_leads_on(loop: Loop, thread: Thread) -> None:
    run = begin(thread)
    put(run, "1-0", "1-2")
    end(run, last_frame=2)
    following = over(thread)
    reading = loop.read_thread(thread.pk, f"{run.pk}/0")
    reading.wait_for((run.pk, "1-0"), (run.pk, "gap"))
    again = loop.read_thread(thread.pk, reading.last_id)
    again.wait_for((run.pk, "1-2"), (run.pk, "end"), *whole(following))
    again.stop()


def test_runs_whose_streams_have_expired_are_shown_from_what_is_kept(loop: Loop, thread: Thread) -> None:
    run = begin(thread)
    end(run, last_frame=3, answer=42)
    wipe(run)
    following = over(thread)
    reading = loop.read_thread(thread.pk, "0")
    reading.wait_for((run.pk, "1-0"), (run.pk, f"1-{END - 1}"), (run.pk, "end"), *whole(following))
    reading.stop()
