"""The list of runs: filters that combine, a search that says what it understood, pages, counts, budgets."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from runs.models import Run
from runs.states import RunStatus
from tests.support.factories import (
    cancel,
    claim,
    finish,
    make_actor,
    make_run,
    make_thread,
    make_worker,
    running,
)
from tests.support.staff import staff

LIST, ROWS = reverse("admin:runs_run_changelist"), reverse("admin:runs_run_rows")
MOST_QUERIES = 12


def shown(client: Client, **query: str) -> list[str]:
    """The ids of the runs that the page shows, in its order."""
    answer = client.get(ROWS, query)
    assert answer.status_code == 200
    return re.findall(r'<tr data-run="([^"]+)"', answer.content.decode())


def words(client: Client, **query: str) -> str:
    """What the page says about the search and the filters."""
    page = client.get(LIST, query).content.decode()
    found = re.search(r'<p id="understood"[^>]*>(.*?)</p>', page, re.DOTALL)
    assert found is not None
    return re.sub(r"<[^>]+>", "", found[1])


def ids(*runs: Run) -> list[str]:
    return [str(run.pk) for run in runs]


def test_filters_combine(operator: Client) -> None:
    ada, ben = make_thread(make_actor("ada")), make_thread(make_actor("ben"))
    worker = make_worker("host-a")
    failed = finish(claim(make_run(ada), worker), RunStatus.ERROR)
    executing = claim(make_run(ada, "interrupt"), worker)
    other = make_run(ben)

    assert shown(operator) == ids(other, executing, failed)
    assert shown(operator, status="error") == ids(failed)
    assert shown(operator, status="active") == ids(other, executing)
    assert shown(operator, owner="ada") == ids(executing, failed)
    assert shown(operator, owner="ada", status="running") == ids(executing)
    assert shown(operator, strategy="interrupt") == ids(executing)
    assert shown(operator, assistant="echo", strategy="enqueue") == ids(other, failed)
    assert shown(operator, thread=str(ben.pk)) == ids(other)
    assert shown(operator, worker=str(worker.pk)) == ids(executing, failed)
    assert shown(operator, worker="host-a", error="ValueError") == ids(failed)
    assert shown(operator, error="KeyError") == []


def test_filters_of_time(operator: Client) -> None:
    old, young = make_run(make_thread()), make_run(make_thread())
    long_ago = timezone.now() - timedelta(hours=2)
    Run.objects.filter(pk=old.pk).update(created_at=long_ago)
    assert shown(operator, age="1h") == ids(young)
    assert shown(operator, age="1d") == ids(young, old)
    moment = (long_ago + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%S")
    assert shown(operator, since=moment) == ids(young)
    assert shown(operator, until=moment) == ids(old)


def test_stopping_runs_have_a_tab(operator: Client) -> None:
    stopping = cancel(running(make_thread()))
    cancel(make_run(make_thread()))
    assert shown(operator, status="stopping") == ids(stopping)


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ({"status": "asleep"}, "There is no status “asleep”."),
        ({"strategy": "hope"}, "There is no multitask strategy “hope”."),
        ({"owner": "nobody"}, "There is no user “nobody”."),
        ({"thread": "7"}, "“7” is not the id of a thread."),
        ({"worker": "nowhere"}, "There is no worker on a host “nowhere”."),
        ({"age": "1y"}, "“1y” is not one of the times to choose from."),
        ({"since": "yesterday"}, "“yesterday” is not a time such as 2026-11-29T14:00."),
        ({"until": "2026-13-45T00:00"}, "“2026-13-45T00:00” is not a time such as 2026-11-29T14:00."),
        ({"colour": "red"}, "There is no filter “colour”."),
        ({"status": ["error", "running"]}, "The filter “status” is given more than once."),
        ({"q": "thread:7"}, "Not understood: there is no thread “7”."),
    ],
)
def test_what_is_not_understood_is_said_and_matches_nothing(
    operator: Client, query: dict[str, str], complaint: str
) -> None:
    make_run(make_thread())
    assert shown(operator, **query) == []
    assert words(operator, **query).startswith(complaint)


def test_search_says_what_it_understood(operator: Client) -> None:
    run = finish(running(make_thread(make_actor("ada"))), RunStatus.ERROR)
    for term, understood in (
        (str(run.pk), f"run id = {run.pk}"),
        (str(run.thread_id), f"thread = {run.thread_id}"),
        (str(run.worker_id), f"worker = {run.worker_id}"),
        ("ada", "owner = ada"),
        ("echo", "assistant = echo"),
        ("ValueError", "error type = ValueError"),
        (f"thread:{run.thread_id}", f"thread = {run.thread_id}"),
        ("error: ValueError", "error type = ValueError"),
    ):
        assert words(operator, q=term) == f"Searching for {understood}."
        assert shown(operator, q=term) == ids(run)
    assert shown(operator, q="ada", status="running") == []


def test_a_filter_stays_in_every_address_of_the_page(operator: Client) -> None:
    make_run(make_thread(make_actor("ada")))
    page = operator.get(ROWS, {"owner": "ada", "status": "pending"}).content.decode()
    assert 'id="tab-error" href="?status=error&amp;owner=ada"' in page or (
        'id="tab-error" href="?owner=ada&amp;status=error"' in page
    )
    assert 'id="tab-pending" href="?owner=ada&amp;status=pending" aria-current="page"' in page or (
        'id="tab-pending" href="?status=pending&amp;owner=ada" aria-current="page"' in page
    )


def test_pages_go_on_from_a_place_and_back(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runs.admin.run_list.PER_PAGE", 2)
    runs = [make_run(make_thread()) for _ in range(5)]
    Run.objects.update(created_at=timezone.now())  # equal times: the sequence decides
    newest_first = ids(*runs[::-1])

    first = operator.get(ROWS)
    assert re.findall(r'<tr data-run="([^"]+)"', first.content.decode()) == newest_first[:2]
    assert first.context["newer"] == ""
    second = operator.get(ROWS + first.context["older"])
    assert re.findall(r'<tr data-run="([^"]+)"', second.content.decode()) == newest_first[2:4]
    third = operator.get(ROWS + second.context["older"])
    assert re.findall(r'<tr data-run="([^"]+)"', third.content.decode()) == newest_first[4:]
    assert third.context["older"] == ""
    back = operator.get(ROWS + third.context["newer"])
    assert re.findall(r'<tr data-run="([^"]+)"', back.content.decode()) == newest_first[2:4]
    start = operator.get(ROWS + back.context["newer"])
    assert re.findall(r'<tr data-run="([^"]+)"', start.content.decode()) == newest_first[:2]
    assert start.context["newer"] == ""


@pytest.mark.parametrize("place", ["x", "~", "2026-11-29~1", "2026-11-29T00:00:00+00:00~", f"~{'9' * 40}"])
def test_a_place_that_is_none_is_the_beginning(operator: Client, place: str) -> None:
    run = make_run(make_thread())
    assert shown(operator, before=place) == ids(run)


def counts_of(client: Client, **query: str) -> dict[str, str]:
    """What the tabs say."""
    return {tab["name"]: tab["count"] for tab in client.get(ROWS, query).context["tabs"]}


def test_tabs_count_within_the_other_filters(operator: Client) -> None:
    """Each of these filters is counted in its own way: with an index, without one, by time, and by both."""
    ada, ben = make_thread(make_actor("ada")), make_thread(make_actor("ben"))
    worker = make_worker("host-a")
    finish(claim(make_run(ada), worker), RunStatus.ERROR)
    cancel(claim(make_run(ada, "interrupt"), worker))
    for thread in (ada, ben, ben):
        make_run(thread)
    nothing = dict.fromkeys(("active", *RunStatus.values, "stopping"), "0") | {"all": ""}
    ended = {"error": "1", "interrupted": "1", "stopping": "1"}
    assert counts_of(operator) == nothing | ended | {"active": "3", "pending": "3"}
    assert counts_of(operator, owner="ada") == nothing | ended | {"active": "1", "pending": "1"}
    assert counts_of(operator, owner="ada", status="error") == counts_of(operator, owner="ada")
    assert counts_of(operator, owner="ben", age="1h") == nothing | {"active": "2", "pending": "2"}
    assert counts_of(operator, strategy="interrupt") == nothing | {"interrupted": "1", "stopping": "1"}
    assert counts_of(operator, worker="host-a") == nothing | ended
    assert counts_of(operator, worker="host-a", error="ValueError") == nothing | {"error": "1"}
    assert counts_of(operator, q=str(worker.pk), assistant="echo") == nothing | ended
    assert counts_of(operator, until="2000-01-01T00:00") == nothing
    assert counts_of(operator, owner="nobody") == nothing


def test_a_count_that_has_stopped_at_its_bound_says_so(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runs.admin.run_counts.EXAMINE_AT_MOST", 2)
    for _ in range(3):
        finish(running(make_thread(make_actor("ada"))))
    make_run(make_thread(make_actor("ben")))
    assert counts_of(operator)["success"] == "2+"
    assert counts_of(operator)["pending"] == "1"
    assert counts_of(operator, owner="ada")["success"] == "2+"
    assert counts_of(operator, owner="ada")["error"] == ""  # it is not among the newest, and may be among the others
    assert counts_of(operator, owner="ada")["active"] == "0"
    assert counts_of(operator, strategy="reject")["success"] == ""
    assert counts_of(operator, strategy="reject")["error"] == "0"
    assert counts_of(operator, owner="ben")["pending"] == "1"


def test_counts_that_take_too_long_are_left_out_and_the_list_is_shown(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(make_thread())
    monkeypatch.setattr("runs.admin.run_counts.COUNT_MILLISECONDS", 1)
    slow = "(SELECT ARRAY[COUNT(pg_sleep(1))] FROM ({sql}) AS c{number})"
    monkeypatch.setattr("runs.admin.run_counts._EXAMINING", slow)
    assert set(counts_of(operator).values()) == {""}
    assert shown(operator) == ids(run)


@pytest.mark.parametrize("query", [{}, {"q": "7c9e6679-7425-40de-944b-e07fc1f90ae7"}, {"q": "words"}, {"owner": "ada"}])
def test_a_page_of_any_size_reads_at_most_twelve_statements_as_a_viewer(query: dict[str, str]) -> None:
    viewer = staff()
    make_run(make_thread(make_actor("ada")))
    counts = []
    for more in (0, 30):
        for _ in range(more):
            make_run(make_thread(make_actor("ada")))
        with CaptureQueriesContext(connection) as captured:
            assert viewer.get(LIST, query).status_code == 200
        counts.append(len(captured))
    assert counts[0] == counts[1]
    assert counts[0] <= MOST_QUERIES


def test_no_statement_counts_without_a_bound(operator: Client) -> None:
    make_run(make_thread())
    for query, parts in (({}, 7), ({"strategy": "enqueue"}, 7), ({"assistant": "echo"}, 4)):
        with CaptureQueriesContext(connection) as captured:
            operator.get(LIST, query)
        (counting,) = (each["sql"] for each in captured if "COUNT(" in each["sql"])
        assert counting.count("ARRAY[COUNT(*)") == counting.count("LIMIT 10000)") == parts


def test_the_place_in_the_queue_and_who_cancelled_and_why(operator: Client) -> None:
    thread = make_thread()
    executing = running(thread)
    first, second = make_run(thread), make_run(thread)
    notes = {str(row.run.pk): row.note for row in operator.get(ROWS).context["page"].rows}
    assert notes[str(first.pk)] == "behind 1 of its thread"
    assert notes[str(second.pk)] == "behind 2 of its thread"
    cancel(executing)
    notes = {str(row.run.pk): row.note for row in operator.get(ROWS).context["page"].rows}
    assert notes[str(executing.pk)] == "cancelled by system/test"
    assert notes[str(first.pk)] == "next of its thread, which is not free yet"


@pytest.mark.parametrize("path", [LIST, ROWS])
def test_only_those_who_may_see_runs_do(path: str) -> None:
    user = make_actor("staff").owner
    user.is_staff = True
    user.save()
    client = Client()
    client.force_login(user)
    assert client.get(path).status_code == 403
    assert Client().get(path).status_code == 302


def test_the_policy_is_the_console_s_alone(operator: Client) -> None:
    policy = operator.get(LIST)["Content-Security-Policy"]
    assert "script-src 'self' 'unsafe-eval';" in policy
    assert "default-src 'none'" in policy
    for path in ("/ok", "/docs", "/playground/"):
        assert "unsafe-eval" not in operator.get(path).headers.get("Content-Security-Policy", "")
