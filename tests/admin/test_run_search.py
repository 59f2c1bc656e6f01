"""The language of the search: what is written, what it is understood as, which runs that finds, and that all agree."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from runs.admin.run_query import MOST_TERMS, PARENTHESES, Literal, NotUnderstood, parse
from runs.models import Run
from runs.states import RunStatus
from tests.admin.test_run_actions import act
from tests.admin.test_run_list import LIST, ROWS, ids, shown, words
from tests.support.factories import cancel, claim, finish, make_actor, make_run, make_thread, make_worker

MOST_QUERIES = 12


def written(text: str) -> list[list[str]]:
    """The clauses as they were read; - before a negated term, quotes around a quoted value."""
    return [
        [("-" if term.is_negated else "") + (repr(term.value) if term.is_quoted else term.text) for term in clause]
        for clause in parse(text)
    ]


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("ada", [["ada"]]),
        ("status:error owner:ada", [["status:error"], ["owner:ada"]]),
        ("status:error AND owner:ada", [["status:error"], ["owner:ada"]]),
        ("status:error OR status:timeout owner:ada", [["status:error", "status:timeout"], ["owner:ada"]]),
        ("owner:ada status:error OR status:timeout", [["owner:ada"], ["status:error", "status:timeout"]]),
        ("-owner:ada NOT status:error", [["-owner:ada"], ["-status:error"]]),
        ("a OR NOT b OR -c", [["a", "-b", "-c"]]),
        ("NOT -a", [["a"]]),
        ("error: ValueError", [["error:ValueError"]]),
        ("by:operator:ada", [["by:operator:ada"]]),
        ("metadata.n:-5 created:>2h", [["metadata.n:-5"], ["created:>2h"]]),
        ('"a b" "OR"', [["'a b'"], ["'OR'"]]),
        (r'owner:"say \"x\" \\"', [[repr('say "x" \\')]]),
        ('assistant:"f(x)"', [["'f(x)'"]]),
        ("or not", [["or"], ["not"]]),
    ],
)
def test_what_is_written_is_read(text: str, clauses: list[list[str]]) -> None:
    assert written(text) == clauses


def test_a_term_has_a_kind_and_a_value() -> None:
    assert parse('-Metadata.Key:"5 x"') == [(Literal("Metadata.Key", "5 x", is_quoted=True, is_negated=True),)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("(a OR b) c", PARENTHESES),
        ("error:f(x)", PARENTHESES),
        ('owner:"ada', "A double quote is opened and not closed."),
        ('a"b"', "Double quotes go around a whole value"),
        ('"a"b', "Double quotes go around a whole value"),
        ("owner:", "“owner:” has no value."),
        ('owner:""', '“owner:""” has no value.'),
        ("-", "“-” has no value."),
        ("OR a", "There is no term before “OR”."),
        ("a OR", "There is no term after “OR”."),
        ("a OR AND b", "There is no term before “AND”."),
        ("a NOT", "There is no term after “NOT”."),
        ("NOT NOT a", "There is no term before “NOT”."),
        ("a " * (MOST_TERMS + 1), f"A search has at most {MOST_TERMS} terms."),
        ("a" * 1001, "A search has at most 1,000 characters."),
        (" ", "There is no term in it."),
    ],
)
def test_what_cannot_be_read_is_explained(text: str, complaint: str) -> None:
    with pytest.raises(NotUnderstood) as refused:
        parse(text)
    assert str(refused.value).startswith(complaint)


def change(run: Run, **columns: Any) -> Run:
    Run.objects.filter(pk=run.pk).update(**columns)
    return run


@pytest.fixture
def some() -> dict[str, Run]:
    """Runs of two owners, in four statuses, newest last."""
    ada, ben = make_thread(make_actor("ada")), make_thread(make_actor("Ben L."))
    worker = make_worker("host-a")
    old = change(finish(claim(make_run(ada), worker), RunStatus.ERROR), created_at=timezone.now() - timedelta(days=3))
    change(old, metadata={"customer": "acme", "n": 5, "paid": True, "rate": 1.5}, model_name="gpt")
    late = finish(claim(make_run(ada, "interrupt"), worker), RunStatus.TIMEOUT)
    change(late, metadata={"customer": "ACME", "n": "5"}, started_at=timezone.now() - timedelta(minutes=2))
    stopped = cancel(make_run(ben))
    change(stopped, reason="the wrong 100% document", cancelled_by="operator:ada")
    waits = change(make_run(ben, "enqueue"), created_at=timezone.now() - timedelta(minutes=10))
    return {"old": old, "late": late, "stopped": stopped, "waits": waits}


EVERY = {"old", "late", "stopped", "waits"}
MEANINGS: tuple[tuple[str, str, set[str]], ...] = (
    ("status:error", "status = error", {"old"}),
    ("status:active", "status = active", {"waits"}),
    (
        "status:error OR status:timeout owner:ada",
        "status = error OR status = timeout, AND owner = ada",
        {"old", "late"},
    ),
    ("owner:ada -status:error", "owner = ada, AND NOT status = error", {"late"}),
    ("NOT owner:ada", "NOT owner = ada", {"stopped", "waits"}),
    ('owner:"Ben L." status:pending', "owner = Ben L., AND status = pending", {"waits"}),
    ('"Ben L." OR ValueError', "owner = Ben L. OR error type = ValueError", {"old", "stopped", "waits"}),
    ("-error:ValueError", "NOT error type = ValueError", {"late", "stopped", "waits"}),
    ("strategy:interrupt", "strategy = interrupt", {"late"}),
    ("metadata.customer:acme", "metadata.customer = acme", {"old"}),
    ("metadata.n:5", "metadata.n = 5", {"old", "late"}),
    ('metadata.n:"5"', "metadata.n = 5", {"late"}),
    ("metadata.rate:1.5", "metadata.rate = 1.5", {"old"}),
    ("metadata.paid:true", "metadata.paid = true", {"old"}),
    ("-metadata.customer:acme", "NOT metadata.customer = acme", {"late", "stopped", "waits"}),
    ("model:gpt", "model = gpt", {"old"}),
    ("-model:gpt", "NOT model = gpt", {"late", "stopped", "waits"}),
    ("by:operator:ada", "cancelled by = operator:ada", {"stopped"}),
    ('reason:"100% DOC"', "reason contains 100% DOC", {"stopped"}),
    ("created:>1d", "created in the last 1d", {"late", "stopped", "waits"}),
    ("created:<1d", "created more than 1d ago", {"old"}),
    ("-created:<1d", "NOT created more than 1d ago", {"late", "stopped", "waits"}),
    ("created:<2020-01-01", "created before 2020-01-01 00:00:00 UTC", set()),
    ("created:>2020-01-01T14:00", "created since 2020-01-01 14:00:00 UTC", EVERY),
    ("ran:>1m30s", "ran longer than 1m30s", {"late"}),
    ("-ran:>1m30s", "NOT ran longer than 1m30s", {"old", "stopped", "waits"}),
    ("ran:<30s", "ran shorter than 30s", {"old"}),
    ("waited:>5m status:pending", "waited longer than 5m, AND status = pending", {"waits"}),
    ("created:<5m OR status:timeout", "created more than 5m ago OR status = timeout", {"old", "late", "waits"}),
)


@pytest.mark.django_db(transaction=True)
def test_each_kind_means_the_same_to_the_page_its_words_the_export_and_the_actions(
    operator: Client, some: dict[str, Run]
) -> None:
    names = {str(run.pk): name for name, run in some.items()}
    for text, understood, expected in MEANINGS:
        page = operator.get(ROWS, {"q": text}).context
        assert (page["wanted"].understood, page["wanted"].mistakes) == (understood, []), text
        assert {names[str(row.run.pk)] for row in page["page"].rows} == expected, text
        file = operator.get(reverse("admin:runs_run_export", args=["csv"]), {"q": text})
        lines = list(csv.DictReader(io.StringIO(b"".join(_read(file)).decode())))
        assert {names[line["id"]] for line in lines} == expected, text
        in_flight = len(expected & {"waits"})
        assert act(operator, "cancel", page="count", filter=page["wanted"].exact_address)["count"] == in_flight, text


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("ada", 'owner:"ada"'),
        ('-"Ben L."   OR echo status:error', '-owner:"Ben L." OR assistant:"echo" status:error'),
        ('NOT ada metadata.a:"5"', '-owner:"ada" metadata.a:"5"'),
        (r'"a\"\\b" reason:"x\\"', r'owner:"a\"\\b" reason:"x\\"'),
        ("owner:ada   AND  created:>2h", "owner:ada   AND  created:>2h"),
    ],
)
def test_the_exact_search_says_every_kind_and_means_the_same(operator: Client, text: str, exact: str) -> None:
    for name in ("ada", "Ben L.", 'a"\\b'):
        make_run(make_thread(make_actor(name)))
    wanted = operator.get(ROWS, {"q": text}).context["wanted"]
    again = operator.get(ROWS + wanted.exact_address).context["wanted"]
    assert wanted.exact["q"] == again.given["q"] == again.exact["q"] == exact
    assert again.words == wanted.words != ""


def _read(answer: Any) -> list[bytes]:
    from asgiref.sync import async_to_sync

    async def parts() -> list[bytes]:
        return [part async for part in answer.streaming_content]

    return async_to_sync(parts)()


def test_a_search_combines_with_the_filters_and_stays_in_every_address(operator: Client, some: dict[str, Run]) -> None:
    query = {"q": "status:error OR status:timeout", "strategy": "interrupt"}
    assert shown(operator, **query) == ids(some["late"])
    page = operator.get(ROWS, query).content.decode()
    searched = "strategy=interrupt&amp;q=status%3Aerror+OR+status%3Atimeout"
    for address in (f"export/csv/?{searched}", f'id="tab-error" href="?{searched}&amp;status=error"'):
        assert address in page


def test_an_action_on_all_that_match_reaches_what_the_search_finds_and_nothing_else(
    operator: Client, some: dict[str, Run]
) -> None:
    other = make_run(make_thread(make_actor("eve")))
    search = "?q=status%3Aactive+-owner%3Aeve"
    assert act(operator, "cancel", filter=search)["done"] == 1
    assert Run.objects.get(pk=some["waits"].pk).status == "interrupted"
    assert Run.objects.get(pk=other.pk).status == "pending"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("colour:red", "Not understood: there is no kind “colour”; a name with a colon goes into double quotes."),
        ("status:asleep", "Not understood: there is no status “asleep”. There are: active, pending, running,"),
        ("strategy:hope", "Not understood: there is no multitask strategy “hope”."),
        ("-owner:nobody", "Not understood: there is no owner “nobody”."),
        ("status:pending nonsense", "Not understood: there is no assistant, user or error “nonsense”."),
        ("NOT nonsense", "Not understood: there is no assistant, user or error “nonsense”."),
        ("metadata.:x", "Not understood: metadata. needs the name of a member"),
        ("created:2h", "Not understood: “created:2h” needs &gt; or &lt; and a time"),
        ("created:>soon", "Not understood: “created:&gt;soon” needs &gt; or &lt; and a time"),
        ("created:>0001-01-01T00:00+14:00", "Not understood: “created:"),
        ("created:<999999w", "Not understood: 999999w is longer than ten years."),
        ("ran:30s", "Not understood: “ran:30s” needs &gt; or &lt; and a time such as 500ms"),
        ("(status:error)", f"Not understood: {PARENTHESES[:40]}"),
        ("a\x00b", "Not understood: text cannot contain the NUL character."),
    ],
)
def test_what_is_not_understood_matches_nothing_and_reaches_nothing(
    operator: Client, text: str, complaint: str
) -> None:
    run = make_run(make_thread())
    said = words(operator, q=text)
    assert said.startswith(complaint)
    assert "Nothing is shown. Possible are: a whole id" in said
    assert shown(operator, q=text) == []
    wanted = operator.get(ROWS, {"q": text}).context["wanted"]
    assert act(operator, "cancel", filter=wanted.address(), status=400)["detail"] == wanted.mistakes[0]
    assert operator.get(reverse("admin:runs_run_export", args=["csv"]), {"q": text}).status_code == 400
    assert Run.objects.get(pk=run.pk).status == "pending"


@pytest.mark.parametrize("text", ["", " ", "\t"])
def test_an_empty_search_is_no_filter(operator: Client, text: str) -> None:
    make_run(make_thread())
    answer = act(operator, "cancel", filter=f"?q={text}", status=400)
    assert answer["detail"] == "Choose a filter first: without one this would reach every run there is."
    assert Run.objects.filter(status="pending").count() == 1


def test_what_no_index_knows_is_looked_for_among_the_latest_and_the_page_says_so(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runs.admin.run_scan.LATEST", 3)
    ada = make_actor("ada")
    runs = [change(make_run(make_thread(ada)), model_name="gpt") for _ in range(5)]
    mine, others = runs[1], [make_run(make_thread(make_actor("ben"))) for _ in range(2)]
    change(mine, multitask_strategy="rollback")

    assert shown(operator, q="model:gpt") == ids(runs[4])
    page = operator.get(ROWS, {"q": "model:gpt"})
    assert "Only the newest 3 runs were searched, back to" in page.content.decode()
    assert shown(operator, q="model:gpt owner:ada") == ids(*runs[:1:-1])
    assert (
        "Only the newest 3 runs of owner = ada were searched"
        in operator.get(ROWS, {"q": "model:gpt", "owner": "ada"}).content.decode()
    )
    assert shown(operator, strategy="rollback") == []
    assert act(operator, "cancel", page="count", filter="?strategy=rollback")["count"] == 0
    assert act(operator, "cancel", page="count", filter="?q=model%3Agpt")["count"] == 1
    for query in ({"owner": "ada"}, {"q": "owner:ada OR owner:ben"}, {"status": "active"}, {"q": "created:>1h"}):
        assert operator.get(ROWS, query).context["wanted"].bound is None
    assert len(shown(operator, q="owner:ada OR owner:ben")) == len(runs) + len(others)


def test_older_runs_are_searched_by_going_on_where_the_search_ended(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runs.admin.run_scan.LATEST", 3)
    now = timezone.now()
    runs = [make_run(make_thread()) for _ in range(7)]
    for age, run in enumerate(reversed(runs)):
        change(run, created_at=now - timedelta(minutes=age), multitask_strategy="rollback")
    found: list[str] = []
    address = "?strategy=rollback"
    while address:
        page = operator.get(ROWS + address)
        found += [str(row.run.pk) for row in page.context["page"].rows]
        address = page.context["goes_on"]
    assert found == ids(*runs[::-1])


def test_pages_of_what_several_indexes_lead_to_go_on_and_back(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runs.admin.run_list.PER_PAGE", 2)
    runs = [make_run(make_thread(make_actor(name))) for name in ("ada", "ben", "ada", "ben", "eve")]
    wanted = {"q": "owner:ada OR owner:ben"}
    first = operator.get(ROWS, wanted)
    second = operator.get(ROWS + first.context["older"])
    back = operator.get(ROWS + second.context["newer"])
    pages = [[str(row.run.pk) for row in page.context["page"].rows] for page in (first, second, back)]
    assert pages == [ids(runs[3], runs[2]), ids(runs[1], runs[0]), ids(runs[3], runs[2])]
    assert (second.context["older"], back.context["newer"]) == ("", "")


def test_the_largest_search_reads_at_most_twelve_statements(
    operator: Client, some: dict[str, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runs.admin.run_scan.LATEST", 2)
    terms = [f'owner:ada OR "Ben L." OR {some["old"].pk}', *["-error:ValueError OR echo"] * 7, "metadata.a:b"]
    query = {"q": " ".join(terms), "owner": "ada", "worker": "host-a", "strategy": "interrupt"}
    with CaptureQueriesContext(connection) as captured:
        page = operator.get(LIST, query)
    assert page.context["wanted"].mistakes == []
    assert len(captured) <= MOST_QUERIES - 2  # a viewer's permissions are read in two
