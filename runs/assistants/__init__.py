"""What a user writes: assistants.

from runs.assistants import RunContext, assistant

@assistant
async def digest(run: RunContext, input: dict):     # def, async def, and generators of both kinds
    for number, page in enumerate(input["pages"]):
        run.emit({"page": number})
        yield {"summary": summarise(page)}          # a durable step, merged into the thread's state
"""

from runs.assistants.context import RunContext
from runs.assistants.definition import Assistant, assistant
from runs.errors import Interruption, RunCancelled, RunTimedOut, WorkerShutdown

__all__ = [
    "Assistant",
    "Interruption",
    "RunCancelled",
    "RunContext",
    "RunTimedOut",
    "WorkerShutdown",
    "assistant",
]
