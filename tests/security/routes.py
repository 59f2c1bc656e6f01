"""Every route of the API with a request that works for the owner: the identity matrix is made from this."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from runs.assistants import registry
from runs.models import Checkpoint, Run, Thread
from tests.support.factories import finish, make_actor, make_run, make_thread, running, step


@dataclass
class World:
    """A user's thread: a finished run, one that is executing, one that waits."""

    thread: Thread
    checkpoint: Checkpoint
    begun: Run
    waiting: Run

    def ids(self) -> list[str]:
        """What nobody else may read anywhere."""
        return [str(row.pk) for row in (self.thread, self.checkpoint, self.begun, self.waiting)]


def make_world(name: str) -> World:
    """A world of this user's."""
    thread = make_thread(make_actor(name))
    finish(running(thread), secret="of the owner")
    begun = running(thread)
    return World(thread=thread, checkpoint=step(begun, more=1), begun=begun, waiting=make_run(thread))


@dataclass
class Case:
    """One method of one route.

    `public`: for everybody. `mine`: acts on what the caller has, so a stranger may call it and meets nothing of the
    owner's. `object`: names something of the owner's, so for a stranger it does not exist.
    """

    kind: Literal["public", "mine", "object"]
    status: int = 200
    body: Callable[[World], Any] = field(default=lambda world: None)
    query: str = ""


def _run_body(world: World) -> Any:
    return {"assistant_id": "echo", "multitask_strategy": "interrupt"}


def _stateless_body(world: World) -> Any:
    return {"assistant_id": "echo", "on_completion": "keep"}


def _bulk_body(world: World) -> Any:
    return {"thread_id": str(world.thread.pk), "run_ids": [str(world.waiting.pk)]}


def _checkpoint_body(world: World) -> Any:
    return {"checkpoint": {"checkpoint_id": str(world.checkpoint.pk)}}


#: (name of the route, method) -> case. A route that is missing here fails the test of completeness.
CASES: dict[tuple[str, str], Case] = {
    ("openapi", "GET"): Case("public"),
    ("docs", "GET"): Case("public"),
    ("redoc", "GET"): Case("public"),
    ("ok", "GET"): Case("public"),
    ("health-live", "GET"): Case("public"),
    ("health-ready", "GET"): Case("public"),
    ("info", "GET"): Case("public"),
    ("assistant", "GET"): Case("mine"),
    ("assistant-search", "POST"): Case("mine", body=lambda world: {}),
    ("assistant-count", "POST"): Case("mine", body=lambda world: {}),
    ("threads", "POST"): Case("mine", body=lambda world: {}),
    ("thread-search", "POST"): Case("mine", body=lambda world: {"ids": [str(world.thread.pk)]}),
    ("thread-count", "POST"): Case("mine", body=lambda world: {}),
    ("thread-prune", "POST"): Case("mine", body=lambda world: {"thread_ids": [str(world.thread.pk)]}),
    ("thread-copy", "POST"): Case("object"),
    ("thread", "GET"): Case("object"),
    ("thread", "PATCH"): Case("object", body=lambda world: {"metadata": {"mine": True}}),
    ("thread", "DELETE"): Case("object", 204),
    ("state", "GET"): Case("object"),
    ("state", "POST"): Case(
        "object", 409, body=lambda world: {"values": {}}
    ),  # a run is in flight: only the owner hears
    ("state-at", "POST"): Case("object", body=_checkpoint_body),
    ("state-checkpoint", "GET"): Case("object"),
    ("thread-stream", "GET"): Case("object"),
    ("history", "GET"): Case("object"),
    ("history", "POST"): Case("object", body=lambda world: {"limit": 5}),
    ("runs", "GET"): Case("object"),
    ("runs", "POST"): Case("object", body=_run_body),
    ("run-wait", "POST"): Case("object", body=_run_body),
    ("run-create-stream", "POST"): Case("object", body=_run_body),
    ("run", "GET"): Case("object"),
    ("run", "DELETE"): Case("object", 204),
    ("run-cancel", "POST"): Case("object", 202, query="?action=rollback"),
    ("run-join", "GET"): Case("object"),
    ("run-stream", "GET"): Case("object", query="?cancel_on_disconnect=1"),
    ("run-stream", "POST"): Case("object", query="?action=rollback"),
    ("stateless-runs", "POST"): Case("mine", body=_stateless_body),
    ("stateless-stream", "POST"): Case("mine", body=_stateless_body),
    ("stateless-wait", "POST"): Case("mine", body=_stateless_body),
    ("stateless-batch", "POST"): Case("mine", body=lambda world: [_stateless_body(world)]),
    ("bulk-cancel", "POST"): Case("object", 204, body=_bulk_body),
}


def path_ids(world: World) -> dict[str, str]:
    """What the routes' placeholders stand for."""
    return {
        "thread_id": str(world.thread.pk),
        "run_id": str(world.begun.pk),
        "checkpoint_id": str(world.checkpoint.pk),
        "assistant_id": str(registry.assistant_id("echo")),
    }
