"""The operators' view of the tables. Read-only, but for API keys and users: runs are changed through the services."""

from runs.admin.access import ApiKeyAdmin, IdempotencyKeyAdmin
from runs.admin.checkpoints import CheckpointAdmin
from runs.admin.runs import RunAdmin, RunEventAdmin
from runs.admin.threads import ThreadAdmin
from runs.admin.users import OperatorAdmin, RoleAdmin
from runs.admin.workers import WorkerAdmin

__all__ = [
    "ApiKeyAdmin",
    "CheckpointAdmin",
    "IdempotencyKeyAdmin",
    "OperatorAdmin",
    "RoleAdmin",
    "RunAdmin",
    "RunEventAdmin",
    "ThreadAdmin",
    "WorkerAdmin",
]
