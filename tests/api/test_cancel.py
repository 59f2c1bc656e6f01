"""Cancelling one run, and several."""

from typing import Any
from uuid import uuid4

import pytest
from pytest_django import Settings

from runs.models import Run, Thread
from runs.states import RunStatus
from tests.support.api import Api, assert_problem
from tests.support.factories import finish, leave, make_actor, make_run, make_thread, running, step


@pytest.fixture
def thread(api: Api) -> Thread:
    """A thread of the user's."""
    return make_thread(make_actor("ada"))


def path_of(run: Run) -> str:
    """Where to cancel it."""
    return f"/threads/{run.thread_id}/runs/{run.pk}/cancel"


@pytest.mark.parametrize("query", ["", "?wait=0", "?wait=false&action=interrupt"])
def test_a_pending_run_is_cancelled_with_202_and_again(api: Api, thread: Thread, query: str) -> None:
    run = make_run(thread)
    for _ in range(3):
        response = api.post(f"{path_of(run)}{query}")
        assert (response.status_code, response.content) == (202, b"")
        assert "Content-Type" not in response
    run.refresh_from_db()
    assert (run.status, run.cancel_action, run.leased) == ("interrupted", "interrupt", False)
    assert run.events.count() == 2


@pytest.mark.parametrize("wait", ["1", "true", "True"])
def test_waiting_for_a_settled_run_is_204_and_again(api: Api, thread: Thread, wait: str) -> None:
    run = make_run(thread)
    for _ in range(2):
        response = api.post(f"{path_of(run)}?wait={wait}")
        assert (response.status_code, response.content) == (204, b"")
        assert response["Location"] == f"/threads/{thread.pk}/runs/{run.pk}/join"
        assert response["Content-Location"] == f"/threads/{thread.pk}/runs/{run.pk}"


@pytest.mark.django_db(transaction=True)
def test_waiting_ends_with_202_while_the_executor_is_still_leaving(
    api: Api, thread: Thread, settings: Settings
) -> None:
    settings.RUNS = {**settings.RUNS, "CANCEL_WAIT_SECONDS": 0.05}
    run = running(thread)
    assert api.post(f"{path_of(run)}?wait=1").status_code == 202
    leave(run)
    assert api.post(f"{path_of(run)}?wait=1").status_code == 204


def test_the_first_action_stays(api: Api, thread: Thread) -> None:
    run = running(thread)
    step(run, a=1)
    assert api.post(f"{path_of(run)}?action=rollback&reason=changed+my+mind").status_code == 202
    assert api.post(f"{path_of(run)}?action=interrupt").status_code == 202

    shown = api.get(f"/threads/{thread.pk}/runs/{run.pk}").json()
    assert (shown["status"], shown["cancel_action"], shown["reason"]) == ("interrupted", "rollback", "changed my mind")
    assert shown["cancelled_by"] == f"api-key:{api.key[:8]}"
    assert api.get(f"/threads/{thread.pk}/state").json()["values"] == {}


@pytest.mark.parametrize("status", [RunStatus.SUCCESS, RunStatus.ERROR])
def test_a_run_that_has_ended_cannot_be_cancelled(api: Api, thread: Thread, status: RunStatus) -> None:
    run = finish(running(thread), status)
    for query in ("", "?wait=1"):
        problem = assert_problem(api.post(f"{path_of(run)}{query}"), 409, "not_cancellable", str(run.pk))
        assert problem["run_status"] == status


def test_unknown_runs_and_actions(api: Api, thread: Thread) -> None:
    run, other = make_run(thread), make_thread(make_actor("ada"))
    assert_problem(api.post(f"/threads/{thread.pk}/runs/{uuid4()}/cancel"), 404, "run_not_found")
    assert_problem(api.post(f"/threads/{other.pk}/runs/{run.pk}/cancel"), 404, "run_not_found")
    assert_problem(api.post(f"{path_of(run)}?action=explode"), 422, "invalid_request", "action", "explode")
    assert_problem(api.post(f"{path_of(run)}?wait=maybe"), 422, "invalid_request", "wait")
    assert_problem(api.post(f"{path_of(run)}?reason=%00"), 422, "invalid_request", "reason")
    assert_problem(api.post(f"{path_of(run)}?reason={'x' * 501}"), 422, "invalid_request", "reason")
    assert_problem(api.post(path_of(run), {"action": "rollback"}), 422, "invalid_request", "query string")
    run.refresh_from_db()
    assert run.status == "pending"


