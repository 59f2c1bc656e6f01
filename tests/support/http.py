"""One user's HTTP against any web process, from the thread of the test."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.support.web import Event, parse

TIMEOUT_SECONDS = 60.0


class Http:
    """Requests with one key; a path is added to the address of the process that is asked."""

    def __init__(self, key: str) -> None:
        self._client = httpx.Client(headers={"x-api-key": key}, timeout=TIMEOUT_SECONDS)

    def close(self) -> None:
        """Close the connections that are kept."""
        self._client.close()

    def send(self, method: str, url: str, body: Any = None, **headers: str) -> httpx.Response:
        """Send, and return the whole answer."""
        return self._client.request(method, url, json=body, headers=_named(headers))

    @contextmanager
    def opened(self, method: str, url: str, body: Any = None, **headers: str) -> Iterator[httpx.Response]:
        """Send, and yield the answer once its headers are there. Leaving the block cuts the connection."""
        with self._client.stream(method, url, json=body, headers=_named(headers)) as response:
            assert response.status_code == 200, response.read()
            yield response


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def events_of(response: httpx.Response) -> list[Event]:
    """The server-sent events of an answer, when it has ended; heartbeats apart."""
    text = response.read().decode() if not response.is_closed else response.text
    found = [parse(frame.encode()) for frame in text.split("\r\n\r\n") if frame]
    return [event for event in found if event is not None]


def names_of(response: httpx.Response) -> list[str]:
    """Their names."""
    return [event.name for event in events_of(response)]
