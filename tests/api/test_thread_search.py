"""/threads/search and /threads/count."""

from uuid import uuid4

import pytest

from runs.models import Thread
from tests.support.api import Api, assert_problem
from tests.support.factories import finish, make_run, running


def create(api: Api, **body: object) -> str:
    """The id of a new thread."""
    return str(api.post("/threads", body).json()["thread_id"])


def search(api: Api, **body: object) -> list[str]:
    """The ids found."""
    response = api.post("/threads/search", body)
    assert response.status_code == 200, response.content
    return [thread["thread_id"] for thread in response.json()]


def test_the_latest_changed_comes_first(api: Api) -> None:
    first, second, third = create(api), create(api), create(api)
    api.patch(f"/threads/{first}", {"metadata": {"a": 1}})
    assert search(api) == [first, third, second]


@pytest.mark.parametrize("sort_by", ["thread_id", "created_at", "updated_at", "state_updated_at"])
def test_sorting(api: Api, sort_by: str) -> None:
    ids = [create(api) for _ in range(3)]
    assert search(api, sort_by=sort_by, sort_order="asc") == ids
    assert search(api, sort_by=sort_by, sort_order="desc") == ids[::-1]


def test_sorting_by_status(api: Api) -> None:
    idle, busy = create(api), create(api)
    make_run(Thread.objects.get(pk=busy))
    assert search(api, sort_by="status", sort_order="asc") == [busy, idle]


def test_filters_by_ids_metadata_values_and_status(api: Api) -> None:
    plain, tagged, done, busy = create(api), create(api, metadata={"tag": {"a": 1, "b": 2}}), create(api), create(api)
    finish(running(Thread.objects.get(pk=done)), total=9, rest=[1, 2])
    make_run(Thread.objects.get(pk=busy))

    assert search(api, ids=[plain, str(uuid4())]) == [plain]
    assert search(api, ids=[]) == []
    assert search(api, metadata={"tag": {"a": 1}}) == [tagged]
    assert search(api, values={"total": 9}) == [done]
    assert search(api, values={"rest": [2]}) == [done]
    assert search(api, status="busy") == [busy]
    assert search(api, status="error") == []


def test_count_is_a_bare_number(api: Api) -> None:
    create(api, metadata={"a": 1})
    create(api)
    assert api.post("/threads/count", {}).content == b"2"
    assert api.post("/threads/count", {"metadata": {"a": 1}}).content == b"1"
    assert api.post("/threads/count", {"status": "busy"}).content == b"0"


def test_strangers_threads_are_neither_found_nor_counted(api: Api, stranger: Api) -> None:
    theirs = create(stranger, metadata={"a": 1})
    assert search(api, ids=[theirs]) == []
    assert search(api, metadata={"a": 1}) == []
    assert api.post("/threads/count", {}).json() == 0


def test_deleted_threads_are_not_found(api: Api) -> None:
    gone = create(api)
    api.delete(f"/threads/{gone}")
    assert search(api) == []


def test_pages_say_whether_there_is_more(api: Api) -> None:
    ids = [create(api) for _ in range(3)]
    first = api.post("/threads/search", {"limit": 2})
    assert (first["X-Pagination-Next"], first["X-Pagination-Total"]) == ("2", "3")
    rest = api.post("/threads/search", {"limit": 2, "offset": 2})
    assert [thread["thread_id"] for thread in rest.json()] == ids[:1]
    assert "X-Pagination-Next" not in rest
    assert rest["X-Pagination-Total"] == "3"
    past = api.post("/threads/search", {"offset": 7})
    assert past.json() == []
    assert "X-Pagination-Next" not in past


def test_a_page_has_10_unless_said_otherwise(api: Api) -> None:
    for _ in range(11):
        create(api)
    assert len(search(api)) == 10


def test_limit_0_is_an_empty_page_without_a_next_one(api: Api) -> None:
    create(api)
    response = api.post("/threads/search", {"limit": 0})
    assert response.json() == []
    assert "X-Pagination-Next" not in response


def test_select_trims_and_extract_adds(api: Api) -> None:
    thread = create(api, metadata={"user": {"name": "Ada"}, "tags": ["x", "y"]})
    api.checks_shape = False
    response = api.post(
        "/threads/search",
        {
            "select": ["thread_id"],
            "extract": {"name": "metadata.user.name", "last": "metadata.tags[-1]", "none": "values.messages[0].text"},
        },
    )
    assert response.json() == [{"thread_id": thread, "extracted": {"name": "Ada", "last": "y", "none": None}}]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"limit": -1}, ["limit"]),
        ({"limit": 1001}, ["limit", "1000"]),
        ({"limit": "5"}, ["limit", "integer"]),
        ({"limit": True}, ["limit", "integer"]),
        ({"limit": 1.5}, ["limit", "integer"]),
        ({"offset": -1}, ["offset"]),
        ({"offset": 2**40}, ["offset"]),
        ({"status": "asleep"}, ["status", "asleep"]),
        ({"ids": ["x"]}, ["ids", "UUID"]),
        ({"ids": "x"}, ["ids", "list"]),
        ({"sort_by": "colour"}, ["sort_by", "colour"]),
        ({"sort_order": "up"}, ["sort_order"]),
        ({"select": ["colour"]}, ["select", "colour"]),
        ({"extract": {"a": "metadata..b"}}, ["extract", "'metadata..b'", "character 9"]),
        ({"extract": {"a": "owner.password"}}, ["extract", "begin with"]),
        ({"extract": {"a": 7}}, ["extract"]),
        ({"extract": {str(n): "metadata.a" for n in range(11)}}, ["extract", "10"]),
        ({"values": [1]}, ["values", "object"]),
        ({"q": "x"}, ["q", "not known"]),
    ],
)
def test_a_bad_search_says_what_is_wrong(api: Api, body: object, words: list[str]) -> None:
    assert_problem(api.post("/threads/search", body), 422, "invalid_request", *words)
