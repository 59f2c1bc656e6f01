"""/threads/{thread_id}/runs: create, list, read, delete."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from pytest_django import Settings

from runs.assistants import registry
from runs.models import Run, Thread
from runs.services.progress import Report, report_progress
from runs.states import RunStatus
from tests.support.api import Api, assert_problem
from tests.support.factories import finish, history, leave, make_actor, make_run, make_thread, running, step
from tests.support.fixtures import Outbox

ECHO_ID = str(registry.assistant_id("echo"))


@pytest.fixture
def thread(api: Api) -> Thread:
    """A thread of the user's."""
    return make_thread(make_actor("ada"))


def create(api: Api, thread: Thread, **body: Any) -> dict[str, Any]:
    """An accepted run, as the API shows it."""
    response = api.post(f"/threads/{thread.pk}/runs", {"assistant_id": "echo", **body})
    assert response.status_code == 200, response.content
    run: dict[str, Any] = response.json()
    assert response["Content-Location"] == f"/threads/{thread.pk}/runs/{run['run_id']}"
    assert "Location" not in response
    return run


def test_an_accepted_run(api: Api, thread: Thread, outbox: Outbox, django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        shown = create(api, thread, input={"text": "héllo"}, metadata={"m": 1}, config={"tags": ["x"]})

    run = Run.objects.get(pk=shown["run_id"])
    assert outbox.published == [run.pk]
    assert (run.owner, run.assistant, run.status) == (api.user, "echo", "pending")
    assert shown["thread_id"] == str(thread.pk)
    assert shown["assistant_id"] == ECHO_ID
    assert shown["metadata"] == {"created_by": "system", "graph_id": "echo", "assistant_id": ECHO_ID, "m": 1}
    assert shown["multitask_strategy"] == "reject"
    assert shown["on_disconnect"] == "cancel"
    assert (shown["queue_position"], shown["attempt"], shown["displaced"]) == (0, 0, [])
    assert shown["created_at"] == shown["updated_at"]
    assert shown["kwargs"] == {
        "input": {"text": "héllo"},
        "command": None,
        "config": {"tags": ["x"], "configurable": {}},
        "context": {},
        "stream_mode": ["values"],
        "interrupt_before": None,
        "interrupt_after": None,
        "webhook": None,
        "feedback_keys": None,
        "temporary": False,
        "subgraphs": False,
        "resumable": False,
        "durability": "sync",
    }


def test_the_run_names_its_assistant_by_name_or_id(api: Api, thread: Thread) -> None:
    shown = create(api, thread, assistant_id=ECHO_ID.upper())
    assert shown["metadata"]["graph_id"] == "echo"


def test_what_sdks_send_by_default_passes(api: Api, thread: Thread) -> None:
    shown = create(
        api,
        thread,
        checkpoint_during=True,
        strict_resume=False,
        langsmith_tracer={"project_name": "p"},
        command=None,
        webhook=None,
        feedback_keys=None,
        interrupt_before=[],
        interrupt_after=None,
        stream_mode=[],
        stream_subgraphs=False,
        stream_resumable=True,
        if_not_exists="create",
        durability="async",
        on_completion="keep",
        on_disconnect="continue",
        multitask_strategy=None,
        checkpoint={"checkpoint_id": None, "checkpoint_ns": ""},
        after_seconds=None,
    )
    assert shown["kwargs"]["stream_mode"] == ["values"]
    assert (shown["kwargs"]["resumable"], shown["kwargs"]["durability"]) == (True, "async")
    assert shown["on_disconnect"] == "continue"


def test_own_options(api: Api, thread: Thread) -> None:
    shown = create(api, thread, timeout_seconds=2.5, max_attempts=7, context={"model_name": " gpt-x "})
    assert (shown["timeout_seconds"], shown["max_attempts"], shown["model_name"]) == (2.5, 7, "gpt-x")


def test_configurable_and_context_are_one_thing(api: Api, thread: Thread) -> None:
    by_context = create(api, thread, context={"a": 1}, multitask_strategy="enqueue")["kwargs"]
    by_config = create(api, thread, config={"configurable": {"a": 1}}, multitask_strategy="enqueue")["kwargs"]
    assert by_context["config"]["configurable"] == by_context["context"] == {"a": 1}
    assert by_config["config"]["configurable"] == by_config["context"] == {"a": 1}

    both = {"assistant_id": "echo", "context": {"a": 1}, "config": {"configurable": {"b": 1}}}
    assert_problem(api.post(f"/threads/{thread.pk}/runs", both), 400, "contradictory_options", "configurable")


def test_metadata_of_config_comes_below_the_runs_own(api: Api, thread: Thread) -> None:
    shown = create(api, thread, config={"metadata": {"a": 1, "b": 1}}, metadata={"b": 2})
    assert (shown["metadata"]["a"], shown["metadata"]["b"]) == (1, 2)


def test_a_later_start(api: Api, thread: Thread) -> None:
    shown = create(api, thread, after_seconds=30)
    run = Run.objects.get(pk=shown["run_id"])
    assert run.not_before is not None
    assert 29 < (run.not_before - run.created_at).total_seconds() <= 30.5
    assert shown["not_before"] == run.not_before.isoformat(timespec="microseconds")


def test_if_not_exists_makes_the_thread(api: Api) -> None:
    thread_id = uuid4()
    refused = api.post(f"/threads/{thread_id}/runs", {"assistant_id": "echo"})
    assert_problem(refused, 404, "thread_not_found")
    accepted = api.post(f"/threads/{thread_id}/runs", {"assistant_id": "echo", "if_not_exists": "create"})
    assert accepted.json()["thread_id"] == str(thread_id)
    assert Thread.objects.get(pk=thread_id).owner == api.user


def test_fork_from_a_checkpoint(api: Api, thread: Thread) -> None:
    run = running(thread)
    first, _ = step(run, a=1), finish(run, b=2)
    by_id = create(api, thread, checkpoint_id=str(first.pk), multitask_strategy="enqueue")
    by_object = create(api, thread, checkpoint={"checkpoint_id": str(first.pk)}, multitask_strategy="enqueue")
    assert by_id["kwargs"]["checkpoint_id"] == by_object["kwargs"]["checkpoint_id"] == str(first.pk)

    unknown = api.post(f"/threads/{thread.pk}/runs", {"assistant_id": "echo", "checkpoint_id": str(uuid4())})
    assert_problem(unknown, 404, "checkpoint_not_found")


def test_reject(api: Api, thread: Thread) -> None:
    create(api, thread)
    response = api.post(f"/threads/{thread.pk}/runs", {"assistant_id": "echo", "multitask_strategy": "reject"})
    assert_problem(response, 409, "thread_busy", "multitask strategy")
    assert thread.runs.count() == 1


def test_enqueue_shows_the_place_and_is_bounded(api: Api, thread: Thread, settings: Settings) -> None:
    settings.RUNS = {**settings.RUNS, "MAX_QUEUED_RUNS": 3}
    places = [create(api, thread, multitask_strategy="enqueue")["queue_position"] for _ in range(3)]
    assert places == [0, 1, 2]
    full = api.post(f"/threads/{thread.pk}/runs", {"assistant_id": "echo", "multitask_strategy": "enqueue"})
    assert_problem(full, 409, "queue_full")


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
def test_displacing_names_the_displaced(api: Api, thread: Thread, strategy: str) -> None:
    begun = running(thread)
    step(begun, a=1)
    waiting = make_run(thread)

    shown = create(api, thread, multitask_strategy=strategy)
    assert shown["displaced"] == [str(begun.pk), str(waiting.pk)]
    old = api.get(f"/threads/{thread.pk}/runs/{begun.pk}").json()
    assert (old["status"], old["stopping"], old["cancel_action"]) == ("interrupted", True, strategy)
    assert old["displaced_by"] == shown["run_id"]
    assert (old["rolled_back_at"] is not None) == (strategy == "rollback")
    assert api.get(f"/threads/{thread.pk}/state").json()["values"] == ({} if strategy == "rollback" else {"a": 1})


def test_an_unknown_strategy_names_those_that_are_supported(api: Api, thread: Thread) -> None:
    response = api.post(f"/threads/{thread.pk}/runs", {"assistant_id": "echo", "multitask_strategy": "queue"})
    assert_problem(response, 422, "unsupported_strategy", "'queue'", "reject", "interrupt", "rollback", "enqueue")


def test_unknown_assistants(api: Api, thread: Thread) -> None:
    path = f"/threads/{thread.pk}/runs"
    by_name = assert_problem(api.post(path, {"assistant_id": "nobody"}), 422, "unknown_assistant", "nobody", "echo")
    assert "hasty" in by_name["detail"]
    assert_problem(api.post(path, {"assistant_id": str(uuid4())}), 404, "assistant_not_found")
    assert not thread.runs.exists()


BAD = [
    ({"assistant_id": None}, "assistant_id: This field is required"),
    ({"assistant_id": 7}, "assistant_id"),
    ({"assistant_id": ""}, "assistant_id"),
    ({"colour": "red"}, "colour: This option is not known"),
    ({"webhook": "https://example.com"}, "webhook: This option is not supported"),
    ({"feedback_keys": ["a"]}, "feedback_keys"),
    ({"command": {"resume": 1}}, "command: Only graphs have this"),
    ({"interrupt_before": "*"}, "interrupt_before: Only graphs"),
    ({"interrupt_after": ["node"]}, "interrupt_after: Only graphs"),
    ({"durability": "exit"}, "durability"),
    ({"on_completion": "delete"}, "on_completion"),
    ({"on_disconnect": "wave"}, "on_disconnect"),
    ({"if_not_exists": "maybe"}, "if_not_exists"),
    ({"multitask_strategy": 5}, "multitask_strategy"),
    ({"stream_mode": "tools"}, "stream_mode: Must be one or a list of: values"),
    ({"stream_mode": [["values"]]}, "stream_mode"),
    ({"stream_mode": {"values": True}}, "stream_mode"),
    ({"stream_subgraphs": "yes"}, "stream_subgraphs"),
    ({"stream_resumable": 1}, "stream_resumable"),
    ({"metadata": [1]}, "metadata: Must be an object"),
    ({"config": "x"}, "config"),
    ({"config": {"configurable": []}}, "config.configurable: Must be an object"),
    ({"config": {"metadata": 1}}, "config.metadata"),
    ({"context": [1]}, "context"),
    ({"checkpoint_id": "latest"}, "checkpoint_id"),
    ({"checkpoint": "x"}, "checkpoint"),
    ({"checkpoint": {"checkpoint_ns": "sub"}}, "checkpoint.checkpoint_ns"),
    ({"checkpoint": {"thread_id": str(uuid4())}}, "checkpoint.thread_id"),
    ({"checkpoint": {"checkpoint_id": str(uuid4())}, "checkpoint_id": str(uuid4())}, "different checkpoints"),
    ({"after_seconds": -1}, "after_seconds"),
    ({"after_seconds": 1e300}, "after_seconds"),
    ({"after_seconds": "5"}, "after_seconds"),
    ({"after_seconds": True}, "after_seconds"),
    ({"timeout_seconds": 0}, "timeout_seconds"),
    ({"timeout_seconds": -3}, "timeout_seconds"),
    ({"max_attempts": 0}, "max_attempts"),
    ({"max_attempts": 101}, "max_attempts"),
    ({"max_attempts": 1.5}, "max_attempts"),
]


@pytest.mark.parametrize(("route", "change", "words"), [("runs", *bad) for bad in BAD] + [("runs/wait", *BAD[0])])
def test_a_bad_create_says_what_is_wrong_and_leaves_nothing(
    api: Api, thread: Thread, route: str, change: dict[str, Any], words: str
) -> None:
    body = {"assistant_id": "echo", "multitask_strategy": "interrupt", **change}
    waiting = make_run(thread)

    assert_problem(api.post(f"/threads/{thread.pk}/{route}", body), 422, "invalid_request", words)

    waiting.refresh_from_db()
    assert (waiting.status, thread.runs.count()) == ("pending", 1)


def test_every_place_that_is_wrong_is_named(api: Api, thread: Thread) -> None:
    response = api.post(f"/threads/{thread.pk}/runs", {"max_attempts": 0, "config": {"metadata": 1}})
    problem = assert_problem(response, 422, "invalid_request")
    assert [place["field"] for place in problem["errors"]] == ["assistant_id", "config.metadata", "max_attempts"]


def test_list_is_newest_first_with_10_a_page(api: Api, thread: Thread) -> None:
    ids = [str(make_run(thread).pk) for _ in range(12)][::-1]
    path = f"/threads/{thread.pk}/runs"

    def listed(query: str) -> list[str]:
        return [run["run_id"] for run in api.get(f"{path}{query}").json()]

    assert listed("") == ids[:10]
    assert listed("?limit=1000") == ids
    assert listed("?limit=3&offset=2") == ids[2:5]
    assert listed("?offset=12") == []
    assert listed("?limit=0") == []


def test_list_shows_places_in_the_queue(api: Api, thread: Thread) -> None:
    runs = [running(thread), make_run(thread), make_run(thread, after_seconds=60), make_run(thread)]
    shown = {run["run_id"]: run["queue_position"] for run in api.get(f"/threads/{thread.pk}/runs").json()}
    assert [shown[str(run.pk)] for run in runs] == [None, 1, 3, 2]
    for run in runs:
        alone = api.get(f"/threads/{thread.pk}/runs/{run.pk}").json()
        assert alone["queue_position"] == shown[str(run.pk)]


def test_list_by_status(api: Api, thread: Thread) -> None:
    done = finish(running(thread))
    waiting = make_run(thread)
    path = f"/threads/{thread.pk}/runs?status="
    assert [run["run_id"] for run in api.get(f"{path}success").json()] == [str(done.pk)]
    assert [run["run_id"] for run in api.get(f"{path}pending").json()] == [str(waiting.pk)]
    assert api.get(f"{path}timeout").json() == []


@pytest.mark.parametrize("query", ["select=run_id&select=status", 'select=["run_id","status"]'])
def test_select_repeated_or_as_a_json_list(api: Api, thread: Thread, query: str) -> None:
    run = make_run(thread)
    api.checks_shape = False
    assert api.get(f"/threads/{thread.pk}/runs?{query}").json() == [{"run_id": str(run.pk), "status": "pending"}]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("limit=x", "limit"),
        ("limit=-1", "limit"),
        ("limit=1001", "limit"),
        ("offset=-1", "offset"),
        (f"offset={10**30}", "offset"),
        ("status=asleep", "status"),
        ("select=colour", "select"),
        ('select=["colour"]', "select"),
        ("select=[1", "select"),
        ("colour=red", "colour: This option is not known"),
        ("status=%00", "status"),
        ("limit=%ff", "limit"),
    ],
)
def test_a_bad_list_query_says_what_is_wrong(api: Api, thread: Thread, query: str, words: str) -> None:
    assert_problem(api.get(f"/threads/{thread.pk}/runs?{query}"), 422, "invalid_request", words)


