"""The page of a run: its tabs, its links, nothing secret, nothing that can be changed."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import Settings

from runs.admin.curl import curl_of
from runs.admin.json_text import MASK, MOST_SHOWN, masked, readable
from runs.admin.run_page import PARTS, TABS
from runs.admin.timeline import Timeline, timeline
from runs.admin.words import duration
from runs.models import Run, RunEvent
from runs.states import Departure, RunStatus
from tests.support.factories import cancel, claim, finish, leave, make_actor, make_run, make_thread, running, step

MOST_QUERIES = 12


def page(client: Client, run: Run, tab: str = "overview", **query: str) -> str:
    answer = client.get(reverse("admin:runs_run_change", args=[run.pk]), {"tab": tab, **query})
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_shows_every_kind_of_run_in_few_statements(operator: Client, tab: str) -> None:
    thread = make_thread()
    ended = finish(running(thread), RunStatus.ERROR)
    stopping = cancel(running(thread))
    for run in (ended, stopping, make_run(thread), running(make_thread())):
        with CaptureQueriesContext(connection) as captured:
            assert str(run.pk) in page(operator, run, tab)
        assert len(captured) <= MOST_QUERIES


def test_the_error_comes_first(operator: Client) -> None:
    run = finish(running(make_thread()), RunStatus.ERROR)
    error = {"type": "KeyError", "message": "<b>", "traceback": "Traceback: line 7"}
    Run.objects.filter(pk=run.pk).update(error=error)
    text = page(operator, run)
    assert "<h3>KeyError</h3>" in text
    assert "&lt;b&gt;" in text
    assert text.index("Traceback: line 7") < text.index('aria-label="About this run"')


@pytest.mark.parametrize("address", ["7", "7c9e6679-7425-40de-944b-e07fc1f90ae7", "%00"])
def test_a_run_that_is_none_is_missing(operator: Client, address: str) -> None:
    assert operator.get(f"/admin/runs/run/{address}/change/").status_code == 404


def test_a_tab_or_part_that_is_none_is_missing(operator: Client) -> None:
    run = make_run(make_thread())
    assert operator.get(reverse("admin:runs_run_change", args=[run.pk]), {"tab": "x"}).status_code == 404
    assert operator.get(reverse("admin:runs_run_download", args=[run.pk, "x"])).status_code == 404


def test_input_and_output_are_sorted_and_masked(operator: Client) -> None:
    asked = {"b": 1, "a": 2, "api_key": "s3cret-1", "text": "Bearer s3cret-2", "max_tokens": 7}
    run = running(make_thread(), kwargs={"input": asked})
    finish(run, answer=42, password="s3cret-3")
    text = page(operator, run, "data")
    assert "s3cret" not in text
    assert text.index("&quot;a&quot;: 2") < text.index("&quot;b&quot;: 1")
    assert "&quot;answer&quot;: 42" in text
    assert "&quot;max_tokens&quot;: 7" in text
    for part in PARTS:
        answer = operator.get(reverse("admin:runs_run_download", args=[run.pk, part]))
        assert b"s3cret" not in answer.content
        assert answer["Content-Disposition"] == f'attachment; filename="run-{run.pk}-{part}.json"'
        json.loads(answer.content)
    assert "s3cret" not in page(operator, run, "raw")
    assert "s3cret" not in page(operator, run)  # the curl command


def test_what_is_large_is_cut_and_can_be_downloaded(operator: Client) -> None:
    run = make_run(make_thread(), kwargs={"input": ["x" * 100] * 2000})
    text = page(operator, run, "data")
    assert "Only the beginning is shown" in text
    assert text.count("x" * 100) < 1400
    assert "-d @request.json" in text
    answer = operator.get(reverse("admin:runs_run_download", args=[run.pk, "input"]))
    assert json.loads(answer.content) == ["x" * 100] * 2000


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"password": "x", "n": 1}, {"password": MASK, "n": 1}),
        ({"token": {"a": "b"}}, {"token": MASK}),
        ({"total_tokens": 7, "has_password": True}, {"total_tokens": 7, "has_password": True}),
        ({"secret": ""}, {"secret": ""}),
        (["sk-abcdefghijklmnopqrstuvwx"], [MASK]),
        ("https://ada:pw@host/x", f"https://{MASK}@host/x"),
        (None, None),
    ],
)
def test_masking(value: Any, shown: Any) -> None:
    assert masked(value) == shown


def test_a_long_text_of_one_line_is_cut_too() -> None:
    text = readable("x" * 100_000)
    assert (len(text.text), text.cut, text.size) == (MOST_SHOWN, True, 100_002)
    assert not readable({"b": 1}).cut


def test_links_to_elsewhere_are_filled_in(operator: Client, settings: Settings) -> None:
    run = make_run(make_thread())
    assert "↗" not in page(operator, run)
    settings.RUNS = {
        **settings.RUNS,
        "FLOWER_URL": "https://flower.example/",
        "TRACE_URL": "https://traces.example/?q={run_id}",
        "LOG_URL": "https://logs.example/{thread_id}/{run_id}",
    }
    text = page(operator, run)
    assert f'href="https://flower.example/task/{run.pk}"' in text
    assert f'href="https://traces.example/?q={run.pk}"' in text
    assert f'href="https://logs.example/{run.thread_id}/{run.pk}"' in text


def test_curl_is_a_request_that_the_api_accepts() -> None:
    actor = make_actor("ada")
    run = make_run(make_thread(actor), kwargs={"input": {"text": "it's"}, "stream_mode": ["values"], "resumable": True})
    command = curl_of(run, "https://runs.example")
    assert f"https://runs.example/threads/{run.thread_id}/runs" in command
    body = json.loads(command.split("-d ", 1)[1].strip("'").replace("'\"'\"'", "'"))
    assert body == {
        "assistant_id": "echo",
        "input": {"text": "it's"},
        "stream_mode": ["values"],
        "stream_resumable": True,
        "multitask_strategy": "enqueue",
        "on_disconnect": "cancel",
    }


def test_the_other_runs_of_the_thread(operator: Client) -> None:
    run = finish(running(make_thread()))
    other, stranger = make_run(run.thread), make_run(make_thread())
    text = page(operator, run, "thread")
    assert str(other.pk) in text
    assert str(stranger.pk) not in text


def test_events_in_both_orders(operator: Client) -> None:
    run = cancel(running(make_thread()))
    ascending, descending = page(operator, run, "events"), page(operator, run, "events", order="desc")
    assert ascending.index("created") < ascending.index("claimed by worker")
    assert descending.index("claimed by worker") < descending.index(">created<")


def test_the_timeline_of_a_run_that_lost_an_attempt() -> None:
    run = running(make_thread())
    leave(run, Departure.CRASH)
    cancel(claim(run))
    line = read_timeline(run)
    kinds = [(each.kind, each.title) for each in line.stretches]
    assert kinds == [
        ("wait", "Waiting"), ("attempt", "Attempt 1"), ("wait", "Waiting again"), ("attempt", "Attempt 2"),
        ("leaving", "Stopping"),
    ]  # fmt: skip
    assert line.stretches[-1].ended is None
    leave(run_now(run))
    assert read_timeline(run).stretches[-1].ended is not None


def test_the_timeline_is_to_scale() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    moments = [(None, "pending", 0), ("pending", "running", 25), ("running", "success", 100)]
    events = [
        RunEvent(from_status=was, to_status=now, at=start + timedelta(seconds=at), attempt=1)
        for was, now, at in moments
    ]
    line = timeline(events, leased=False, now=start + timedelta(days=1))
    assert line is not None
    assert [(each.left, each.width) for each in line.stretches] == [(0, 250), (250, 750)]
    assert [lasted for _, lasted in line.rows] == ["25 s", "1 min 15 s"]
    assert timeline([], leased=False, now=start) is None


def read_timeline(run: Run) -> Timeline:
    run = run_now(run)
    line = timeline(list(run.events.order_by("id")), leased=run.leased, now=datetime.now(UTC) + timedelta(seconds=1))
    assert line is not None
    return line


def run_now(run: Run) -> Run:
    return Run.objects.get(pk=run.pk)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0.0 s"),
        (0.44, "0.4 s"),
        (41.9, "41 s"),
        (125, "2 min 05 s"),
        (11_220, "3 h 07 min"),
        (187_200, "2 d 04 h"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(timedelta(seconds=seconds)) == words


def test_the_output_is_what_the_run_left_and_not_what_came_later(operator: Client) -> None:
    run = running(make_thread())
    step(run, page=1)
    cancel(run)
    leave(run)
    finish(running(run.thread), page=2)
    output = json.loads(operator.get(reverse("admin:runs_run_download", args=[run.pk, "output"])).content)
    assert output == {"page": 1}


def test_nothing_can_be_posted_to_a_run(operator: Client) -> None:
    run = make_run(make_thread())
    assert operator.post(reverse("admin:runs_run_change", args=[run.pk]), {"status": "success"}).status_code == 403
    assert UUID(str(run_now(run).pk)) == run.pk
    assert run_now(run).status == "pending"
