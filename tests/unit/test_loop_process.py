"""A loop process that was asked to end does so when its last run has gone, whichever that is."""

import asyncio
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any
from uuid import uuid4

import pytest

from runs.execution.loops.child import Child
from runs.execution.loops.process import LoopProcess
from runs.execution.slots import SlotTable
from tests.support.ledger import wait_until


class Together(LoopProcess):
    """All its runs end in the same turn of the loop, once it was asked to end."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._ending = asyncio.Event()

    async def _claim(self, *_: Any) -> tuple[None, None]:
        self._say(waits=True)
        await self._ending.wait()
        return None, None

    def _on_terminate(self, signum: int, frame: FrameType | None) -> None:
        super()._on_terminate(signum, frame)
        self._loop.call_soon_threadsafe(self._ending.set)


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child(range(4))
    child.fork(lambda socket: Together(socket, SlotTable(), 0).run())
    yield child
    child.kill()
    child.close()


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_ends_with_the_last_of_its_runs(child: Child, count: int) -> None:
    """Also if several end at once: whoever looked before the others were gone would wait for ever."""
    said: list[dict[str, Any]] = []

    def hears(number: int, what: str) -> bool:
        said.extend(child.receive())
        return sum(what in line for line in said) == number

    for number in range(count):
        assert child.send(job=number, slot=number, run=str(uuid4()))
    wait_until(lambda: hears(count, "waits"), "the runs to begin")
    child.kill(signal.SIGTERM)
    wait_until(child.has_ended, "the process to end")
    assert hears(count, "ending")
