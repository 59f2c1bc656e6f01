"""The Redis stream of a run. Entry ids are places (attempt-number), so Redis itself refuses whatever comes too late:
an entry of a fenced attempt, and anything after the end."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast
from uuid import UUID

import redis
import redis.asyncio

from runs.conf import runs_settings
from runs.states import RunStatus
from runs.streaming.connection import hint, write
from runs.streaming.frames import END, Frame, Place
from runs.streaming.wakes import MOST_CARRIED

_EVENT, _DATA = "e", "d"
#: What a wake may say beside a status; readers may believe it or look for themselves. It may carry what it announces,
#: on lines of its own (see wakes.py).
FRAMES = "frames"
END_OF_STREAM = "end"

#: Appends frames of one attempt, three lines each, and wakes readers. Returns 0 if the stream refuses this attempt, or
#: one more than there are subscribers. A frame that is there already was written by an earlier try whose answer was
#: lost. What is short goes with the wake, if this call has appended all of it: what was refused has not happened.
#: Asking whether anybody listens takes as long as copying some hundred bytes.
_APPEND = """
local attempt, lines, maxlen, ttl, channel, most = unpack(ARGV)
local find, sub = string.find, string.sub
local is_carried, at = #lines <= tonumber(most), 1
while at <= #lines do
  local event = find(lines, '\\n', at, true) + 1
  local data = find(lines, '\\n', event, true) + 1
  local following = find(lines, '\\n', data, true) + 1
  local id = attempt .. '-' .. sub(lines, at, event - 2)
  local added = redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', maxlen, id,
    'e', sub(lines, event, data - 2), 'd', sub(lines, data, following - 2))
  if type(added) == 'table' and added.err then
    if not find(added.err, 'equal or smaller', 1, true) then return added end
    local top = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
    if not top then return added end
    local top_attempt, top_number = string.match(top[1], '^(%d+)-(%d+)$')
    if top_attempt ~= attempt or top_number == '18446744073709551615' then return 0 end
    is_carried = false
  end
  at = following
end
if ttl ~= '0' then redis.call('PEXPIRE', KEYS[1], ttl) end
local said = 'frames'
if is_carried and (#lines < 500 or redis.call('PUBSUB', 'NUMSUB', channel)[2] > 0) then
  said = 'frames\\n' .. attempt .. '\\n' .. lines
end
return 1 + redis.call('PUBLISH', channel, said)
"""

#: Marks the end and wakes readers, also if it is marked already.
_MARK_END = """
local attempt, number, data, ttl, channel, bytes = unpack(ARGV)
local added = redis.pcall('XADD', KEYS[1], attempt .. '-' .. number, 'e', 'end', 'd', data)
local refused = type(added) == 'table' and added.err
if refused and not string.find(refused, 'equal or smaller', 1, true) then return added end
if ttl ~= '0' then redis.call('PEXPIRE', KEYS[1], ttl) end
local said = 'end'
if not refused and #data <= tonumber(bytes) then
  said = 'end\\n' .. attempt .. '\\n' .. number .. '\\nend\\n' .. data .. '\\n'
end
redis.call('PUBLISH', channel, said)
return 1
"""


def key(run_id: UUID) -> str:
    """The key of the run's stream."""
    return f"runyard:stream:{run_id}"


def channel(run_id: UUID) -> str:
    """The channel on which everything that happens to the run is announced: FRAMES, END_OF_STREAM or its status."""
    return f"runyard:run:{run_id}"


def thread_channel(thread_id: UUID) -> str:
    """The channel on which it is announced that something happens on the thread."""
    return f"runyard:thread:{thread_id}"


def append(run_id: UUID, attempt: int, frames: Sequence[tuple[int, str, str]]) -> int:
    """Append (number, event, JSON text) and wake readers; 0: the stream refuses this attempt for good.

    Otherwise one more than there are processes that listen to what is announced of the run.
    """
    settings = runs_settings()
    arguments = (attempt, _lines(frames), settings.STREAM_MAX_FRAMES, _ttl(), channel(run_id), MOST_CARRIED)
    return int(write(("EVAL", _APPEND, 1, key(run_id), *arguments)))


def _lines(frames: Sequence[tuple[int, str, str]]) -> str:
    """A line break is none of JSON's own, and no part of an event's name that anybody could be sent."""
    lines = [str(part) for frame in frames for part in frame]
    if any("\n" in line for line in lines):
        lines = [line.replace("\n", " ") for line in lines]
    return "\n".join([*lines, ""])


def append_end(
    run_id: UUID, attempt: int, *, error: Any = None, last: int | None = None, result: str | None = None
) -> None:
    """Mark the end; whoever does it again does nothing. `last`: the number of the last frame, where that is known.

    `result`: what a run answers that has succeeded, JSON text of one line; who waits for it is told before.
    """
    told = [] if result is None else [("PUBLISH", channel(run_id), f"{RunStatus.SUCCESS}\n{result}")]
    data = json.dumps({"error": error, "last": last})
    hint(*told, ("EVAL", _MARK_END, 1, key(run_id), attempt, END, data, _ttl(), channel(run_id), MOST_CARRIED))


def wake(run_id: UUID, thread_id: UUID, status: str) -> None:
    """Tell whoever watches the run or its thread to look again. Nobody waits until Redis has heard it."""
    hint(("PUBLISH", channel(run_id), status), ("PUBLISH", thread_channel(thread_id), ""), wait=False)


async def read_after(client: "redis.asyncio.Redis", run_id: UUID, place: Place | None, count: int) -> list[Frame]:
    """Return the frames after this place, in order."""
    return list(_frames(cast(Any, await client.xrange(key(run_id), min=_after(place), count=count))))


def _after(place: Place | None) -> str:
    return "-" if place is None else f"({place}"


async def go_on(client: "redis.asyncio.Redis", places: Sequence[tuple[UUID, Place | None]]) -> list[bool]:
    """Return for each of these whether there is a frame after this place of this run, asked all at once."""
    pipeline = client.pipeline(transaction=False)
    for run_id, place in places:
        pipeline.xrange(key(run_id), min=_after(place), count=1)
    return [bool(found) for found in await pipeline.execute()]


async def first(client: "redis.asyncio.Redis", run_id: UUID) -> Frame | None:
    """Return the earliest frame that is retained."""
    return next(_frames(cast(Any, await client.xrange(key(run_id), count=1))), None)


async def last(client: "redis.asyncio.Redis", run_id: UUID) -> Frame | None:
    """Return the latest frame."""
    return next(_frames(cast(Any, await client.xrevrange(key(run_id), count=1))), None)


async def holds(client: "redis.asyncio.Redis", run_id: UUID, place: Place) -> bool:
    """Whether the frame at this place is retained."""
    return bool(await client.xrange(key(run_id), min=str(place), max=str(place)))


def _frames(entries: Iterable[tuple[str, dict[str, str]]]) -> Iterator[Frame]:
    for entry_id, fields in entries:
        attempt, number = entry_id.split("-")
        yield Frame(Place(int(attempt), int(number)), fields[_EVENT], fields[_DATA])


def _ttl() -> int:
    """Milliseconds until a stream that is not written any more is forgotten; never while its run may be silent."""
    settings = runs_settings()
    seconds = settings.STREAM_TTL_SECONDS
    return int(max(seconds, settings.MAX_RUN_SECONDS) * 1000) if seconds else 0
