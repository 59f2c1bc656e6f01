"""The official Python client, both of it, unmodified: streams, against a server with a real worker."""

import warnings
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk.errors import NotFoundError

from project.local.running import RunningServer
from tests.contract.answers import END, begun, shown, status, take, wait_for_status
from tests.contract.conftest import Gates
from tests.contract.proxy import CuttingProxy

pytestmark = pytest.mark.timeout(180)

MODES = ["values", "updates", "custom"]
TWO_STEPS = [
    ("custom", {"number": 0}),
    ("updates", {"steps": {"log": ["0"]}}),
    ("values", {"log": ["0"]}),
    ("custom", {"number": 1}),
    ("updates", {"steps": {"log": ["0", "1"]}}),
    ("values", {"log": ["0", "1"]}),
]


def in_the_middle(sdk: Any, gates: Gates) -> tuple[str, Any, list[Any]]:
    """A run that its client would cancel by leaving: thread, stream, and the parts up to the first of its two steps."""
    thread_id = sdk.threads.create()["thread_id"]
    given = {"count": 2, "gates": str(gates.directory)}
    stream = sdk.runs.stream(thread_id, "steps", input=given, stream_mode=MODES, on_disconnect="cancel")
    gates.open(0)
    return thread_id, stream, take(stream, "values", {"log": ["0"]})


def test_a_stream_shows_what_was_asked_for_and_ends(sdk: Any, thread_id: str) -> None:
    created: list[Any] = []
    stream = sdk.runs.stream(thread_id, "steps", input={"count": 2}, stream_mode=MODES, on_run_created=created.append)
    parts = list(stream)

    run_id = created[0]["run_id"]
    assert created == [{"run_id": run_id, "thread_id": thread_id}]
    assert shown(parts) == [begun(run_id), *TWO_STEPS, END]
    assert status(sdk, thread_id, run_id) == "success"
    ids = [part.id for part in parts]
    assert ids[:-1] == [f"1-{number}" for number in range(7)]


def test_the_other_form_of_parts(sdk: Any, thread_id: str) -> None:
    parts = list(sdk.runs.stream(thread_id, "steps", input={"count": 1}, stream_mode="updates", version="v2"))

    assert [(part["type"], part["ns"]) for part in parts] == [("metadata", []), ("updates", [])]
    assert parts[1]["data"] == {"steps": {"log": ["0"]}}


@pytest.mark.parametrize("mode", ["tasks", "checkpoints", "debug"])
def test_modes_for_looking_inside(sdk: Any, thread_id: str, mode: str) -> None:
    parts = shown(sdk.runs.stream(thread_id, "steps", input={"count": 1}, stream_mode=[mode]))

    assert {event for event, _ in parts} == {"metadata", mode, "end"}
    if mode == "checkpoints":
        assert [data["values"] for event, data in parts if event == mode] == [{"log": ["0"]}]
    if mode == "tasks":
        assert [data["name"] for event, data in parts if event == mode] == ["steps", "steps"]
    if mode == "debug":
        assert [data["type"] for event, data in parts if event == mode] == ["task", "checkpoint", "task_result"]


def test_a_failure_is_the_last_thing_a_stream_shows(sdk: Any, thread_id: str) -> None:
    parts = shown(sdk.runs.stream(thread_id, "failing", input={"message": "kaput"}))

    assert parts[1:] == [("values", {"log": ["begun"]}), ("error", {"error": "ValueError", "message": "kaput"}), END]
    assert sdk.threads.get(thread_id)["status"] == "error"


def test_a_finished_run_is_replayed_after_any_event(sdk: Any, thread_id: str) -> None:
    run_id = sdk.runs.create(thread_id, "steps", input={"count": 2}, stream_mode=MODES)["run_id"]
    sdk.runs.join(thread_id, run_id)
    everything = list(sdk.runs.join_stream(thread_id, run_id, last_event_id="-1"))

    assert shown(everything) == [begun(run_id), *TWO_STEPS, END]
    for number, part in enumerate(everything[:-1]):
        rest = sdk.runs.join_stream(thread_id, run_id, last_event_id=part.id)
        assert shown(rest) == shown(everything[number + 1 :])


def test_a_joiner_gets_everything_and_then_what_happens(sdk: Any, thread_id: str, gates: Gates) -> None:
    given = {"count": 2, "gates": str(gates.directory)}
    run_id = sdk.runs.create(thread_id, "steps", input=given, stream_mode=MODES)["run_id"]
    gates.open(0)
    stream = sdk.runs.join_stream(thread_id, run_id)
    early = take(stream, "values", {"log": ["0"]})
    gates.open(1)

    assert shown(early) + shown(stream) == [begun(run_id), *TWO_STEPS, END]


def test_a_joiner_chooses_among_the_modes(sdk: Any, thread_id: str) -> None:
    run_id = sdk.runs.create(thread_id, "steps", input={"count": 2}, stream_mode=MODES)["run_id"]
    customs = [("custom", {"number": 0}), ("custom", {"number": 1})]

    def joined(mode: Any) -> list[tuple[str, Any]]:
        return shown(sdk.runs.join_stream(thread_id, run_id, stream_mode=mode))

    assert joined("custom") == [begun(run_id), *customs, END]
    assert joined(["custom", "values"]) == [
        begun(run_id),
        *[part for part in TWO_STEPS if part[0] in ("custom", "values")],
        END,
    ]


