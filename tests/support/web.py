"""What a client sees of a stream: server-sent events over a connection that it can cut at any byte."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Event:
    """One server-sent event."""

    name: str
    data: Any
    id: str | None


@dataclass
class Response:
    """An answer whose body is still coming."""

    status: int
    headers: dict[str, str]
    reader: asyncio.StreamReader
    #: Every byte of the body so far.
    body: bytearray = field(default_factory=bytearray)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes; ends when it is complete, raises IncompleteReadError if it is cut."""
        if "content-length" in self.headers:
            whole = await self.reader.readexactly(int(self.headers["content-length"]))
            self.body += whole
            yield whole
            return
        while size := int((await self.reader.readuntil(b"\r\n")).strip(), 16):
            chunk = (await self.reader.readexactly(size + 2))[:-2]
            self.body += chunk
            yield chunk

    async def events(self) -> AsyncIterator[Event | None]:
        """Server-sent events; None is a heartbeat."""
        rest = b""
        async for chunk in self.chunks():
            *frames, rest = (rest + chunk).split(b"\r\n\r\n")
            for frame in frames:
                yield parse(frame)

    async def text(self) -> str:
        """The whole body."""
        async for _ in self.chunks():
            pass
        return self.body.decode()


def parse(frame: bytes) -> Event | None:
    """One event as it was sent; None: a comment."""
    lines = frame.decode().split("\r\n")
    if lines == [": heartbeat"]:
        return None
    fields = dict(line.split(": ", 1) for line in lines)
    assert list(fields) in (["event", "data", "id"], ["event", "data"]), lines
    return Event(fields["event"], json.loads(fields["data"]), fields.get("id"))


@asynccontextmanager
async def request(method: str, url: str, key: str, body: Any = None, **headers: str) -> AsyncIterator[Response]:
    """Send, and yield the answer once its headers are there. Leaving the block cuts the connection."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(_request(method, parts, key, body, headers))
        await writer.drain()
        status, received = await _head(reader)
        yield Response(status, received, reader)
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


def _request(method: str, parts: Any, key: str, body: Any, headers: dict[str, str]) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}", f"X-Api-Key: {key}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += ["Content-Type: application/json", f"Content-Length: {len(content)}", "", ""]
    return "\r\n".join(lines).encode() + content


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:] if line)
    return int(lines[0].split()[1]), {name.lower(): value for name, value in headers.items()}
