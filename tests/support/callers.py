"""Clients of the API that record every call, and go to another web process when one does not answer."""

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from typing import Any
from uuid import uuid4

from tests.support.history import Call, History, clock
from tests.support.ledger import wait_until

PATIENCE_SECONDS = 60.0
ANSWER_SECONDS = 30.0


class Busy(Exception):
    """409: the thread is busy, or the run has ended."""


class Caller:
    """One client. Creates carry an Idempotency-Key, so asking again after a broken connection is safe."""

    def __init__(self, webs: Sequence[str], key: str, history: History) -> None:
        self._webs, self._key, self._history = list(webs), key, history

    def create(self, thread: str, how: str, assistant: str = "payer", **body: Any) -> str | None:
        """The id of the accepted run; None: the thread was busy."""
        began = clock()
        body = {"assistant_id": assistant, "multitask_strategy": how, **body}
        try:
            run = self._call("POST", f"/threads/{thread}/runs", body, {"Idempotency-Key": str(uuid4())})
        except Busy:
            return None
        displaced = tuple(run["displaced"])
        self._note("create", thread, run["run_id"], began, how=how, displaced=displaced, status="pending")
        return str(run["run_id"])

    def read(self, thread: str, run_id: str) -> dict[str, Any]:
        """The run as it is."""
        began = clock()
        run: dict[str, Any] = self._call("GET", f"/threads/{thread}/runs/{run_id}")
        started = run["started_at"] or ""
        self._note("read", thread, run_id, began, status=run["status"], attempt=run["attempt"], started=started)
        return run

    def cancel(self, thread: str, run_id: str, action: str = "interrupt") -> bool:
        """Whether the run is interrupted now."""
        began, accepted = clock(), True
        try:
            self._call("POST", f"/threads/{thread}/runs/{run_id}/cancel?wait=0&action={action}")
        except Busy:
            accepted = False
        self._note("cancel", thread, run_id, began, how=action, accepted=accepted)
        return accepted

    def wait(self, thread: str, run_id: str) -> dict[str, Any]:
        """The run, when it has ended."""

        def ended() -> dict[str, Any] | None:
            run = self.read(thread, run_id)
            return run if run["finished_at"] and not run["stopping"] else None

        return wait_until(ended, f"run {run_id} to end", 2 * PATIENCE_SECONDS)

    def _note(self, verb: str, thread: str, run: str, began: float, **seen: Any) -> None:
        self._history.record(Call(verb, thread, run, began, clock(), **seen))

    def _call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """The answer's body, from the first web process that answers; 503 is no answer."""
        return wait_until(lambda: self._try(method, path, body, headers or {}), f"{method} {path}", PATIENCE_SECONDS)[0]

    def _try(self, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[Any] | None:
        content = None if body is None else json.dumps(body).encode()
        headers = {"X-Api-Key": self._key, "Content-Type": "application/json", **headers}
        request = urllib.request.Request(self._webs[0] + path, content, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
                return (json.loads(answer.read() or b"null"),)
        except urllib.error.HTTPError as error:
            if error.code == 409:
                raise Busy from None
            assert error.code == 503, f"{error.code}: {error.read()!r}"  # noqa: PT017 - any other answer is a failure
        except (OSError, HTTPException):
            self._webs.append(self._webs.pop(0))
        return None
