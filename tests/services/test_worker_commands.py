"""manage.py workers: what it lists, what it changes, and how it ends."""

import io
import json
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from runs.models import Worker
from tests.support.factories import bury, drain, finish, make_thread, make_worker, running


def call(*arguments: object) -> list[dict[str, Any]]:
    """What it writes into a pipe: JSON, one object a line."""
    out = io.StringIO()
    call_command("workers", *map(str, arguments), stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def refusal(*arguments: object) -> CommandError:
    with pytest.raises(CommandError) as refused:
        call(*arguments)
    return refused.value


def test_the_living_are_listed_with_what_they_execute() -> None:
    first, second, gone = make_worker("a"), make_worker("b"), make_worker("c")
    running(make_thread(), first)
    drain(second)
    bury(gone)
    listed = call("list")
    assert [(row["host"], row["state"], row["executes"], row["capacity"]) for row in listed] == [
        ("b", "draining", 0, 4),
        ("a", "alive", 1, 4),
    ]
    assert (listed[0]["draining_by"], listed[1]["draining_by"], listed[1]["draining_since"]) == (
        "system/test",
        None,
        None,
    )
    assert [row["state"] for row in call("list", "--all")] == ["draining", "alive", "buried"]


def test_a_person_gets_a_table() -> None:
    worker, out = make_worker(), io.StringIO()
    call_command("workers", "list", "--text", stdout=out)
    assert str(worker.pk) in out.getvalue()
    assert out.getvalue().split()[:3] == ["worker", "state", "host"]


def test_drain_and_resume_name_the_account_and_may_be_repeated() -> None:
    one, other = make_worker(), make_worker()
    for _ in range(2):
        rows = call("drain", one.pk, other.pk, "--reason", "a deploy")
        assert [(row["state"], row["draining_by"].split(":")[0]) for row in rows] == [("draining", "cli")] * 2
    for _ in range(2):
        assert [row["state"] for row in call("resume", one.pk)] == ["alive"]
    assert set(Worker.objects.exclude(draining_at=None)) == {other}


def test_what_cannot_be_drained_is_named_and_the_rest_is() -> None:
    living, gone = make_worker(), make_worker()
    bury(gone)
    assert refusal("drain", gone.pk, living.pk).returncode == 1
    assert refusal("resume", gone.pk, uuid4()).returncode == 3
    living.refresh_from_db()
    assert living.draining_at is not None


def test_wait_ends_when_nothing_is_executed_or_the_time_is_over() -> None:
    worker = make_worker()
    run = running(make_thread(), worker)
    assert refusal("drain", worker.pk, "--wait", "0").returncode == 4
    worker.refresh_from_db()
    assert worker.draining_at is not None
    finish(run)
    assert [row["executes"] for row in call("drain", worker.pk, "--wait", "60")] == [0]
