"""Frames as server-sent events, the way LangGraph's server writes them: CRLF, `event`, `data`, `id`."""

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

from runs.streaming.frames import Frame, Gap
from runs.streaming.reader import Heartbeat, Item

HEARTBEAT = b": heartbeat\r\n\r\n"
#: A stream mode and the name of its events, where they differ.
EVENT_OF_MODE = {"messages-tuple": "messages"}
_ALWAYS = {"metadata", "error", "end", "gap"}


def encode(item: Item, modes: Collection[str] | None = None) -> bytes:
    """Return the bytes of an item; none if it is not of the modes asked for (None: all)."""
    if isinstance(item, Heartbeat):
        return HEARTBEAT
    if isinstance(item, Gap):
        return _event("gap", json.dumps(_gap(item)), None if item.resume is None else str(item.resume))
    if item.place.is_end:
        return b"".join(_end(item))
    if modes is not None and not _wanted(item.event, modes):
        return b""
    return _event(item.event, item.data, str(item.place))


def _wanted(event: str, modes: Collection[str]) -> bool:
    name = re.split(r"[|/]", event, maxsplit=1)[0]
    return name in _ALWAYS or any(EVENT_OF_MODE.get(mode, mode) == name for mode in modes)


def _end(frame: Frame) -> Iterator[bytes]:
    """The error of a failed run comes with its end: it is the row's, and committed."""
    error = frame.payload.get("error")
    if error:
        yield _event("error", json.dumps(error, ensure_ascii=False), None)
    yield _event("end", "null", str(frame.place))


def _gap(gap: Gap) -> dict[str, Any]:
    places = {
        "requested_event_id": gap.requested,
        "earliest_available_event_id": gap.earliest,
        "latest_available_event_id": gap.latest,
    }
    shown = {name: None if place is None else str(place) for name, place in places.items()}
    return {"code": "stream_replay_gap", **shown, "recovery": "reload_durable_state"}


def _event(event: str, data: str, event_id: str | None) -> bytes:
    lines = [f"event: {event}", f"data: {data}"]
    if event_id is not None:
        lines.append(f"id: {event_id}")
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"
