"""Clients that stream and wait through web processes that come and go: they reconnect, and nothing else is forgiven."""

import asyncio
import itertools
import json
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import uuid4

from tests.support.factories import make_thread
from tests.support.ledger import wait_until
from tests.support.web import Event, request

CUT = (OSError, EOFError)  # IncompleteReadError is an EOFError
PATIENCE_SECONDS = 90.0


@dataclass
class Visit:
    """One run, from its create to the end of what its client was shown."""

    how: str
    on_disconnect: str
    thread: str
    run: str = ""
    events: list[Event] = field(default_factory=list)
    answer: Any = None
    cuts: int = 0


class Visitors:
    """So many clients, each with one run after the other, until the end of the block, which waits for the last."""

    def __init__(self, webs: Sequence[str], key: str, *, count: int = 4, body: dict[str, Any]) -> None:
        self._webs, self._key, self._body = itertools.cycle(webs), key, body
        self._threads = [str(make_thread().pk) for _ in range(count)]
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="visitors")
        self._failure: BaseException | None = None
        self.visits: list[Visit] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        if self._failure is not None and kind is None:
            raise self._failure

    def wait_for_more(self, count: int) -> None:
        """Return when so many more visits are over."""
        wanted = len(self.visits) + count
        wait_until(lambda: self._failure or len(self.visits) >= wanted, f"{count} more visits", PATIENCE_SECONDS)

    def _work(self) -> None:
        try:
            asyncio.run(self._all())
        except BaseException as error:  # for the test's thread
            self._failure = error

    async def _all(self) -> None:
        await asyncio.gather(*(self._one(number, thread) for number, thread in enumerate(self._threads)))

    async def _one(self, number: int, thread: str) -> None:
        kinds = itertools.cycle(itertools.product(("stream", "wait"), ("cancel", "continue")))
        for how, on_disconnect in itertools.islice(kinds, number, None):
            if self._stopped.is_set():
                return
            visit = Visit(how, on_disconnect, thread)
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._visit(visit)
            self.visits.append(visit)

    async def _visit(self, visit: Visit) -> None:
        path, method = f"/threads/{visit.thread}/runs/{visit.how}", "POST"
        body: Any = {**self._body, "on_disconnect": visit.on_disconnect, "multitask_strategy": "enqueue"}
        create: dict[str, str] = {"Idempotency_Key": str(uuid4())}
        while True:
            headers = create if method == "POST" else _last_event(visit)
            try:
                async with request(method, next(self._webs) + path, self._key, body, **headers) as response:
                    assert response.status == 200, await response.text()
                    visit.run = response.headers["content-location"].rpartition("/")[2]
                    path, method, body = response.headers["location"], "GET", None
                    await _take(visit, response)
                    return
            except CUT:
                visit.cuts += 1
                await asyncio.sleep(0.05)


def _last_event(visit: Visit) -> dict[str, str]:
    ids = [event.id for event in visit.events if event.id]
    return {"Last_Event_ID": ids[-1]} if ids else {}


def _take(visit: Visit, response: Any) -> Coroutine[Any, Any, None]:
    return _read(visit, response) if visit.how == "stream" else _hear(visit, response)


async def _read(visit: Visit, response: Any) -> None:
    async for event in response.events():
        if event is not None:
            visit.events.append(event)
    if not visit.events or visit.events[-1].name != "end":
        raise EOFError  # the server said goodbye in good order, before the end


async def _hear(visit: Visit, response: Any) -> None:
    text = await response.text()
    if not text.strip():
        raise EOFError
    visit.answer = json.loads(text)
