"""One server, asked: answers with status, headers and JSON, or with the frames of a stream."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

_HEADERS = ("content-type", "content-location", "location", "x-pagination-next", "x-pagination-total")
PATIENCE_SECONDS = 60.0


@dataclass
class Answer:
    """What a server said. `frames`: (event, data) of a stream; else `body`."""

    status: int
    headers: dict[str, str]
    body: Any = None
    frames: list[tuple[str, Any]] | None = None


@dataclass
class Server:
    """One of the two. What it answers is kept under the name of the request."""

    url: str
    key: str = ""
    said: dict[str, Answer] = field(default_factory=dict)

    def ask(self, name: str, method: str, path: str, body: Any = None) -> Any:
        """Send the request and return the body of the answer; `name` "" is for what needs no comparison."""
        answer = self._send(method, path, body)
        if name:
            if name in self.said:
                raise ValueError(f"two requests are called {name!r}")
            self.said[name] = answer
        return answer.body

    def _send(self, method: str, path: str, body: Any) -> Answer:
        content = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json", **({"x-api-key": self.key} if self.key else {})}
        request = urllib.request.Request(self.url + path, data=content, method=method, headers=headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:  # noqa: S310 - our own servers
                return _read(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            return _read(error.code, error.headers, error.read())


def _read(status: int, headers: Any, content: bytes) -> Answer:
    shown = {name: headers[name] for name in _HEADERS if headers.get(name)}
    media = shown.get("content-type", "").partition(";")[0]
    shown.pop("content-type", None)
    if media == "text/event-stream":
        return Answer(status, shown, frames=_frames(content.decode()))
    text = content.decode().strip()
    return Answer(status, shown, json.loads(text) if text else None)


def _frames(text: str) -> list[tuple[str, Any]]:
    found = []
    for frame in text.replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in frame.splitlines() if line and not line.startswith(":"))
        if "event" in fields:
            found.append((fields["event"], json.loads(fields.get("data", "null"))))
    return found