def test_an_empty_object_is_as_good_as_no_body(api: Api, thread: Thread) -> None:
    assert api.post(path_of(make_run(thread)), {}).status_code == 202


def bulk(api: Api, body: Any, query: str = "") -> Any:
    """Cancel several runs."""
    return api.post(f"/runs/cancel{query}", body)


def test_bulk_by_ids_skips_those_that_do_not_match(api: Api, thread: Thread) -> None:
    done, begun, waiting, spared = finish(running(thread)), running(thread), make_run(thread), make_run(thread)
    ids = [str(run.pk) for run in (done, begun, waiting)] + [str(uuid4())]
    response = bulk(api, {"thread_id": str(thread.pk), "run_ids": ids}, "?action=rollback")

    assert (response.status_code, response.content) == (204, b"")
    states = dict(thread.runs.values_list("pk", "status"))
    assert states == {
        done.pk: "success",
        begun.pk: "interrupted",
        waiting.pk: "interrupted",
        spared.pk: "pending",
    }
    assert Run.objects.get(pk=begun.pk).cancel_action == "rollback"


@pytest.mark.parametrize(("status", "left"), [("pending", ["running"]), ("running", ["pending"]), ("all", [])])
def test_bulk_by_status_reaches_all_threads_of_the_caller_only(
    api: Api, stranger: Api, thread: Thread, status: str, left: list[str]
) -> None:
    running(thread)
    make_run(make_thread(make_actor("ada")))
    theirs = make_run(make_thread(make_actor("bob")))

    assert bulk(api, {"status": status}).status_code == 204
    mine = Run.objects.filter(owner=api.user)
    assert list(mine.exclude(status="interrupted").values_list("status", flat=True)) == left
    theirs.refresh_from_db()
    assert theirs.status == "pending"


def test_bulk_that_finds_nothing_says_why(api: Api, stranger: Api, thread: Thread) -> None:
    done, theirs = finish(running(thread)), make_run(make_thread(make_actor("bob")))
    mine = str(thread.pk)
    nothing = "No runs found to cancel."
    assert_problem(bulk(api, {"status": "all"}), 404, "run_not_found", nothing)
    assert_problem(bulk(api, {"thread_id": mine, "run_ids": []}), 404, "run_not_found", nothing)
    assert_problem(bulk(api, {"thread_id": mine, "run_ids": [str(uuid4())]}), 404, "run_not_found", nothing)
    foreign = {"thread_id": str(theirs.thread_id), "run_ids": [str(theirs.pk)]}
    assert_problem(bulk(api, foreign), 404, "run_not_found", nothing)
    ended = {"thread_id": mine, "run_ids": [str(done.pk)]}
    assert_problem(bulk(api, ended), 404, "run_not_found", "No matching runs to cancel.")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"thread_id": str(uuid4())},
        {"run_ids": [str(uuid4())]},
        {"status": "success"},
        {"status": "all", "thread_id": str(uuid4())},
        {"status": "all", "thread_id": str(uuid4()), "run_ids": [str(uuid4())]},
        {"thread_id": str(uuid4()), "run_ids": ["x"]},
        {"thread_id": str(uuid4()), "run_ids": "x"},
        {"thread_id": "x", "run_ids": []},
        {"all": True},
        [],
    ],
)
def test_bulk_takes_exactly_two_shapes(api: Api, thread: Thread, body: Any) -> None:
    run = make_run(thread)
    assert_problem(bulk(api, body), 422, "invalid_request")
    run.refresh_from_db()
    assert run.status == "pending"


def test_bulk_refuses_an_unknown_action(api: Api, thread: Thread) -> None:
    run = make_run(thread)
    assert_problem(bulk(api, {"status": "all"}, "?action=explode"), 422, "invalid_request", "action")
    run.refresh_from_db()
    assert run.status == "pending"
