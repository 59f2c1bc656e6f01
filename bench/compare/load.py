"""One load generator for every server: it knows the LangGraph API and nothing else."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

PATIENCE_SECONDS = 120.0
#: Bytes; a line of a stream may hold a whole state.
LONGEST_LINE = 2**20
POLL_SECONDS = 0.005
IN_FLIGHT = ("pending", "running")


class Refused(Exception):
    """The server did not do what the scenario asks for."""


@dataclass(frozen=True)
class Times:
    """Of one stream, from the request: seconds until its headers, its first event after `metadata`, its end."""

    headers: float
    first: float
    last: float
    events: int


class Load:
    """A client of one server."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def post(self, path: str, body: Any = None) -> Any:
        """POST. Raises Refused unless it is a success."""
        return await self._ask("POST", path, json={} if body is None else body)

    async def get(self, path: str) -> Any:
        """GET. Raises Refused unless it is a success."""
        return await self._ask("GET", path)

    async def _ask(self, method: str, path: str, **options: Any) -> Any:
        async with self._http.request(method, path, **options) as answer:
            text = await answer.text()
            if not answer.ok:
                raise Refused(f"{method} {path}: {answer.status} {text[:200]}")
            return json.loads(text) if text.strip() else None

    async def thread(self) -> str:
        """A new thread."""
        made: str = (await self.post("/threads"))["thread_id"]
        return made

    async def create(self, thread: str, graph: str, *, input: Mapping[str, Any] | None = None, **options: Any) -> str:
        """POST runs; the id of the run."""
        run: str = (await self.post(f"/threads/{thread}/runs", _body(graph, input, options)))["run_id"]
        return run

    async def wait(self, thread: str, graph: str, *, input: Mapping[str, Any] | None = None) -> Any:
        """POST runs/wait; the result."""
        result = await self.post(f"/threads/{thread}/runs/wait", _body(graph, input, {}))
        if not isinstance(result, dict) or "__error__" in result:
            raise Refused(f"runs/wait answered {str(result)[:200]}")
        return result

    async def stream(
        self, thread: str, graph: str, *, input: Mapping[str, Any] | None = None, mode: str, **options: Any
    ) -> Times:
        """POST runs/stream, to its end."""
        began = time.perf_counter()
        body = _body(graph, input, {"stream_mode": mode, **options})
        async with self._http.post(f"/threads/{thread}/runs/stream", json=body) as answer:
            return await _times(answer, began)

    @asynccontextmanager
    async def joined(self, thread: str, run: str) -> AsyncIterator[AsyncIterator[str]]:
        """GET the run's stream: its events."""
        async with self._http.get(f"/threads/{thread}/runs/{run}/stream") as answer:
            if not answer.ok:
                raise Refused(f"the stream answered {answer.status}")
            yield _events(answer)

    async def until(self, thread: str, run: str, *statuses: str) -> None:
        """Ask every few milliseconds until the run has one of these statuses."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (status := (await self.get(f"/threads/{thread}/runs/{run}"))["status"]) not in statuses:
            if time.monotonic() > deadline:
                raise Refused(f"a run is still {status} after {PATIENCE_SECONDS:g} s")
            await asyncio.sleep(POLL_SECONDS)

    async def until_done(self, thread: str, run: str) -> None:
        """Ask until the run has ended."""
        await self.until(thread, run, "success", "error", "timeout", "interrupted")


async def _times(answer: aiohttp.ClientResponse, began: float) -> Times:
    if not answer.ok:
        raise Refused(f"the stream answered {answer.status}: {(await answer.text())[:200]}")
    headers, first, events = time.perf_counter() - began, 0.0, 0
    async for event in _events(answer):
        if event == "error":
            raise Refused("the stream told of an error")
        if event not in ("metadata", "end"):
            events += 1
            first = first or time.perf_counter() - began
    if not events:
        raise Refused("the stream had no event")
    return Times(headers, first, time.perf_counter() - began, events)


async def _events(answer: aiohttp.ClientResponse) -> AsyncIterator[str]:
    async for line in answer.content:
        if line.startswith(b"event:"):
            yield line.removeprefix(b"event:").strip().decode()


def _body(graph: str, input: Mapping[str, Any] | None, options: Mapping[str, Any]) -> dict[str, Any]:
    return {"assistant_id": graph, "input": dict(input or {"log": []}), "on_disconnect": "continue", **options}


@asynccontextmanager
async def client(url: str, headers: Mapping[str, str]) -> AsyncIterator[Load]:
    """A client with as many connections as it needs. Not httpx: with many clients that would be what is measured."""
    async with aiohttp.ClientSession(
        url,
        headers=headers,
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=PATIENCE_SECONDS, sock_read=PATIENCE_SECONDS),
        read_bufsize=LONGEST_LINE,
    ) as http:
        yield Load(http)
