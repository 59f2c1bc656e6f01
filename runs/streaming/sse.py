"""Frames as server-sent events, the way LangGraph's server writes them: CRLF, `event`, `data`, `id`."""

import json
import re
from collections.abc import Collection
from typing import Any

from runs.streaming.frames import Frame, Gap
from runs.streaming.reader import Heartbeat, Item

HEARTBEAT = b": heartbeat\r\n\r\n"
#: A stream mode and the name of its events, where they differ.
EVENT_OF_MODE = {"messages-tuple": "messages"}
#: What a client sends to get everything there is; a gap without an id would have it ask for the same again.
_START = "0"
_ALWAYS = {"metadata", "error", "end", "gap"}


def encode(item: Item, modes: Collection[str] | None = None, *, prefix: str = "", with_end: bool = True) -> bytes:
    """Return the bytes of an item; none if it is not of the modes asked for (None: all).

    `prefix` goes before every id. `with_end` False: of the end only a failed run's error is shown.
    """
    if isinstance(item, Heartbeat):
        return HEARTBEAT
    if isinstance(item, Gap):
        return event("gap", json.dumps(_gap(item, prefix)), f"{prefix}{item.resume or _START}")
    if item.place.is_end:
        return _error(item) + (event("end", "null", f"{prefix}{item.place}") if with_end else b"")
    if modes is not None and not _wanted(item.event, modes):
        return b""
    return event(item.event, item.data, f"{prefix}{item.place}")


def _wanted(name: str, modes: Collection[str]) -> bool:
    name = re.split(r"[|/]", name, maxsplit=1)[0]
    return name in _ALWAYS or any(EVENT_OF_MODE.get(mode, mode) == name for mode in modes)


def _error(end: Frame) -> bytes:
    """The error of a failed run comes with its end: it is the row's, and committed."""
    error = end.payload.get("error")
    return event("error", json.dumps(error, ensure_ascii=False), None) if error else b""


def _gap(gap: Gap, prefix: str) -> dict[str, Any]:
    places = {
        "requested_event_id": gap.requested,
        "earliest_available_event_id": gap.earliest,
        "latest_available_event_id": gap.latest,
    }
    shown = {name: None if place is None else f"{prefix}{place}" for name, place in places.items()}
    return {"code": "stream_replay_gap", **shown, "recovery": "reload_durable_state"}


def event(name: str, data: str, event_id: str | None) -> bytes:
    """Return one server-sent event; `data` is JSON text of one line."""
    lines = [f"event: {name}", f"data: {data}"]
    if event_id is not None:
        lines.append(f"id: {event_id}")
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"
