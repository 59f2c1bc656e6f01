"""What is said of an attempt while it executes: in every log line of its process, and as a span of its trace."""

from collections.abc import Iterator
from contextlib import contextmanager

from runs import tracing
from runs.logcontext import bind_process, process_context
from runs.models import Run


@contextmanager
def observed(run: Run) -> Iterator[None]:
    """The block executes this attempt, and nothing else is executed by this process."""
    ids = {"thread": run.thread_id, "run": run.pk, "attempt": run.attempt}
    attributes = {f"runyard.{name}": str(value) for name, value in ids.items()}
    with tracing.attempt_span(run.assistant, run.traceparent, attributes), process_context(**ids):
        bind_process(request=run.request_id, trace=tracing.trace_id())
        yield