def test_a_cancelled_run_ends_its_streams(sdk: Any, thread_id: str, gates: Gates) -> None:
    given = {"count": 2, "gates": str(gates.directory)}
    stream = sdk.runs.stream(thread_id, "steps", input=given)
    gates.open(0)
    run_id = take(stream, "values", {"log": ["0"]})[0].data["run_id"]
    sdk.runs.cancel(thread_id, run_id, wait=True)

    assert shown(stream) == [END]
    run = sdk.runs.get(thread_id, run_id)
    assert (run["status"], run["stopping"]) == ("interrupted", False)
    assert sdk.threads.get_state(thread_id)["values"] == {"log": ["0"]}


def test_leaving_a_stream_cancels_the_run_or_not_as_was_asked(sdk: Any, gates: Gates) -> None:
    def leave(on_disconnect: str) -> tuple[str, str]:
        thread_id = sdk.threads.create()["thread_id"]
        given = {"count": 2, "gates": str(gates.directory)}
        stream = sdk.runs.stream(thread_id, "steps", input=given, on_disconnect=on_disconnect)
        parts = take(stream, "values", {"log": ["0"]})
        stream.close()
        return thread_id, parts[0].data["run_id"]

    gates.open(0)
    kept, cancelled = leave("continue"), leave("cancel")

    wait_for_status(sdk, *cancelled, "interrupted")
    assert sdk.runs.get(*cancelled)["cancelled_by"] == "system/disconnect"
    assert status(sdk, *kept) == "running"
    gates.open(1)
    assert sdk.runs.join(*kept) == {"log": ["0", "1"]}


def test_a_joiner_who_asked_for_it_cancels_by_leaving(sdk: Any, thread_id: str, gates: Gates) -> None:
    given = {"count": 2, "gates": str(gates.directory)}
    run_id = sdk.runs.create(thread_id, "steps", input=given)["run_id"]
    gates.open(0)
    stream = sdk.runs.join_stream(thread_id, run_id, cancel_on_disconnect=True)
    take(stream, "values", {"log": ["0"]})
    stream.close()

    wait_for_status(sdk, thread_id, run_id, "interrupted")


def test_a_stream_goes_on_after_a_cut_as_if_nothing_had_happened(
    connect: Callable[..., Any], live: RunningServer, gates: Gates
) -> None:
    with CuttingProxy(live.url) as proxy:
        sdk = connect(proxy.url)
        thread_id, stream, early = in_the_middle(sdk, gates)
        assert proxy.cut() >= 1
        gates.open(1)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # the client says so when events may have been missed
            late = list(stream)

        run_id = early[0].data["run_id"]
        assert shown([*early, *late]) == [begun(run_id), *TWO_STEPS, END]
        assert status(sdk, thread_id, run_id) == "success"


def test_a_thread_shows_its_runs_one_after_the_other(sdk: Any, thread_id: str, gates: Gates) -> None:
    given = {"count": 1, "gates": str(gates.directory)}
    ids = [sdk.runs.create(thread_id, "steps", input=given, multitask_strategy="enqueue")["run_id"] for _ in range(2)]
    stream = sdk.threads.join_stream(thread_id)
    early = take(stream, *begun(ids[0]))  # the client connects with its first read: before the runs may end
    gates.open(0)
    parts = [*early, *take(stream, "metadata", {"status": "run_done", "run_id": ids[1]})]
    stream.close()

    assert shown(parts) == [
        begun(ids[0]),
        ("values", {"log": ["0"]}),
        ("metadata", {"status": "run_done", "run_id": ids[0]}),
        begun(ids[1]),
        ("values", {"log": ["0", "0"]}),
        ("metadata", {"status": "run_done", "run_id": ids[1]}),
    ]
    again = sdk.threads.join_stream(thread_id, last_event_id=parts[1].id)
    assert shown(take(again, *shown(parts)[-1])) == shown(parts)[2:]
    again.close()


def test_a_thread_shows_only_the_beginning_and_end_of_runs(sdk: Any, thread_id: str, gates: Gates) -> None:
    given = {"count": 1, "gates": str(gates.directory)}
    run_id = sdk.runs.create(thread_id, "steps", input=given)["run_id"]
    stream = sdk.threads.join_stream(thread_id, stream_mode="lifecycle")
    early = take(stream, *begun(run_id))  # the client connects with its first read: before the run may end
    gates.open(0)
    done = ("metadata", {"status": "run_done", "run_id": run_id})

    assert shown([*early, *take(stream, *done)]) == [begun(run_id), done]
    stream.close()


def test_a_run_that_is_not_there_is_told_at_once(sdk: Any, thread_id: str) -> None:
    with pytest.raises(NotFoundError, match="no run with this id"):
        list(sdk.runs.join_stream(thread_id, str(uuid4())))
    with pytest.raises(NotFoundError, match="not found"):
        list(sdk.threads.join_stream(str(uuid4())))
