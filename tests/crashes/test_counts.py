"""A scrape in the middle of a mixed load on real processes, two of which are killed: every counter is what happened."""

import random
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db import connections
from django.db.models import Count, F, Q, Sum

from runs import metrics
from runs.models import Run, RunEvent
from runs.services.api_keys import create_api_key
from runs.states import RunStatus
from tests.support.factories import make_actor, make_thread
from tests.support.ledger import open_gate, wait_for_entry, wait_until
from tests.support.scale import rounds
from tests.support.scrape import Scrape
from tests.support.stack import Stack
from tests.support.worker import WorkerProcess

pytestmark = [pytest.mark.usefixtures("db", "intact", "swept"), pytest.mark.timeout(600)]

STRATEGIES = ("reject", "enqueue", "interrupt", "rollback")
TOKEN = "only-for-tests"


@pytest.fixture
def stack(db: None, tmp_path: Path) -> Iterator[Stack]:
    """Their counters are theirs alone: this process counts elsewhere."""
    with Stack(workers=2, schedulers=1, webs=2, RUNYARD_STATE_DIR=str(tmp_path), RUNYARD_METRICS_TOKEN=TOKEN) as stack:
        yield stack


class Clients:
    """Several at once: they create by every strategy, cancel, stream and wait, and note what they were answered."""

    def __init__(self, webs: list[str], key: str, *, threads: int = 4) -> None:
        self.answers: Counter[tuple[str, str, str]] = Counter()
        self._webs, self._key = webs, key
        self._threads = [str(make_thread().pk) for _ in range(3)]
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._workers = [threading.Thread(target=self._work, args=(number,)) for number in range(threads)]

    def __enter__(self) -> "Clients":
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for worker in self._workers:
            worker.join()

    def wait_for_more(self, count: int) -> None:
        wanted = sum(self.answers.values()) + count
        wait_until(lambda: sum(self.answers.values()) >= wanted, f"{count} more answers", 120.0)

    def create_waiting(self) -> str:
        """A run on a thread of its own that waits at the gate of its name; return its id."""
        body = {"assistant_id": "neighbour", "multitask_strategy": "enqueue", "on_disconnect": "continue"}
        thread = make_thread().pk
        answer = httpx.post(
            f"{self._webs[0]}/threads/{thread}/runs", json=body, headers={"x-api-key": self._key}, timeout=60
        )
        with self._lock:
            self.answers["enqueue", "accepted", ""] += 1
        return str(answer.json()["run_id"])

    def _work(self, seed: int) -> None:
        dice = random.Random(seed)
        with httpx.Client(headers={"x-api-key": self._key}, timeout=60) as http:
            while not self._stopped.is_set():
                self._create(http, dice)

    def _create(self, http: httpx.Client, dice: random.Random) -> None:
        strategy, web = dice.choice(STRATEGIES), dice.choice(self._webs)
        thread = f"{web}/threads/{dice.choice(self._threads)}"
        body: dict[str, Any] = {"assistant_id": dice.choice(("payer", "quitter", "napper"))}
        body |= {"input": {"seconds": dice.choice((0.0, 0.1, 0.3))}, "multitask_strategy": strategy}
        body |= {"on_disconnect": "continue"}
        answer = http.post(f"{thread}/runs", json=body)
        refused = answer.status_code != 200
        with self._lock:
            code = answer.json()["code"] if refused else ""
            self.answers[strategy, "refused" if refused else "accepted", code] += 1
        if refused:
            return
        run = f"{thread}/runs/{answer.json()['run_id']}"
        what = dice.random()
        if what < 0.2:
            http.post(f"{run}/cancel", params={"action": dice.choice(("interrupt", "rollback"))})
        elif what < 0.4:
            http.get(f"{run}/stream")
        elif what < 0.6:
            http.get(f"{run}/join")


def executor_of(run_id: str, stack: Stack) -> WorkerProcess:
    """The worker that executes the run, as soon as one does."""
    wait_for_entry(run_id, "start")
    host = Run.objects.values_list("worker__host", flat=True).get(pk=run_id)
    return next(worker for worker in stack.workers if host == f"{socket.gethostname()}:{worker.pid}")


def everything_has_ended() -> bool:
    return not Run.objects.filter(Q(finished_at=None) | Q(leased=True)).exists()