def test_list_of_an_unknown_thread(api: Api) -> None:
    assert_problem(api.get(f"/threads/{uuid4()}/runs"), 404, "thread_not_found")


def test_list_reads_the_same_number_of_statements_for_any_number_of_runs(
    api: Api, thread: Thread, django_assert_num_queries: Any
) -> None:
    make_run(thread)
    path = f"/threads/{thread.pk}/runs?limit=100"
    api.get(path)  # notes the use of the key, once a minute
    with django_assert_num_queries(4):
        api.get(path)
    for _ in range(30):
        make_run(thread)
    with django_assert_num_queries(4):
        api.get(path)


def test_a_run_shows_what_its_assistant_reported(api: Api, thread: Thread) -> None:
    run = running(thread)
    report = Report(
        model_name="gpt-x",
        usage={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3, "calls": 1, "by_model": {"gpt-x": {}}},
        message_count=2,
        first_message="hi",
        last_message="bye",
    )
    report_progress(run_id=run.pk, attempt=run.attempt, report=report)

    shown = api.get(f"/threads/{thread.pk}/runs/{run.pk}").json()
    assert (shown["status"], shown["attempt"], shown["stopping"]) == ("running", 1, False)
    assert (shown["model_name"], shown["usage"]) == ("gpt-x", report.usage)
    assert (shown["message_count"], shown["first_message"], shown["last_message"]) == (2, "hi", "bye")


