"""How long the console's pages take, and how many statements they need, with a month of runs in the database."""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import django

from bench.report import percentiles, show
from project.local.engines import started_engines
from project.local.home import Home

REPEATS = 10


@contextmanager
def database(home: Path | None) -> Iterator[None]:
    """DATABASE_URL if it is given, else embedded engines in `home` or a temporary directory; settings are loaded."""
    with ExitStack() as stack:
        directory = Home(home or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="runyard-"))))
        stack.enter_context(directory.locked())  # which makes it if need be
        found = stack.enter_context(started_engines(directory))
        os.environ |= {"SECRET_KEY": "only-for-measurements" * 3, **found.values}
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
        django.setup()
        yield


def fill(runs: int, events: int) -> None:
    """Migrate, and populate unless that has been done."""
    from django.core.management import call_command

    from bench.populate import populate, vacuum
    from runs.models import Run

    call_command("migrate", verbosity=0)
    if not Run.objects.exists():
        populate(runs=runs, events=events, report=lambda what: print(what, flush=True))
        vacuum()


def pages() -> Iterator[tuple[str, str]]:
    """Every page of the console, and the list of runs with each filter: what it is called, and its address."""
    from django.urls import reverse

    from runs.models import Checkpoint, Run
    from runs.services.trends import WINDOWS
    from runs.states import RunStatus

    run = Run.objects.filter(status="running").select_related("owner").order_by("sequence")[0]
    failed = Run.objects.filter(status="error").order_by("-created_at", "-sequence")[0]
    deep = Checkpoint.objects.order_by("-step")[0]
    for name in WINDOWS:
        yield f"dashboard, {name}", f"{reverse('admin:index')}?window={name}"
    filters = [f"status={status}" for status in ("active", "stopping", *RunStatus.values)]
    filters += [
        "strategy=rollback",
        f"assistant={run.assistant}",
        f"worker={run.worker_id}",
        f"owner={run.owner.username}",
    ]
    filters += [
        f"thread={deep.thread_id}",
        "error=ValueError",
        "age=1h",
        "age=7d",
        f"q={failed.pk}",
        "status=error&age=7d",
    ]
    filters += ["status=timeout&strategy=rollback", "error=KeyError&assistant=triage"]
    for query in ("", *filters):
        yield f"runs, {query or 'all'}", f"{reverse('admin:runs_run_changelist')}?{query}"
    for tab in ("overview", "timeline", "events", "data", "thread", "raw"):
        yield f"run, {tab}", f"{reverse('admin:runs_run_change', args=[failed.pk])}?tab={tab}"
    lists = {
        "thread": ("", "status__exact=busy", "status__exact=error", f"q={deep.thread_id}", f"q={run.owner.username}"),
        "worker": ("", "state=alive", "state=buried"),
        "checkpoint": ("", f"q={deep.thread_id}"),
        "runevent": ("", "to_status__exact=timeout", f"q={failed.pk}"),
        "idempotencykey": ("",),
        "apikey": ("",),
    }
    for model, queries in lists.items():
        for query in queries:
            yield f"{model}s, {query or 'all'}", f"{reverse(f'admin:runs_{model}_changelist')}?{query}"
    yield "thread, busy", reverse("admin:runs_thread_change", args=[run.thread_id])
    yield "thread, longest", reverse("admin:runs_thread_change", args=[deep.thread_id])
    yield "worker", reverse("admin:runs_worker_change", args=[run.worker_id])
    yield "checkpoint", reverse("admin:runs_checkpoint_change", args=[deep.pk])


def measure(repeats: int) -> Iterator[dict[str, Any]]:
    """One row for each page: rendered in this process, asked for one after the other, once before it is measured."""
    from django.contrib.auth import get_user_model
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    operator, _ = get_user_model().objects.get_or_create(
        username="operator", defaults={"is_staff": True, "is_superuser": True}
    )
    client = Client(SERVER_NAME="localhost")
    client.force_login(operator)
    for name, address in list(pages()):
        with CaptureQueriesContext(connection) as captured:
            answer = client.get(address)
            statements = len(captured)
        if answer.status_code != 200:  # noqa: PLR2004
            raise SystemExit(f"{address}: {answer.status_code}")
        times = []
        for _ in range(repeats):
            began = time.perf_counter()
            client.get(address)
            times.append(time.perf_counter() - began)
        yield {"page": name, "statements": statements, "n": repeats, **percentiles(times)}


def main() -> None:
    """Fill if need be, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000, help="how many (default 1000000)")
    parser.add_argument("--events", type=int, default=10_000_000, help="about how many (default 10000000)")
    parser.add_argument("--home", type=Path, help="a directory that keeps the database for the next time")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with database(given.home):
        fill(given.runs, given.events)
        rows = list(measure(REPEATS))
    show(rows, as_json=given.json, runs=given.runs, events=given.events)


if __name__ == "__main__":
    main()
