"""The page of a thread: what is in the way, what waits behind it, the state and how it came about."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from runs.admin.base import as_uuid
from runs.admin.json_text import masked, readable
from runs.admin.words import duration
from runs.models import Run, Thread
from runs.services.waiting import Obstacle, ThreadQueue, thread_queue
from runs.states import ThreadStatus

MOST_SHOWN = 20
_RUN_COLUMNS = ["id", "assistant", "status", "multitask_strategy", "attempt", "leased", "created_at", "finished_at"]


@require_safe
def thread_page(request: HttpRequest, object_id: str, site_context: dict[str, Any]) -> HttpResponse:
    """Read in a handful of statements, however long the thread's history is."""
    thread_id = as_uuid(object_id)
    thread = thread_id and Thread.objects.select_related("owner", "head").filter(pk=thread_id).first()
    if not thread:
        raise Http404
    queue = thread_queue(thread.pk)
    checkpoints = thread.checkpoints.order_by("-id").only("id", "step", "run_id", "attempt", "created_at", "thread_id")
    shown = {
        **site_context,
        "title": f"Thread {thread.pk}",
        "thread": thread,
        "queue": queue,
        "why": explain(thread, queue),
        "since": None if queue.since is None else duration(queue.now - queue.since),
        "state": readable(thread.head.values) if thread.head else None,
        "interrupts": readable(thread.head.interrupts) if thread.head and thread.head.interrupts else None,
        "metadata": readable(thread.metadata),
        "config": readable(thread.config),
        "error": masked(thread.error),
        "checkpoints": checkpoints[:MOST_SHOWN],
        "runs": Run.objects.filter(thread=thread).newest_first().only(*_RUN_COLUMNS)[:MOST_SHOWN],
        "most_shown": MOST_SHOWN,
    }
    return TemplateResponse(request, "runs/console/thread.html", shown)


def explain(thread: Thread, queue: ThreadQueue) -> str:
    """Why no new run of the thread executes, and what will end that, in a sentence or two."""
    if queue.obstacle == Obstacle.RUNNING and queue.is_lost:
        return (
            "A run executes on a worker that does not renew its lease. The scheduler buries the worker and recovers "
            "the run; if this lasts, no scheduler is running."
        )
    if queue.obstacle != Obstacle.NOTHING:
        return _REASONS[queue.obstacle]
    if thread.status == ThreadStatus.INTERRUPTED:
        return "It is not blocked. Its last run waits for an answer: send one with `command.resume`."
    return "It is not blocked: nothing is in flight, and a new run starts at once."


_REASONS = {
    Obstacle.RUNNING: "A run executes; one thread executes one run at a time.",
    Obstacle.STOPPING: "A run has ended, but its executor has not left yet. It is killed after its grace period; "
    "“Force stop” on the run's page does it at once.",
    Obstacle.WORKER: "The next run is handed over and waits for a worker with a free place.",
    Obstacle.NO_WORKER: "The next run is handed over, but no worker is alive: start one.",
    Obstacle.DRAINING: "The next run is handed over, but all workers that are alive are drained: resume one, or start "
    "another.",
    Obstacle.DISPATCH: "The next run is not handed over yet. The scheduler does that within seconds; if this lasts, no "
    "scheduler is running.",
    Obstacle.TIME: "The next run is scheduled for later.",
}
