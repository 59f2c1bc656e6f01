"""Clients of two web processes that are there until the end, or until they leave."""

import time
from concurrent.futures import Future
from typing import Any
from urllib.parse import urlencode

from runs.models import Run
from runs.states import RunStatus
from tests.support.client import Client, Waiter, Webs, creator, joiner, path_of
from tests.support.factories import make_thread
from tests.support.ledger import wait_until
from tests.support.reading import Loop
from tests.support.server import ServerProcess
from tests.support.stage import wait_for_status

BODY = {"assistant_id": "echo", "on_disconnect": "cancel"}
END_SECONDS = 60.0


class Guest:
    """A client at work; the test does meanwhile what it wants."""

    def __init__(self, loop: Loop, client: Client | Waiter, web: ServerProcess, **options: Any) -> None:
        self.client, self._loop = client, loop
        self.task: Future[Any]
        self.come(web, **options)

    def come(self, web: ServerProcess, **options: Any) -> "Guest":
        """Connect, for the first time or again: a stream goes on after the last id."""
        self.ended_at = 0.0
        client = self.client
        work = client.wait(web.url) if isinstance(client, Waiter) else client.read(web.url, **options)
        self.task = self._loop.start(work)
        self.task.add_done_callback(self._note_end)
        return self

    def _note_end(self, _: object) -> None:
        self.ended_at = time.time()

    @property
    def is_in(self) -> bool:
        """Whether it has been answered."""
        return bool(self.client.status if isinstance(self.client, Waiter) else self.client.connections)

    @property
    def stream(self) -> Client:
        """The client, which is one of a stream."""
        assert isinstance(self.client, Client)
        return self.client

    def settle(self) -> "Guest":
        """Return when it is in."""
        wait_until(lambda: self.is_in or self.task.done(), "a client to be let in")
        return self

    def leave(self) -> float:
        """Cut its connection; the time at which it did."""
        left_at = time.time()
        self.task.cancel()
        return left_at

    def end(self) -> Any:
        """Its client, when the answer is complete."""
        return self.task.result(END_SECONDS)


class House:
    """Two web processes, and everything that a guest needs."""

    def __init__(self, loop: Loop, webs: Webs, key: str) -> None:
        self.loop, self.webs, self.key = loop, webs, key

    def create(self, kind: str, web: int = 0, **body: Any) -> tuple[Guest, Run]:
        """A guest that has created a run by `stream` or `wait`."""
        thread = make_thread()
        path, given = f"/threads/{thread.pk}/runs/{kind}", BODY | body
        if kind == "wait":
            guest = Guest(self.loop, Waiter(self.key, path, "POST", given), self.webs[web])
        else:
            guest = Guest(self.loop, creator(self.key, thread.pk), self.webs[web], create=given)
        guest.settle()
        return guest, thread.runs.get()

    def join(self, run: Run, kind: str, web: int = 0, *, after: str | None = None, **query: Any) -> Guest:
        """A guest that watches the run by `stream`, after this id, or by `join`."""
        if kind == "stream":
            watching = joiner(self.key, path_of(run), **query)
            watching.last_id = after
            return Guest(self.loop, watching, self.webs[web]).settle()
        waiting = Waiter(self.key, f"{path_of(run)}/join?{urlencode(query)}")
        return Guest(self.loop, waiting, self.webs[web]).settle()

    def cancel(self, run: Run, web: int = 0) -> Guest:
        """A guest that cancels the run and waits until its executor has left."""
        return Guest(self.loop, Waiter(self.key, f"{path_of(run)}/cancel?wait=1", "POST"), self.webs[web])

    def wait_out_a_grace(self) -> None:
        """Return when whoever had left either process before has been gone for the grace and was judged."""
        marks = [self.create("stream", web) for web in (0, 1)]
        for guest, _ in marks:
            guest.leave()
        for _, run in marks:
            wait_for_status(run.pk, RunStatus.INTERRUPTED)
