"""The same scenarios on several servers in turns: A B C, A B C, A B C."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

import aiohttp

from bench.compare.load import Refused, client
from bench.compare.record import Record, say
from bench.compare.sampling import Missing, Row, Scale
from bench.compare.scenarios import Measurement
from bench.compare.servers import Server
from project.local.errors import CannotStart

#: To start a server and to stop it, about.
START_SECONDS = 15.0
#: What has taken longer in one round is not repeated in the next.
ONCE_SECONDS = 30.0

Start = Callable[[], AbstractContextManager[Server]]


@dataclass
class Campaign:
    """One part of the report. What is measured goes to the record at once."""

    part: str
    servers: Mapping[str, Start]
    scenarios: Mapping[str, Measurement]
    scale: Scale
    record: Record
    #: Of each server: rows that a round has shown to be too slow, or impossible.
    _left_out: dict[str, set[str]] = field(default_factory=dict)
    #: Of each server: the seconds of a round.
    _took: dict[str, float] = field(default_factory=dict)

    def run(self, rounds: int) -> None:
        """Measure everything; a server that does not start is told of, and the others are measured all the same."""
        say(f"{self.part}: {rounds} rounds of {', '.join(self.servers)}: about {self._left(rounds) / 60:.0f} minutes")
        for number in range(1, rounds + 1):
            for name in self.servers:
                began = time.perf_counter()
                self._round(name, number)
                self._took[name] = time.perf_counter() - began
                say(f"round {number} of {rounds}, {name}: {self._took[name]:.0f} s")
            say(f"round {number} of {rounds} is done; about {self._left(rounds - number) / 60:.0f} minutes are left")

    def _left(self, rounds: int) -> float:
        expected = START_SECONDS + sum(one.seconds for one in self.scenarios.values())
        return rounds * sum(self._took.get(name, expected) for name in self.servers)

    def _round(self, name: str, number: int) -> None:
        try:
            with self.servers[name]() as server:
                for scenario in self._of_round(number):
                    began = time.perf_counter()
                    asyncio.run(self._measure(name, server, scenario, number))
                    say(f"round {number}, {name}, {scenario}: {time.perf_counter() - began:.0f} s")
        except (CannotStart, SystemExit) as error:
            self._fail(name, "start", number, f"does not start: {error}")

    def _of_round(self, number: int) -> list[str]:
        return [name for name, one in self.scenarios.items() if number == 1 or not one.once]

    async def _measure(self, name: str, server: Server, scenario: str, number: int) -> None:
        """What a server cannot do is told of in the report."""
        scale = replace(self.scale, left_out=frozenset(self._left_out.get(name, ())))
        began = time.perf_counter()
        try:
            async with client(server.url, server.headers) as load:
                async for row in self.scenarios[scenario].run(load, server, scale):
                    self._add(name, scenario, number, row, time.perf_counter() - began)
                    began = time.perf_counter()
        except* (Refused, aiohttp.ClientError, TimeoutError, OSError) as group:
            for error in group.exceptions:
                self._fail(name, scenario, number, f"{type(error).__name__}: {str(error)[:300]}")

    def _add(self, server: str, scenario: str, number: int, row: Row | Missing, took: float) -> None:
        about = {"server": server, "scenario": scenario, "round": number, "name": row.name}
        if isinstance(row, Missing):
            self.record.add(self.part, **about, missing=row.why)
        else:
            measured = {"values": row.values, "unit": row.unit, "more_is_better": row.more_is_better}
            self.record.add(self.part, **about, **measured, seconds=round(took, 1))
        if isinstance(row, Missing) or took > ONCE_SECONDS:
            self._left_out.setdefault(server, set()).add(row.name)

    def _fail(self, server: str, scenario: str, number: int, why: str) -> None:
        say(f"{server}, {scenario}: {why}")
        self.record.add(self.part, server=server, scenario=scenario, round=number, name=scenario, missing=why)


def chosen(all_of_them: Mapping[str, Measurement], names: Sequence[str]) -> dict[str, Measurement]:
    """Those of these names, in the order in which they are measured."""
    return {name: one for name, one in all_of_them.items() if name in names}
