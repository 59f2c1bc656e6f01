"""A client of streams that is cut, and comes back as SDKs do: to the address the server named, after the last id."""

import asyncio
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from runs.models import Run
from runs.streaming import log
from runs.streaming.connection import writer
from runs.streaming.frames import Frame
from runs.streaming.sse import encode
from tests.support.reading import place
from tests.support.server import ServerProcess
from tests.support.web import Event, parse, request

Webs = tuple[ServerProcess, ServerProcess]


@dataclass
class Client:
    """Everything that one client has seen of a run, over all its connections."""

    key: str
    #: Where it goes next, without scheme and host.
    path: str
    events: list[Event] = field(default_factory=list)
    heartbeats: int = 0
    last_id: str | None = None
    ended: bool = False
    #: How many times it was let in.
    connections: int = 0

    @property
    def names(self) -> list[str]:
        """The names of the events."""
        return [event.name for event in self.events]

    @property
    def ids(self) -> list[str | None]:
        """The ids of the events."""
        return [event.id for event in self.events]

    @property
    def run_path(self) -> str:
        """Where its run is."""
        return self.path.partition("/stream")[0]

    @property
    def run(self) -> Run:
        """The run's row, now."""
        return Run.objects.get(pk=self.run_path.rpartition("/")[2])

    async def read(
        self, web: str, *, create: Any = None, most: int | None = None, seconds: float | None = None
    ) -> "Client":
        """Read over one connection until the stream ends, or cut it after `most` events or this time."""
        headers = {} if self.last_id is None else {"Last_Event_ID": self.last_id}
        method = "GET" if create is None else "POST"
        async with request(method, web + self.path, self.key, create, **headers) as response:
            assert response.status == 200, await response.text()
            self.path = response.headers.get("location", self.path)
            self.connections += 1
            try:
                async with asyncio.timeout(seconds):
                    await self._take(response.events(), most)
            except TimeoutError:
                pass
        return self

    async def _take(self, events: Any, most: int | None) -> None:
        taken = 0
        async for event in events:
            if event is None:
                self.heartbeats += 1
                continue
            self.events.append(event)
            self.last_id = event.id or self.last_id
            self.ended = event.name == "end"
            taken += 1
            if taken == most:
                return


@dataclass
class Waiter:
    """A client that waits for one answer: of join, of wait, or of a cancel that waits."""

    key: str
    path: str
    method: str = "GET"
    body: Any = None
    #: 0: there are no headers yet.
    status: int = 0
    answer: str = ""

    async def wait(self, web: str) -> "Waiter":
        """Send the request and read its whole answer."""
        async with request(self.method, web + self.path, self.key, self.body) as response:
            self.status = response.status
            self.path = response.headers.get("location", self.path)
            self.answer = await response.text()
        return self


def creator(key: str, thread_id: Any) -> Client:
    """A client that is to create a run on the thread and stream it."""
    return Client(key, f"/threads/{thread_id}/runs/stream")


def joiner(key: str, run_path: str, **query: Any) -> Client:
    """A client that joins the stream of the run at this path."""
    return Client(key, f"{run_path}/stream?{urlencode(query, doseq=True)}")


def path_of(run: Run) -> str:
    """Where a run is."""
    return f"/threads/{run.thread_id}/runs/{run.pk}"


def logged(run: Run) -> list[Event]:
    """What Redis has of the run, as a client must have got it."""
    entries: Any = writer().xrange(log.key(run.pk))
    frames = [Frame(place(entry_id), fields["e"], fields["d"]) for entry_id, fields in entries]
    chunks = [chunk for frame in frames for chunk in encode(frame).split(b"\r\n\r\n") if chunk]
    return [event for event in map(parse, chunks) if event is not None]