def test_a_failed_run_shows_class_and_message_but_no_traceback(api: Api, thread: Thread) -> None:
    run = finish(running(thread), RunStatus.ERROR)
    shown = api.get(f"/threads/{thread.pk}/runs/{run.pk}").json()
    assert (shown["status"], shown["error"]) == ("error", {"error": "ValueError", "message": "no"})


def test_a_run_is_found_only_under_its_thread(api: Api, thread: Thread) -> None:
    run = make_run(thread)
    other = make_thread(make_actor("ada"))
    assert_problem(api.get(f"/threads/{other.pk}/runs/{run.pk}"), 404, "run_not_found")
    assert_problem(api.get(f"/threads/{thread.pk}/runs/{uuid4()}"), 404, "run_not_found")
    assert_problem(api.get(f"/threads/{thread.pk}/runs/abc"), 422, "invalid_request", "Invalid run ID: must be a UUID")


def test_a_deleted_run_is_stopped_and_gone(api: Api, thread: Thread) -> None:
    run = running(thread)
    path = f"/threads/{thread.pk}/runs/{run.pk}"
    response = api.delete(path)
    assert (response.status_code, response.content) == (204, b"")
    assert_problem(api.get(path), 404, "run_not_found")
    assert_problem(api.delete(path), 404, "run_not_found")
    assert api.get(f"/threads/{thread.pk}/runs").json() == []
    leave(run)
    assert history(run) == [
        (None, "pending"),
        ("pending", "running"),
        ("running", "interrupted"),
        ("interrupted", "interrupted"),
    ]


def test_the_history_names_the_key_and_the_request(api: Api, thread: Thread) -> None:
    response = api.post(f"/threads/{thread.pk}/runs", {"assistant_id": "echo"}, x_request_id="req-17")
    event = Run.objects.get(pk=UUID(response.json()["run_id"])).events.get()
    assert (event.actor, event.request_id) == (f"api-key:{api.key[:8]}", "req-17")
    assert response["X-Request-ID"] == "req-17"
