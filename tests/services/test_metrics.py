"""What is counted, when, and what of it survives the process that has counted it."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from pytest_django import Settings

from runs import metrics
from runs.errors import ThreadBusy, UnknownAssistant, UnsupportedStrategyError
from runs.metrics import store
from runs.services.gauges import gauges, kept
from runs.services.idempotency import Idempotency
from runs.state_dir import state_directory
from runs.states import Departure, RunStatus
from tests.support.factories import (
    bury,
    cancel,
    create,
    drain,
    expire,
    finish,
    leave,
    make_run,
    make_thread,
    make_worker,
    running,
)
from tests.support.scrape import Scrape

pytestmark = pytest.mark.usefixtures("commits")


@pytest.fixture(autouse=True)
def own_directory(settings: Settings, tmp_path: Path) -> None:
    settings.RUNS = {**settings.RUNS, "STATE_DIR": str(tmp_path / "state")}
    store.begin_anew()
    kept.forget()


def scrape() -> Scrape:
    class Collector:
        collect = staticmethod(metrics.collect)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    return Scrape.of(generate_latest(registry).decode())


def in_child(action: Callable[[], None], *, killed: bool = True) -> int:
    """Do it in a forked child that is killed afterwards; return its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            action()
        finally:
            os.kill(os.getpid(), signal.SIGKILL if killed else signal.SIGTERM)
    os.waitpid(pid, 0)
    return pid


def files() -> list[str]:
    return sorted(file.name for file in state_directory(store.DIRECTORY).glob("*.db"))


def test_creates_are_counted_by_strategy_and_result() -> None:
    thread = make_thread()
    make_run(thread, "enqueue")
    make_run(thread, "interrupt")
    for strategy, refusal in (("reject", ThreadBusy), ("nonsense", UnsupportedStrategyError)):
        with pytest.raises(refusal):
            create(thread, strategy)
    with pytest.raises(UnknownAssistant):
        create(thread, "rollback", assistant="nobody")

    assert scrape().by("runyard_runs_created_total", "strategy", "result", "code") == {
        ("enqueue", "accepted", ""): 1,
        ("interrupt", "accepted", ""): 1,
        ("reject", "refused", "thread_busy"): 1,
        ("invalid", "refused", "unsupported_strategy"): 1,
        ("rollback", "refused", "unknown_assistant"): 1,
    }


def test_a_replay_creates_nothing() -> None:
    thread, key = make_thread(), Idempotency(key="a key", route="/", fingerprint="a print")
    for _ in range(2):
        create(thread, idempotency=key)

    assert scrape().by("runyard_runs_created_total", "result") == {("accepted",): 1}


def test_a_life_is_counted_from_start_to_end() -> None:
    thread = make_thread()
    finish(running(thread))
    finish(running(thread), RunStatus.ERROR)
    cancelled = running(thread)
    cancel(cancelled)
    leave(cancelled)
    cancel(make_run(thread))
    found = scrape()

    assert found.by("runyard_runs_finished_total", "status") == {("success",): 1, ("error",): 1, ("interrupted",): 2}
    assert found.value("runyard_run_start_seconds_count") == 3
    assert found.by("runyard_run_duration_seconds_count", "status") == {
        ("success",): 1,
        ("error",): 1,
        ("interrupted",): 1,
    }
    assert found.value("runyard_cancel_seconds_count") == 1
    assert found.value("runyard_lock_wait_seconds_count") > 0


@pytest.mark.parametrize("departure", list(Departure), ids=lambda departure: departure.name.lower())
def test_recoveries_are_counted_by_departure(departure: Departure) -> None:
    leave(running(make_thread()), departure)

    assert scrape().by("runyard_recoveries_total", "departure") == {(departure.name.lower(),): 1}


def test_attempts_exhausted_is_an_end_and_no_recovery() -> None:
    leave(running(make_thread(), max_attempts=1), Departure.CRASH)
    found = scrape()

    assert found.by("runyard_recoveries_total", "departure") == {}
    assert found.by("runyard_runs_finished_total", "status") == {("error",): 1}


def test_what_is_rolled_back_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("runs.dispatch.publish_on_commit", fail)
    with pytest.raises(ZeroDivisionError):
        make_run(make_thread())

    assert scrape().by("runyard_runs_created_total", "result") == {}


def test_everything_is_shown_before_anything_has_happened() -> None:
    found = scrape()

    assert found.families == {instrument.name for instrument in metrics.INSTRUMENTS}
    assert ("runyard_runs_finished_total", frozenset({("status", "timeout")})) in found.samples


