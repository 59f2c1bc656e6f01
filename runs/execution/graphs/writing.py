"""Who does what a graph asks its checkpointer for, and whether the graph waits until it is done, or stored."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from langchain_core.runnables import RunnableConfig

from runs.execution.graphs.journal import Journal, MustRead

T = TypeVar("T")
#: Adds something to the journal; returns whether it must be stored before the graph goes on.
Write = Callable[[], bool]


class Writing:
    """Has the jobs of one attempt's checkpointer done in their order.

    `can_be_here`: the graph waits for every step, so that nothing is gained by another thread.
    """

    def __init__(self, journal: Journal, *, can_be_here: bool) -> None:
        self._journal, self._can_be_here = journal, can_be_here
        #: The job is done by who asks for it.
        self._is_here = False

    def do(self, job: Callable[[], T]) -> T:
        """Do the job now."""
        return self._journal.submit(job).result()

    async def ado(self, job: Callable[[], T]) -> T:
        """Do the job now, while the event loop goes on."""
        return await asyncio.wrap_future(self._journal.submit(job))

    def write(self, write: Write, *, waits: bool) -> None:
        """Write now, or soon."""
        if waits or self._journal.is_stuck:
            self.do(lambda: self._write_and_store(write))
        else:
            self._journal.post(lambda: self._write_and_store(write))

    async def awrite(self, config: RunnableConfig, write: Write, *, waits: bool) -> None:
        """The same for a graph in an event loop, which does it itself if it can."""
        must_be_stored = self._write_here(config, write, waits)
        if must_be_stored:
            await self.ado(self._journal.store)
        elif must_be_stored is not None:
            return
        elif waits or self._journal.is_stuck:
            await self.ado(lambda: self._write_and_store(write))
        else:
            self._journal.post(lambda: self._write_and_store(write))

    def _write_and_store(self, write: Write) -> None:
        if write():
            self._journal.store()

    def _write_here(self, config: RunnableConfig, write: Write, waits: bool) -> bool | None:
        """What subgraphs write may have to read, and so has whatever had to once."""
        if not self._can_be_here or config["configurable"].get("checkpoint_ns"):
            return None
        return self._journal.try_here(lambda: self._without_reading(write), waits=waits)

    def _without_reading(self, write: Write) -> bool:
        self._is_here = True
        try:
            return write()
        finally:
            self._is_here = False

    def must_not_read(self) -> None:
        """Called before the database is asked. Raises MustRead in an event loop, where nothing is done from then on."""
        if self._is_here:
            self._can_be_here = False
            raise MustRead
