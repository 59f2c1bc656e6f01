"""Flower as an operator has it: runs by name, a way back to the console, and buttons that are honoured as cancels."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from project.local.running import RunningServer, running_server
from tests.contract.assistants import registrations
from tests.contract.conftest import Gates
from tests.support.ledger import wait_until

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that executes one run at a time, so that a second one is queued."""
    environment = {"RUNYARD_ASSISTANTS": registrations(), "WORKERS": "1"}
    with running_server(tmp_path_factory.mktemp("single"), environment=environment) as server:
        yield server


@pytest.fixture
def api(single: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=single.url, headers={"x-api-key": single.api_key}, timeout=60) as client:
        yield client


@pytest.fixture
def flower(single: RunningServer) -> Iterator[httpx.Client]:
    account = ("operator", single.home.values()["RUNYARD_ADMIN_PASSWORD"])
    with httpx.Client(base_url=single.urls["Flower"], auth=account, timeout=60) as client:
        yield client


@pytest.fixture
def create(api: httpx.Client, gates: Gates) -> Iterator[Callable[[], Any]]:
    """Runs, each on a thread of its own, that wait for the end of the test and have a secret to keep."""
    runs: list[Any] = []

    def create() -> Any:
        thread = api.post("/threads", json={}).json()["thread_id"]
        given = {"count": 1, "gates": str(gates.directory), "secret": "the input"}
        runs.append(api.post(f"/threads/{thread}/runs", json={"assistant_id": "steps", "input": given}).json())
        return runs[-1]

    yield create
    gates.open(0)
    for run in runs:
        wait_until(lambda run=run: status(api, run) not in ("pending", "running"), "the run to end", 60.0)  # type: ignore[misc]


def path(run: Any) -> str:
    return f"/threads/{run['thread_id']}/runs/{run['run_id']}"


def status(api: httpx.Client, run: Any) -> str:
    return str(api.get(path(run)).json()["status"])


def task(flower: httpx.Client, run: Any, state: str) -> Any:
    """What Flower knows of the run's task, as soon as it is in this state."""

    def found() -> Any:
        answer = flower.get(f"/api/task/info/{run['run_id']}")
        return answer.json() if answer.status_code == 200 and answer.json()["state"] == state else None

    return wait_until(found, f"Flower to show the run as {state}", 60.0)


def wait_until_it_acts(page: Page, button: str) -> None:
    """Flower's scripts come after its buttons, and a click before them does nothing."""
    page.wait_for_function(
        "button => window.jQuery?._data(document.querySelector(button), 'events')?.click", arg=button
    )


def test_a_task_says_what_it_is_and_nothing_of_the_input(
    flower: httpx.Client, api: httpx.Client, create: Callable[[], Any]
) -> None:
    run = create()
    shown = task(flower, run, "STARTED")

    assert shown["name"] == "steps/reject"
    assert shown["args"] == f"(run {run['run_id']})"
    assert run["thread_id"] in shown["kwargs"]
    assert "'assistant': 'steps'" in shown["kwargs"]
    assert "'strategy': 'reject'" in shown["kwargs"]
    assert "the input" not in str(shown)


def test_nothing_but_the_health_check_is_public(single: RunningServer, flower: httpx.Client) -> None:
    public = httpx.Client(base_url=single.urls["Flower"], timeout=60)
    with public:
        found = {
            page: public.get(page).status_code for page in ("/", "/tasks", "/metrics", "/api/tasks", "/healthcheck")
        }

    assert found == {"/": 401, "/tasks": 401, "/metrics": 401, "/api/tasks": 401, "/healthcheck": 200}
    assert "flower_" in flower.get("/metrics").text


def test_a_queued_run_is_revoked_over_the_api_of_flower(
    flower: httpx.Client, api: httpx.Client, create: Callable[[], Any]
) -> None:
    running = create()
    task(flower, running, "STARTED")
    queued = create()
    shown = task(flower, queued, "PENDING")
    assert shown["name"] == "steps/reject"  # no worker has received it: so it was announced by the web process
    assert status(api, queued) == "pending"

    assert flower.post(f"/api/task/revoke/{queued['run_id']}").status_code == 200

    wait_until(lambda: status(api, queued) == "interrupted", "the queued run to be interrupted", 60.0)
    assert api.get(path(queued)).json()["cancelled_by"] == "remote control"
    assert status(api, running) == "running"


def test_a_running_run_is_terminated_with_flowers_button(
    single: RunningServer, browser: Browser, flower: httpx.Client, api: httpx.Client, create: Callable[[], Any]
) -> None:
    run = create()
    task(flower, run, "STARTED")
    account = {"username": "operator", "password": single.home.values()["RUNYARD_ADMIN_PASSWORD"]}
    context = browser.new_context(http_credentials=account)  # type: ignore[arg-type]
    page: Page = context.new_page()
    page.goto(f"{single.urls['Flower']}tasks?name=steps/reject")
    row = page.locator(f"#tasks-table tr[id='{run['run_id']}']")
    expect(row).to_contain_text("steps/reject")
    expect(row).to_contain_text(run["thread_id"])
    expect(row).not_to_contain_text("the input")
    row.locator(f"a[href='/task/{run['run_id']}']").click()
    console = f"{single.url}/admin/runs/run/{run['run_id']}/change/"
    assert page.get_attribute("#run", "href") == console
    wait_until_it_acts(page, "#task-terminate")

    with page.expect_response("**/api/task/revoke/*") as answer:
        page.click("#task-terminate")
    assert answer.value.status == 200, answer.value.text()

    wait_until(lambda: status(api, run) == "interrupted", "the run to be interrupted", 60.0)
    assert api.get(path(run)).json()["cancelled_by"] == "remote control"
    task(flower, run, "REVOKED")
    page.click("#run")
    page.fill("#id_username", account["username"])
    page.fill("#id_password", account["password"])
    page.click("[type=submit]")
    page.wait_for_url(console)
    assert run["run_id"] in page.content()
    context.close()