def test_counts_survive_the_kill_of_their_process_and_gauges_do_not() -> None:
    def count() -> None:
        metrics.stream_gaps.inc()
        metrics.run_start.observe(0.3)
        metrics.streams_open.add(1, kind="run")

    metrics.stream_gaps.inc()
    pids = [in_child(count) for _ in range(3)]
    assert {f"counter_{pid}.db" for pid in pids} < set(files())

    for _ in range(2):
        found = scrape()
        assert found.value("runyard_stream_gaps_total") == 4
        assert found.value("runyard_run_start_seconds_count") == 3
        assert found.value("runyard_run_start_seconds_bucket", le="0.25") == 0
        assert found.value("runyard_run_start_seconds_bucket", le="0.5") == 3
        assert found.value("runyard_run_start_seconds_sum") == pytest.approx(0.9)
        assert found.by("runyard_streams_open", "kind") == {}
    mine = os.getpid()
    assert files() == [
        f"counter_{mine}.db",
        "counter_past.db",
        f"gauge_livesum_{mine}.db",
        f"histogram_{mine}.db",
        "histogram_past.db",
    ]


@pytest.mark.parametrize("fatal", ["write_text", "replace", "unlink"])
def test_a_crash_while_the_dead_are_added_up_counts_nothing_twice(monkeypatch: pytest.MonkeyPatch, fatal: str) -> None:
    for _ in range(2):
        in_child(metrics.stream_gaps.inc)

    class Crash(BaseException):
        pass

    def crash(path: Path, *_: object, **__: object) -> None:
        if fatal != "unlink" or path.name.startswith("counter_"):
            raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(Path, fatal, crash)
        with pytest.raises(Crash):
            metrics.collect()

    assert scrape().value("runyard_stream_gaps_total") == 2
    assert scrape().value("runyard_stream_gaps_total") == 2


def test_half_a_file_is_set_aside(caplog: pytest.LogCaptureFixture) -> None:
    pid = in_child(metrics.stream_gaps.inc)
    file = state_directory(store.DIRECTORY) / f"counter_{pid}.db"
    data = bytearray(file.read_bytes())
    data[8:12] = (1 << 30).to_bytes(4, "little")
    file.write_bytes(data)

    assert scrape().value("runyard_stream_gaps_total") == 0
    assert file.with_suffix(".broken").exists()
    assert "its counts are lost" in caplog.text


def test_a_directory_that_cannot_be_written_fails_no_run(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings.RUNS = {**settings.RUNS, "STATE_DIR": str(tmp_path / "file")}

    assert finish(running(make_thread())).status == RunStatus.SUCCESS


def test_gauges_are_read_from_the_rows() -> None:
    thread, worker = make_thread(), make_worker()
    first = running(thread, worker)
    for _ in range(2):
        make_run(thread)
    make_run(make_thread(), after_seconds=60)
    make_run(make_thread())
    stopping = running(make_thread(), worker)
    cancel(stopping)
    lost = make_worker()
    running(make_thread(), lost)
    bury(lost)
    expire(make_worker())
    drain(make_worker())

    found = gauges()

    assert {name: value for name, value in found.items() if not name.startswith("runyard_oldest")} == {
        "runyard_database_up": 1,
        "runyard_runs_pending": 4,
        "runyard_runs_scheduled": 1,
        "runyard_runs_startable": 1,
        "runyard_runs_running": 2,
        "runyard_runs_stopping": 1,
        "runyard_leases_stalled": 1,
        "runyard_workers_alive": 2,
        "runyard_workers_draining": 1,
        "runyard_workers_expired": 1,
        "runyard_workers_capacity": 4,
    }
    assert found["runyard_oldest_pending_seconds"] >= found["runyard_oldest_startable_seconds"] > 0
    assert first.status == RunStatus.RUNNING


def test_a_scrape_gives_up_on_a_slow_database(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import connection

    def slow() -> dict[str, float]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(30)")
        return {}

    monkeypatch.setattr("runs.services.gauges.STATEMENT_SECONDS", 0.1)
    monkeypatch.setattr("runs.services.gauges._runs", slow)

    assert gauges() == {"runyard_database_up": 0}


def test_scrapes_at_once_ask_the_database_once(django_assert_num_queries: Callable[[int], object]) -> None:
    gauges()
    with django_assert_num_queries(0):  # type: ignore[attr-defined]
        gauges()
