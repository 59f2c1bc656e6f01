"""manage.py runs: what it lists, what it changes, and how it ends."""

import io
import json
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from runs.states import RunStatus
from tests.support.factories import cancel, finish, history, make_run, make_thread, running, stored


def call(*arguments: object) -> list[dict[str, Any]]:
    """What it writes into a pipe: JSON, one object a line."""
    out = io.StringIO()
    call_command("runs", *map(str, arguments), stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def refusal(*arguments: object) -> CommandError:
    with pytest.raises(CommandError) as refused:
        call(*arguments)
    return refused.value


def listed(*arguments: object) -> list[str]:
    return [row["run"] for row in call("list", *arguments)]


def test_a_list_is_filtered_and_the_newest_come_first() -> None:
    thread = make_thread()
    failed = finish(running(thread), RunStatus.ERROR)
    active, waiting = running(thread), make_run(thread)
    other = make_run(make_thread(), "interrupt", assistant="resumable")

    assert listed() == [str(run.pk) for run in (other, waiting, active, failed)]
    assert listed("--status", "pending", "--status", "running", "--thread", thread.pk) == [
        str(waiting.pk),
        str(active.pk),
    ]
    assert listed("--error", "ValueError") == [str(failed.pk)]
    assert listed("--strategy", "interrupt") == listed("--assistant", "resumable") == [str(other.pk)]
    assert listed("--worker", active.worker_id) == [str(active.pk)]
    assert listed("--owner", "nobody") == []
    assert listed("--since", "1h", "--limit", "1") == [str(other.pk)]


def test_a_person_gets_a_table() -> None:
    run, out = make_run(make_thread(), assistant="echo"), io.StringIO()
    call_command("runs", "list", "--text", stdout=out)

    assert str(run.pk) in out.getvalue()
    assert out.getvalue().split()[:3] == ["run", "status", "assistant"]


def test_one_run_is_shown_with_its_history_and_without_its_input() -> None:
    run = finish(running(make_thread(), kwargs={"input": {"password": "secret"}}), RunStatus.ERROR)
    (shown,) = call("show", run.pk)

    assert (shown["run"], shown["status"], shown["error"]["type"]) == (str(run.pk), "error", "ValueError")
    assert [(event["from"], event["to"]) for event in shown["events"]] == history(run)
    assert "secret" not in json.dumps(shown)


def test_cancel_names_the_account_and_the_reason() -> None:
    run = running(make_thread())
    (row,) = call("cancel", run.pk, "--rollback", "--reason", "too slow")
    changed = stored(run)

    assert (row["status"], row["stopping"]) == ("interrupted", True)
    assert (changed.cancel_action, changed.reason) == ("rollback", "too slow")
    assert changed.cancelled_by.startswith("cli:")


def test_retry_makes_a_new_run() -> None:
    old = finish(running(make_thread()), RunStatus.ERROR)
    (row,) = call("retry", old.pk)

    assert (row["retry_of"], row["status"]) == (str(old.pk), "pending")
    assert row["run"] != str(old.pk)


def test_one_refusal_keeps_nothing_from_the_others() -> None:
    done, active = finish(running(make_thread())), running(make_thread())
    refused = refusal("cancel", done.pk, active.pk)

    assert (str(refused), refused.returncode) == ("1 of 2 refused", 1)
    assert stored(active).status == RunStatus.INTERRUPTED
    assert stored(done).status == RunStatus.SUCCESS


@pytest.mark.parametrize("action", ["show", "watch", "cancel", "retry"])
def test_a_missing_run_has_a_status_of_its_own(action: str) -> None:
    assert refusal(action, uuid4()).returncode == 3


def test_a_run_in_flight_cannot_be_retried() -> None:
    assert refusal("retry", make_run(make_thread()).pk).returncode == 1


def test_watching_ends_with_the_run_and_tells_how() -> None:
    run = finish(running(make_thread()))
    assert [(event["from"], event["to"]) for event in call("watch", run.pk)] == history(run)

    stopped = make_run(make_thread())
    cancel(stopped)
    refused = refusal("watch", stopped.pk)
    assert (str(refused), refused.returncode) == ("the run ended as interrupted", 4)


@pytest.mark.parametrize("wrong", [["list", "--since", "soon"], ["list", "--limit", "0"], ["show", "x"], []])
def test_what_makes_no_sense_is_refused(wrong: list[str]) -> None:
    refusal(*wrong)
