"""One trace, and log lines that say where they belong, through real processes: web, queue or scheduler, worker."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from runs.services.api_keys import create_api_key
from tests.support.factories import make_actor, make_thread
from tests.support.ledger import VARIABLE, wait_until
from tests.support.stack import Stack
from tests.support.stage import wait_until_settled

pytestmark = [pytest.mark.usefixtures("db", "intact", "swept"), pytest.mark.timeout(180)]

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture(scope="module")
def stack(db: None) -> Iterator[Stack]:
    """One of each, which write their spans as JSON, and log lines as well."""
    with Stack(
        workers=1,
        schedulers=1,
        webs=1,
        OTEL_TRACES_EXPORTER="otlp_json_file",
        OTEL_BSP_SCHEDULE_DELAY="100",
        RUNYARD_LOG_FORMAT="json",
    ) as stack:
        yield stack


def written() -> list[dict[str, Any]]:
    """Every line of JSON that a process has written."""
    lines = [line for log in Path(os.environ[VARIABLE]).glob("*.log") for line in log.read_text().splitlines()]
    return [json.loads(line) for line in lines if line.startswith("{")]


def spans(trace: str) -> list[dict[str, Any]]:
    """The spans of a trace."""
    scopes = [
        scope for line in written() for resource in line.get("resourceSpans", ()) for scope in resource["scopeSpans"]
    ]
    return [span for scope in scopes for span in scope["spans"] if span["traceId"] == trace]


def create(stack: Stack, assistant: str, **options: Any) -> tuple[str, str]:
    """A run that is created by somebody who traces, too; its thread and its id."""
    key, thread = create_api_key(owner=make_actor().owner, name="key")[1], str(make_thread().pk)
    headers = {"x-api-key": key, "x-request-id": "the-request", "traceparent": f"00-{TRACE}-{CALLER}-01"}
    answer = httpx.post(
        f"{stack.webs[0].url}/threads/{thread}/runs",
        json={"assistant_id": assistant, "on_disconnect": "continue", **options},
        headers=headers,
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    return thread, answer.json()["run_id"]


def attributes(span: dict[str, Any]) -> dict[str, str]:
    return {each["key"]: str(next(iter(each["value"].values()))) for each in span["attributes"]}


@pytest.mark.parametrize("options", [{}, {"after_seconds": 0.5}], ids=["from the request", "from the scheduler"])
def test_one_trace_leads_from_the_request_to_the_attempt(stack: Stack, options: dict[str, float]) -> None:
    thread, run = create(stack, "payer", **options)
    wait_until_settled(UUID(run))

    def chain() -> list[dict[str, Any]]:
        found = spans(TRACE)
        attempts = [span for span in found if attributes(span).get("runyard.run") == run]
        return found if len(attempts) == 2 else []

    found = wait_until(chain, "the spans to be written", 30.0)
    by_id = {span["spanId"]: span for span in found}
    attempt = next(one for one in found if one["name"] == "run payer" and attributes(one)["runyard.run"] == run)
    created = by_id[attempt["parentSpanId"]]
    request = wait_until(
        lambda: {span["spanId"]: span for span in spans(TRACE)}.get(created["parentSpanId"]), "the request's span"
    )

    assert [created["name"], request["name"], request["parentSpanId"]] == ["create run", "POST request", CALLER]
    assert attributes(attempt) == {"runyard.run": run, "runyard.thread": thread, "runyard.attempt": "1"}
    assert attributes(request)["http.response.status_code"] == "200"


def test_every_line_says_where_it_belongs(stack: Stack) -> None:
    thread, run = create(stack, "talker")
    wait_until_settled(UUID(run))

    def lines() -> dict[str, dict[str, Any]]:
        return {line["message"]: line for line in written() if line.get("run") == run}

    said = ("said by the assistant", "said by its thread", "printed")
    wait_until(lambda: set(said) <= set(lines()), "its lines", 30.0)
    found = lines()
    for message in said:
        line = found[message]
        known = {name: line[name] for name in ("request", "thread", "run", "attempt", "trace")}
        assert known == {"request": "the-request", "thread": thread, "run": run, "attempt": "1", "trace": TRACE}
    assert any("received" in message for message in found), "by the worker's main process"
    access = [line for line in written() if line.get("logger") == "uvicorn.access" and thread in line["message"]]
    assert [(line["request"], line["thread"], line["run"]) for line in access] == [("the-request", thread, run)]
