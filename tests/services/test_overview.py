"""What the dashboard is told, of runs whose every time is known."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from runs.locks import clock
from runs.models import Run
from runs.services import overview as now_module
from runs.services import trends as trends_module
from runs.services.overview import Executing, overview
from runs.services.trends import WINDOWS, Times, Trends, trends
from runs.states import RunStatus
from tests.support.factories import cancel, drain, expire, finish, make_run, make_thread, make_worker, running

NOW = datetime.fromisoformat("2026-11-29T12:00:20+00:00")
STEPS_BEGIN = datetime.fromisoformat("2026-11-29T12:00:00+00:00")


def shift(run: Run, *, created: float, started: float | None = None, finished: float | None = None) -> None:
    """Let it have happened this many seconds before NOW."""
    times: dict[str, Any] = {"created_at": created, "started_at": started, "finished_at": finished}
    known = {name: NOW - timedelta(seconds=ago) for name, ago in times.items() if ago is not None}
    Run.objects.filter(pk=run.pk).update(**known)


def over(window: str, *, waiting: int = 0) -> Trends:
    """The trends of the window that ends NOW."""
    return trends(WINDOWS[window], now=NOW, waiting=waiting)


def test_an_empty_installation() -> None:
    found = overview()
    assert (found.waiting.total, found.waiting.oldest, found.waiting.is_more) == (0, None, False)
    assert found.executing == Executing(
        workers=0, capacity=0, running=0, stopping=0, expired=0, draining=0, finishing=0
    )
    assert abs(found.now - clock()) < timedelta(seconds=10)


def test_what_waits_is_told_apart_by_what_it_waits_for() -> None:
    busy, free, planned = make_thread(), make_thread(), make_thread()
    first = running(busy)
    oldest = make_run(busy)
    make_run(free)
    make_run(planned, after_seconds=3600)
    found = overview().waiting
    assert (found.for_worker, found.for_thread, found.scheduled, found.total) == (1, 1, 1, 3)
    assert (found.for_first_attempt, found.oldest) == (3, oldest.created_at)
    finish(first)
    assert overview().waiting.for_worker == 2


def test_counting_stops_at_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(now_module, "COUNT_AT_MOST", 2)
    thread = make_thread()
    runs = [make_run(thread) for _ in range(3)]
    found = overview().waiting
    assert (found.total, found.is_more, found.oldest) == (2, True, runs[0].created_at)


def test_places_of_workers_that_live_are_counted() -> None:
    alive, gone = make_worker("a"), make_worker("b")
    running(make_thread(), alive)
    cancel(running(make_thread(), alive))
    running(make_thread(), gone)
    expire(gone)
    found = overview().executing
    assert found == Executing(workers=1, capacity=4, running=1, stopping=1, expired=1, draining=0, finishing=0)
    assert (found.used, found.takers) == (2, 1)


def test_places_of_workers_that_are_drained_are_not() -> None:
    taking, drained, gone = make_worker("a"), make_worker("b"), make_worker("c")
    for worker in (taking, drained, gone):
        running(make_thread(), worker)
    drain(drained)
    drain(gone)
    expire(gone)
    found = overview().executing
    assert found == Executing(workers=2, capacity=4, running=2, stopping=0, expired=1, draining=1, finishing=1)
    assert (found.used, found.takers) == (1, 1)


def test_nothing_has_happened() -> None:
    found = over("15m")
    assert [len(over(name).steps) for name in WINDOWS] == [30, 30, 48, 28]
    assert (found.steps[0].start, found.steps[-1].start) == (STEPS_BEGIN - timedelta(seconds=29 * 30), STEPS_BEGIN)
    assert (found.finished, found.failed, found.is_cut) == (0, 0, False)
    assert found.whole.waited == found.whole.took == Times(0, None, None)


def test_runs_are_counted_in_the_step_in_which_it_happened() -> None:
    shift(finish(running(make_thread())), created=100, started=90, finished=50)  # 11:58:40, 11:58:50, 11:59:30
    shift(finish(running(make_thread()), RunStatus.ERROR), created=19, started=15, finished=5)
    shift(cancel(make_run(make_thread())), created=40, finished=10)
    shift(running(make_thread()), created=18, started=17)
    found = over("15m")

    last, before = found.steps[-1], found.steps[-2]
    assert {status: count for status, count in last.finished.items() if count} == {"error": 1, "interrupted": 1}
    assert {status: count for status, count in before.finished.items() if count} == {"success": 1}
    assert [step.created for step in found.steps[-4:]] == [1, 0, 1, 2]
    assert (found.finished, found.failed, found.whole.created) == (3, 1, 4)
    assert (last.took, before.took) == (Times(1, 10.0, 10.0), Times(1, 40.0, 40.0))
    assert found.whole.took == Times(2, 25.0, 38.5)
    assert (last.waited.count, last.waited.p50) == (2, 2.5)


def test_a_run_that_was_scheduled_did_not_wait_before_its_time() -> None:
    run = running(make_thread())
    shift(run, created=600, started=10)
    Run.objects.filter(pk=run.pk).update(not_before=NOW - timedelta(seconds=13))
    assert over("15m").whole.waited == Times(1, 3.0, 3.0)


def test_what_lies_outside_of_the_window_is_not_counted() -> None:
    shift(finish(running(make_thread())), created=8 * 86400, started=8 * 86400, finished=7.5 * 86400)
    shift(finish(running(make_thread())), created=7200, started=7100, finished=7000)
    assert [over(name).finished for name in WINDOWS] == [0, 0, 1, 1]


def test_how_many_waited_is_reckoned_back_from_now() -> None:
    shift(make_run(make_thread()), created=200)
    shift(finish(running(make_thread())), created=100, started=30, finished=10)
    shift(cancel(make_run(make_thread())), created=85, finished=5)
    depths = [step.depth for step in over("15m", waiting=1).steps]
    # 11:57:00 one was created, 11:58:40 and 11:58:55 the others; 11:59:50 one began, 12:00:15 one was cancelled.
    assert depths[-8:] == [0, 1, 1, 1, 3, 3, 2, 1]


def test_more_runs_than_are_read_cut_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trends_module, "MAX_RUNS", 2)
    for ago in (30, 20, 10):
        shift(finish(running(make_thread())), created=ago, started=ago, finished=ago)
    found = over("15m")
    assert (found.is_cut, found.finished) == (True, 2)
