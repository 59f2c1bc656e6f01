"""How long the API takes, one request at a time: create, start, wait, cancel."""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx

from bench.report import percentiles, show
from bench.stack import started

WARM_UP = 10
PATIENCE_SECONDS = 60.0


class Client:
    """One user of the API, on one connection."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def get(self, path: str) -> None:
        """GET, whatever it answers."""
        self._http.get(path).raise_for_status()

    def post(self, path: str, body: Any = None) -> Any:
        """POST; anything but success ends the benchmark."""
        response = self._http.post(path, json=body).raise_for_status()
        return response.json() if response.content else None

    @contextmanager
    def stream(self, method: str, path: str, body: Any = None) -> Iterator[Iterator[str]]:
        """The lines of a stream."""
        with self._http.stream(method, path, json=body) as response:
            yield response.raise_for_status().iter_lines()


def body_of(assistant: str) -> dict[str, str]:
    """What is posted."""
    return {"assistant_id": assistant, "if_not_exists": "create", "on_disconnect": "continue"}


def ok(client: Client) -> float:
    """GET /ok, which does nothing: how fast the machine is at the moment."""
    began = time.perf_counter()
    client.get("/ok")
    return time.perf_counter() - began


def create(client: Client) -> float:
    """POST runs, until it is answered."""
    began = time.perf_counter()
    client.post(f"/threads/{uuid4()}/runs", body_of("no_work"))
    return time.perf_counter() - began


def create_to_started(client: Client) -> float:
    """POST runs/stream, until the first event of its attempt is here."""
    began = time.perf_counter()
    with client.stream("POST", f"/threads/{uuid4()}/runs/stream", body_of("no_work")) as lines:
        wait_for_metadata(lines)
        took = time.perf_counter() - began
        for _ in lines:  # to the end, so that the next begins on an idle worker
            pass
    return took


def create_and_wait(client: Client) -> float:
    """POST runs/wait, until the result is here."""
    began = time.perf_counter()
    client.post(f"/threads/{uuid4()}/runs/wait", body_of("no_work"))
    return time.perf_counter() - began


def cancel(client: Client) -> float:
    """POST cancel?wait=1 of a run that executes, until its executor has left."""
    run = client.post(f"/threads/{uuid4()}/runs", body_of("waiting"))
    path = f"/threads/{run['thread_id']}/runs/{run['run_id']}"
    with client.stream("GET", f"{path}/stream") as lines:
        wait_for_metadata(lines)
    began = time.perf_counter()
    client.post(f"{path}/cancel?wait=1")
    return time.perf_counter() - began


def wait_for_metadata(lines: Iterator[str]) -> None:
    """Read until an attempt has begun."""
    for line in lines:
        if line == "event: metadata":
            return
    raise SystemExit("a run ended before it had begun")


MEASURED: dict[str, Callable[[Client], float]] = {
    "GET /ok": ok,
    "POST runs": create,
    "create to started": create_to_started,
    "runs/wait of a run without work": create_and_wait,
    "cancel?wait=1 of a run that executes": cancel,
}


def measure(client: Client, count: int) -> Iterator[dict[str, Any]]:
    """One row for each of them."""
    yardstick = 0.0
    for name, action in MEASURED.items():
        for _ in range(WARM_UP):
            action(client)
        found = percentiles([action(client) for _ in range(count)])
        yardstick = yardstick or found["p50_ms"]
        yield {"request": name, "n": count, **found, "p50 / that of GET /ok": round(found["p50_ms"] / yardstick, 1)}


def main() -> None:
    """Measure on a stack of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="how often each is measured (default 100)")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with started() as stack:
        headers = {"x-api-key": stack.api_key}
        with httpx.Client(base_url=stack.url, headers=headers, timeout=PATIENCE_SECONDS) as http:
            rows = list(measure(Client(http), given.count))
    show(rows, as_json=given.json)


if __name__ == "__main__":
    main()
