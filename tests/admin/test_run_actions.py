"""What operators do to runs: for one, for the selected, for all that match; each with a permission of its own."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from runs.actors import system
from runs.models import Run, RunEvent
from runs.models.fields import new_id
from runs.services.threads import delete_run, delete_thread
from runs.states import RunStatus
from tests.support.factories import cancel, finish, leave, make_actor, make_run, make_thread, running, step
from tests.support.fixtures import Outbox, intact  # noqa: F401 - a fixture
from tests.support.staff import staff

pytestmark = pytest.mark.usefixtures("intact")
VERBS = ("cancel", "retry", "force_stop")


def act(client: Client, verb: str, *runs: Run, page: str = "act", status: int = 200, **form: Any) -> dict[str, Any]:
    """What the server answers to the dialog."""
    named = {"run": [str(run.pk) for run in runs]} if runs else {}
    answer = client.post(reverse(f"admin:runs_run_{page}", args=[verb]), {**named, **form})
    assert answer.status_code == status, answer.content
    found: dict[str, Any] = answer.json() if status in (200, 400) else {}
    return found


def stored(run: Run) -> Run:
    return Run.objects.get(pk=run.pk)


def test_a_cancel_is_recorded_with_operator_reason_and_request(operator: Client) -> None:
    run = running(make_thread())
    answer = act(operator, "cancel", run, reason="the  wrong\ndocument", how="interrupt")
    assert answer == {"done": 1, "refused": 0, "why": [], "new_runs": [], "next": ""}
    run = stored(run)
    assert (run.status, run.cancelled_by, run.reason) == ("interrupted", "operator:operator", "the wrong document")
    assert (run.cancel_action, run.rolled_back_at, run.leased) == ("interrupt", None, True)
    event = RunEvent.objects.filter(run=run).latest("id")
    assert (event.actor, event.reason, event.to_status) == ("operator:operator", "the wrong document", "interrupted")
    assert len(event.request_id) == 36
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.user.get_username()) == (str(run.pk), "operator")
    assert entry.change_message == "Cancel: the wrong document"


def test_a_rollback_returns_the_thread_to_where_it_was(operator: Client) -> None:
    run = running(make_thread())
    step(run, page=1)
    act(operator, "cancel", run, how="rollback")
    run = stored(run)
    assert run.rolled_back_at is not None
    assert run.thread.head_id is None
    assert run.reason == "by operator:operator"


def test_what_has_ended_before_is_neither_changed_nor_logged(operator: Client) -> None:
    ended = finish(running(make_thread()))
    others = cancel(make_run(make_thread()))
    before = list(Run.objects.order_by("pk").values())
    assert act(operator, "cancel", ended, others)["done"] == 0
    assert list(Run.objects.order_by("pk").values()) == before
    assert LogEntry.objects.count() == 0


def test_what_ends_between_the_look_and_the_lock_is_reported(operator: Client, monkeypatch: Any) -> None:
    run = running(make_thread())
    monkeypatch.setattr("runs.admin.run_actions.cancel_runs", lambda **_: [])
    answer = act(operator, "cancel", run)
    assert (answer["done"], answer["refused"], answer["why"]) == (0, 1, [f"{run.pk}: It had ended before."])
    assert LogEntry.objects.count() == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("deletes_thread", [False, True])
def test_what_a_deletion_has_hidden_is_reached_as_little_as_what_never_was(
    operator: Client, outbox: Outbox, verb: str, deletes_thread: bool
) -> None:
    """It holds its worker still, and its row is there."""
    hidden, actor = running(make_thread()), system("test")
    if deletes_thread:
        delete_thread(thread_id=hidden.thread_id, actor=actor)
    else:
        delete_run(thread_id=hidden.thread_id, run_id=hidden.pk, actor=actor)
    missing = Run(id=new_id())
    before = list(Run.objects.values())
    outbox.clear()
    for given in ((hidden,), (missing,), (hidden, missing)):
        assert act(operator, verb, *given) == {"done": 0, "refused": 0, "why": [], "new_runs": [], "next": ""}
        assert act(operator, verb, *given, page="count")["count"] == 0
    thread = f"?thread={hidden.thread_id}"
    assert act(operator, verb, filter=thread)["done"] == act(operator, verb, page="count", filter=thread)["count"] == 0
    assert list(Run.objects.values()) == before
    assert (outbox.told, LogEntry.objects.count()) == ([], 0)

    page = operator.get(reverse("admin:runs_run_changelist") + thread).content.decode()
    assert f'data-run="{hidden.pk}" data-status="interrupted"' in page
    assert ">deleted<" in page
    assert 'data-scope="one"' not in page


def test_a_retry_is_a_new_run_of_the_owner_linked_to_the_old_one(operator: Client) -> None:
    old = finish(running(make_thread()), RunStatus.ERROR)
    answer = act(operator, "retry", old, reason="again")
    new = Run.objects.get(retry_of=old)
    assert answer["new_runs"] == [str(new.pk)]
    assert (new.owner_id, new.status) == (old.owner_id, "pending")
    event = RunEvent.objects.get(run=new)
    assert (event.actor, event.reason) == ("operator:operator", "again")
    page = operator.get(reverse("admin:runs_run_change", args=[new.pk])).content.decode()
    assert reverse("admin:runs_run_change", args=[old.pk]) in page


def test_a_retry_that_admission_refuses_says_why(operator: Client, settings: Any) -> None:
    settings.RUNS = {**settings.RUNS, "MAX_QUEUED_RUNS": 1}
    old = finish(running(make_thread()))
    make_run(old.thread)
    answer = act(operator, "retry", old)
    assert (answer["done"], answer["refused"]) == (0, 1)
    assert answer["why"] == [
        f"{old.pk}: The thread's queue is full. Wait for a run to finish, or cancel one that waits."
    ]
    assert (Run.objects.count(), LogEntry.objects.count()) == (2, 0)


@pytest.mark.django_db(transaction=True)
def test_force_stop_cancels_and_kills(operator: Client, outbox: Outbox) -> None:
    run = running(make_thread())
    assert act(operator, "force_stop", run, reason="it hangs")["done"] == 1
    assert (stored(run).status, stored(run).reason) == ("interrupted", "it hangs")
    assert "force_stop_run" in outbox.commands()
    outbox.clear()
    assert act(operator, "force_stop", run)["done"] == 1  # it stops and does not leave
    assert outbox.commands() == ["force_stop_run"]
    leave(run)
    outbox.clear()
    assert act(operator, "force_stop", run)["done"] == 0
    assert outbox.commands() == []
    assert LogEntry.objects.count() == 2


def test_all_that_match_go_in_portions_newest_first(operator: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr("runs.admin.run_bulk.BATCH", 2)
    thread = make_thread()
    executing = running(thread)
    runs = [executing, *(make_run(thread) for _ in range(4))]
    spared = make_run(make_thread())
    asked: dict[str, Any] = {"filter": f"?thread={thread.pk}", "reason": "all"}
    count = act(operator, "cancel", page="count", **asked)
    assert count == {"count": 5, "shown": "5", "more": False, "running": "1", "pending": "4"} | {
        "understood": f"The filter: thread = {thread.pk}.",
        "bound": "",
    }
    assert LogEntry.objects.count() == 0

    portions = [act(operator, "cancel", **asked)]
    assert {run.pk for run in runs if stored(run).status == "interrupted"} == {runs[4].pk, runs[3].pk}
    late = make_run(thread)  # accepted after the beginning: not meant
    while portions[-1]["next"]:
        portions.append(act(operator, "cancel", after=portions[-1]["next"], **asked))
    assert [portion["done"] for portion in portions] == [2, 2, 1]
    assert {stored(run).status for run in runs} == {"interrupted"}
    assert (stored(spared).status, stored(late).status) == ("pending", "pending")
    assert LogEntry.objects.count() == 5


def test_portions_reach_what_was_counted_while_runs_leave_the_index_that_leads_to_them(
    operator: Client, monkeypatch: Any
) -> None:
    """Each that is cancelled is pending no more: the newest five that are pending would be older ones each time."""
    monkeypatch.setattr("runs.admin.run_scan.LATEST", 5)
    monkeypatch.setattr("runs.admin.run_bulk.BATCH", 2)
    runs = [make_run(make_thread(), "enqueue") for _ in range(20)]
    asked: dict[str, Any] = {"filter": "?status=pending&strategy=enqueue"}
    page = operator.get(reverse("admin:runs_run_rows") + asked["filter"]).context["page"]
    assert [row.run.pk for row in page.rows] == [run.pk for run in runs[:14:-1]]
    count = act(operator, "cancel", page="count", **asked)
    assert (count["count"], count["understood"]) == (
        5,
        "The filter: status = pending, AND strategy = enqueue. "
        "Only the newest 5 runs of status = pending are searched.",
    )
    after = ""
    done: list[int] = []
    while not done or after:
        answer = act(operator, "cancel", after=after, bound=count["bound"], **asked)
        done.append(answer["done"])
        after = answer["next"]
    assert done == [2, 2, 1]
    assert {run.pk for run in runs if stored(run).status == "interrupted"} == {run.pk for run in runs[15:]}


def test_a_portion_goes_on_behind_what_a_deletion_has_hidden(operator: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr("runs.admin.run_bulk.BATCH", 2)
    runs = [finish(running(make_thread())) for _ in range(4)]
    hidden = [running(make_thread()) for _ in range(2)]
    for run in hidden:
        delete_run(thread_id=run.thread_id, run_id=run.pk, actor=system("test"))
    asked: dict[str, Any] = {"filter": "?strategy=enqueue&age=1h", "reason": "again"}
    first = act(operator, "retry", **asked)
    second = act(operator, "retry", after=first["next"], **asked)
    third = act(operator, "retry", after=second["next"], **asked)
    assert [(each["done"], each["refused"]) for each in (first, second, third)] == [(0, 0), (2, 0), (2, 0)]
    assert third["next"] == ""
    assert set(Run.objects.exclude(retry_of=None).values_list("retry_of", flat=True)) == {run.pk for run in runs}


@pytest.mark.parametrize(
    ("form", "complaint"),
    [({}, "Count again."), ({"bound": ""}, "Count again."), ({"bound": "x"}, "It is not clear up to where to look.")],
)
def test_a_portion_that_does_not_say_up_to_where_was_counted_reaches_nothing(
    operator: Client, monkeypatch: Any, form: dict[str, str], complaint: str
) -> None:
    monkeypatch.setattr("runs.admin.run_scan.LATEST", 2)
    for _ in range(3):
        make_run(make_thread(), "enqueue")
    answer = act(operator, "cancel", status=400, filter="?status=pending&strategy=enqueue", **form)
    assert answer["detail"].endswith(complaint)
    assert set(Run.objects.values_list("status", flat=True)) == {"pending"}


def test_a_name_alone_is_not_acted_on_and_the_page_says_which_it_means(operator: Client) -> None:
    """The first run of an assistant that is called like the user would change what the name means."""
    own = make_run(make_thread(make_actor("hasty")))
    page = operator.get(reverse("admin:runs_run_rows") + "?q=hasty")
    assert "Searching for <strong>owner = hasty</strong>." in page.content.decode()
    exact = page.context["wanted"].exact_address
    assert exact == "?q=owner%3A%22hasty%22"
    for link in (f'data-filter="{exact}"', f"export/csv/{exact}", f"export/jsonl/{exact}"):
        assert link in page.content.decode()

    other = make_run(make_thread())
    Run.objects.filter(pk=other.pk).update(assistant="hasty")
    page = operator.get(reverse("admin:runs_run_rows") + "?q=hasty")
    assert "Searching for <strong>assistant = hasty</strong>." in page.content.decode()
    for view in ("count", "act"):
        refused = act(operator, "cancel", page=view, status=400, filter="?q=hasty")["detail"]
        assert refused.endswith('Say which is meant: assistant:"hasty"')
    assert act(operator, "cancel", page="count", filter=exact)["understood"] == "The filter: owner = hasty."
    assert act(operator, "cancel", filter=exact)["done"] == 1
    assert (stored(own).status, stored(other).status) == ("interrupted", "pending")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("form", "complaint"),
    [
        ({"filter": ""}, "Choose a filter first"),
        ({"filter": "?"}, "Choose a filter first"),
        ({"filter": "?status="}, "Choose a filter first"),
        ({"filter": "?before=2026-11-29T00:00:00%2B00:00~1"}, "Choose a filter first"),
        ({"filter": "?status=asleep"}, "There is no status"),
        ({"filter": "?stauts=error"}, "There is no filter “stauts”"),
        ({"filter": "?q=nonsense"}, "Not understood"),
        ({"filter": "?owner=staff&owner=x"}, "more than once"),
        ({}, "Select the runs first"),
        ({"run": ["7"]}, "Select the runs first"),
        ({"run": ["00000000-0000-0000-0000-000000000001"] * 201}, "At most 200"),
        ({"filter": "?status=active", "after": "x"}, "where to go on"),
    ],
)
def test_what_is_not_asked_for_clearly_reaches_nothing(
    operator: Client, verb: str, form: dict[str, Any], complaint: str
) -> None:
    make_run(make_thread())
    finish(running(make_thread()))
    before = list(Run.objects.order_by("pk").values())
    assert complaint in act(operator, verb, status=400, **form)["detail"]
    if "after" not in form:
        assert complaint in act(operator, verb, page="count", status=400, **form)["detail"]
    assert list(Run.objects.order_by("pk").values()) == before


@pytest.mark.parametrize("form", [{"reason": "x" * 501}, {"reason": "\x00"}, {"how": "gently"}])
def test_a_form_that_is_wrong_changes_nothing(operator: Client, form: dict[str, str]) -> None:
    run = make_run(make_thread())
    act(operator, "cancel", run, status=400, **form)
    assert stored(run).status == "pending"


@pytest.mark.parametrize("verb", VERBS)
def test_each_action_needs_its_own_permission(verb: str) -> None:
    others = [f"{other}_run" for other in VERBS if other != verb]
    client = staff(*others, "change_run", "delete_run")
    pending, executing, ended = make_run(make_thread()), running(make_thread()), finish(running(make_thread()))
    before = list(Run.objects.order_by("pk").values())
    for page in ("act", "count"):
        act(client, verb, pending, executing, ended, page=page, status=403)
        act(client, verb, page=page, status=403, filter="?status=active")
    assert list(Run.objects.order_by("pk").values()) == before
    assert (RunEvent.objects.count(), LogEntry.objects.count()) == (6, 0)
    page = client.get(reverse("admin:runs_run_changelist")).content.decode()
    assert f'data-act="{verb}"' not in page
    assert 'data-act="' in page

    assert act(staff(f"{verb}_run"), verb, pending, executing, ended)["done"] >= 1


def test_a_viewer_gets_no_buttons_and_no_dialog() -> None:
    client = staff()
    run = running(make_thread())
    for path in (reverse("admin:runs_run_changelist"), reverse("admin:runs_run_change", args=[run.pk])):
        page = client.get(path).content.decode()
        assert 'data-act="' not in page
        assert 'id="act"' not in page


def test_doing_without_seeing_is_refused() -> None:
    client = staff("cancel_run")
    user = make_actor("staff").owner
    user.user_permissions.remove(Permission.objects.get(codename="view_run"))
    run = make_run(make_thread())
    act(client, "cancel", run, status=403)
    assert stored(run).status == "pending"


def test_only_posts_with_the_token_of_the_page_do_anything(operator: Client) -> None:
    run = make_run(make_thread())
    path = reverse("admin:runs_run_act", args=["cancel"])
    assert operator.get(path, {"run": str(run.pk)}).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(make_actor("operator").owner)
    assert strict.post(path, {"run": str(run.pk)}).status_code == 403
    assert operator.post(reverse("admin:runs_run_act", args=["delete"]), {"run": str(run.pk)}).status_code == 404
    assert stored(run).status == "pending"
