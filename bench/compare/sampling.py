"""What a scenario is told and what it tells: how much of everything, and rows of numbers."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from bench.compare.load import Load
from bench.compare.servers import Server

T = TypeVar("T")
#: Fewer than this say nothing; so many are taken however slow a server is.
LEAST = 3


@dataclass(frozen=True)
class Scale:
    """How much of everything in one round: `make bench` measures all, a trial a little."""

    #: Of each short row, unless `seconds` are over first. The same rule for every server.
    samples: int = 30
    seconds: float = 5.0
    clients: tuple[int, ...] = (1, 16, 64, 256)
    throughput_seconds: float = 3.0
    waiting: tuple[int, ...] = (64, 512)
    queued: int = 200
    idle: tuple[int, ...] = (1, 100, 1000, 5000)
    idle_seconds: float = 5.0
    flood_seconds: float = 8.0
    #: Rows that a former round has shown to be too slow, or impossible, on this server.
    left_out: frozenset[str] = frozenset()

    def enough(self, taken: int, spent: float, wanted: int) -> bool:
        """Whether a row has all the samples that it gets, after so many seconds."""
        return taken >= wanted or (taken >= LEAST and spent >= self.seconds)


TRIAL = Scale(
    samples=4,
    seconds=2.0,
    clients=(1, 16),
    throughput_seconds=1.0,
    waiting=(16,),
    queued=20,
    idle=(1, 100),
    idle_seconds=2.0,
    flood_seconds=3.0,
)


@dataclass(frozen=True)
class Row:
    """`values` in `unit`; `more_is_better` for rates."""

    name: str
    values: list[float]
    unit: str = "ms"
    more_is_better: bool = False


@dataclass(frozen=True)
class Missing:
    """A row that this server cannot have, or not in bearable time. It is not asked for again."""

    name: str
    why: str


Scenario = Callable[[Load, Server, Scale], AsyncIterator[Row | Missing]]


async def sampled(scale: Scale, once: Callable[[], Awaitable[T]], wanted: int | None = None) -> list[T]:
    """Results of `once`, as many as `scale` has time for; the first call is not counted."""
    await once()  # what a process does only the first time
    found: list[T] = []
    began = time.perf_counter()
    while not scale.enough(len(found), time.perf_counter() - began, wanted or scale.samples):
        found.append(await once())
    return found


async def milliseconds(scale: Scale, once: Callable[[], Awaitable[float]], wanted: int | None = None) -> list[float]:
    """The same, of seconds."""
    return [seconds * 1000 for seconds in await sampled(scale, once, wanted)]