def test_every_counter_agrees_with_the_database(stack: Stack) -> None:
    key = create_api_key(owner=make_actor().owner, name="key")[1]
    urls = [web.url for web in stack.webs]
    before = Scrape.at(urls[0], TOKEN)
    assert before.by("runyard_runs_created_total", "result") == {}
    during: list[Scrape] = []
    with Clients(urls, key) as clients:
        for _ in range(rounds(10)):
            waiting = clients.create_waiting()
            clients.wait_for_more(10)
            during.append(Scrape.at(urls[0], TOKEN))
            stack.replace(executor_of(waiting, stack))
            open_gate(waiting)
        stack.mend()
        clients.wait_for_more(20)
        during.append(Scrape.at(urls[1], TOKEN))
    wait_until(everything_has_ended, "every run to be settled", 120.0)

    wait_until(lambda: Scrape.at(urls[0], TOKEN).by("runyard_streams_open", "kind") == {}, "streams to be closed")
    after = [wait_until(partial(_with_all_ended, url), "rows that say so", 30.0) for url in urls]

    assert_counters_never_go_back([before, *during, after[0]])
    for found in after:
        assert_agrees(found, clients)
    connections.close_all()


def _with_all_ended(url: str) -> Scrape | None:
    """What a scrape says of the rows may be a moment old."""
    found = Scrape.at(url, TOKEN)
    in_flight = sum(found.value(f"runyard_runs_{name}") for name in ("pending", "running", "stopping"))
    return None if in_flight else found


def assert_counters_never_go_back(scrapes: list[Scrape]) -> None:
    for earlier, later in pairwise(scrapes):
        for (name, labels), value in earlier.samples.items():
            if name.endswith(("_total", "_bucket", "_count", "_sum")):
                assert later.samples[name, labels] >= value, (name, labels)


def assert_agrees(found: Scrape, clients: Clients) -> None:
    assert found.by("runyard_runs_created_total", "strategy", "result", "code") == dict(clients.answers)
    accepted = Run.objects.values_list("multitask_strategy").annotate(count=Count("pk"))
    created = found.by("runyard_runs_created_total", "strategy", "result")
    assert {at[0]: count for at, count in created.items() if at[1] == "accepted"} == dict(accepted)

    ended = {(status,): count for status, count in Run.objects.values_list("status").annotate(count=Count("pk"))}
    assert found.by("runyard_runs_finished_total", "status") == ended
    started = Run.objects.filter(started_at__isnull=False)
    durations = {(status,): count for status, count in started.values_list("status").annotate(count=Count("pk"))}
    assert found.by("runyard_run_duration_seconds_count", "status") == durations
    total = started.aggregate(
        started=Sum(F("started_at") - F("created_at")), ran=Sum(F("finished_at") - F("started_at"))
    )
    assert found.value("runyard_run_start_seconds_count") == started.count()
    assert found.value("runyard_run_start_seconds_sum") == pytest.approx(total["started"].total_seconds())
    assert sum(found.by("runyard_run_duration_seconds_sum").values()) == pytest.approx(total["ran"].total_seconds())

    handed_back = RunEvent.objects.filter(from_status=RunStatus.RUNNING, to_status=RunStatus.PENDING)
    assert found.by("runyard_recoveries_total") == {(): handed_back.count()}
    assert handed_back.exists()
    stopped = RunEvent.objects.filter(from_status=RunStatus.INTERRUPTED, to_status=RunStatus.INTERRUPTED)
    assert found.value("runyard_cancel_seconds_count") == stopped.count() > 0

    # Every event is written under a lock of its own; only what a create displaces shares the lock of the create.
    displaced = Run.objects.filter(displaced_by__isnull=False).count()
    assert found.value("runyard_lock_wait_seconds_count") > RunEvent.objects.count() - displaced > 0
    assert found.value("runyard_stream_gaps_total") == 0
    rows = {name: found.value(f"runyard_{name}") for name in ("runs_pending", "runs_running", "runs_stopping")}
    assert rows == {"runs_pending": 0, "runs_running": 0, "runs_stopping": 0}
    assert found.value("runyard_leases_stalled") == 0
    assert found.value("runyard_workers_alive") == 2
    assert found.families > {instrument.name for instrument in metrics.INSTRUMENTS}
