"""The tables. Their constraints repeat what the services promise, so that a bug is refused instead of stored."""

from runs.models.access import ApiKey, IdempotencyKey
from runs.models.assistant import Assistant, AssistantVersion, Graph
from runs.models.checkpoint import Checkpoint
from runs.models.compared import Compared
from runs.models.fields import ClockTimestamp, StatementTimestamp, new_id
from runs.models.run import Run
from runs.models.run_event import RunEvent
from runs.models.saved_view import SavedView
from runs.models.subgraph_checkpoint import SubgraphCheckpoint
from runs.models.thread import Thread
from runs.models.worker import Worker

__all__ = [
    "ApiKey",
    "Assistant",
    "AssistantVersion",
    "Checkpoint",
    "ClockTimestamp",
    "Compared",
    "Graph",
    "IdempotencyKey",
    "Run",
    "RunEvent",
    "SavedView",
    "StatementTimestamp",
    "SubgraphCheckpoint",
    "Thread",
    "Worker",
    "new_id",
]
