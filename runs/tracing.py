"""OpenTelemetry, if it is installed: one trace from the request through the queue to every attempt.

The run's row carries the trace to the attempt, and not the message: whoever publishes a run, a request, a successor's
end or the scheduler after a crash, the attempt belongs to the trace of the request that created it.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import entry_points
from typing import Any

try:
    from opentelemetry import context, trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:  # an extra; see pyproject.toml
    _api: Any = None
else:
    _api = trace

logger = logging.getLogger(__name__)

EXPORTER = "OTEL_TRACES_EXPORTER"
NAME = "runyard"


def configure() -> None:
    """Export spans as OpenTelemetry's own variables say, if OTEL_TRACES_EXPORTER names an exporter.

    What has been set up already, as by `opentelemetry-instrument`, stays. Raises RuntimeError if what is asked for is
    not installed.
    """
    names = [name for name in os.environ.get(EXPORTER, "").split(",") if name not in ("", "none")]
    if not names or (_api is not None and _are_exported()):
        return
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise RuntimeError(f"{EXPORTER} is set, but opentelemetry-sdk is not installed") from error
    named = {} if "OTEL_SERVICE_NAME" in os.environ else {"service.name": NAME}
    provider = TracerProvider(resource=Resource.create(named))
    for name in names:
        provider.add_span_processor(BatchSpanProcessor(_exporter(name)))
    _api.set_tracer_provider(provider)


def _are_exported() -> bool:
    """Whether somebody has set up where spans go; only then does a request begin a trace of its own."""
    return not isinstance(_api.get_tracer_provider(), _api.ProxyTracerProvider)


def _exporter(name: str) -> Any:
    found = list(entry_points(group="opentelemetry_traces_exporter", name=name))
    if not found:
        raise RuntimeError(f"{EXPORTER}={name}: no installed package has an exporter of this name")
    return found[0].load()()


def request_span(method: str, path: str, traceparent: str) -> AbstractContextManager[Any]:
    """The block answers a request; it continues its caller's trace if that names one."""
    if _api is None or not (traceparent or _are_exported()):
        return nullcontext()
    attributes = {"http.request.method": method, "url.path": path}
    return _span(f"{method} request", _api.SpanKind.SERVER, traceparent, attributes)


def note_status(span: Any, status: int) -> None:
    """Say how the request was answered."""
    if span is not None:
        span.set_attribute("http.response.status_code", status)


@contextmanager
def create_span(run_id: Any, thread_id: Any) -> Iterator[str]:
    """The block accepts a run; yields what its row is to remember, "" without a trace."""
    if _api is None or not (trace_id() or _are_exported()):
        yield ""
        return
    attributes = {"runyard.run": str(run_id), "runyard.thread": str(thread_id)}
    with _tracer().start_as_current_span("create run", kind=_api.SpanKind.PRODUCER, attributes=attributes):
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier)
        yield carrier.get("traceparent", "")


def attempt_span(assistant: str, traceparent: str, attributes: dict[str, Any]) -> AbstractContextManager[Any]:
    """The block executes an attempt of a run whose row has remembered this."""
    if _api is None or not (traceparent or _are_exported()):
        return nullcontext()
    return _span(f"run {assistant}", _api.SpanKind.CONSUMER, traceparent, attributes)


def trace_id() -> str:
    """The id of the trace that this code belongs to; "" if there is none."""
    if _api is None:
        return ""
    found = _api.get_current_span().get_span_context()
    return _api.format_trace_id(found.trace_id) if found.is_valid else ""


def flush() -> None:
    """Export what waits, within a bound: a process that ends at once would take it along."""
    if _api is not None and hasattr(provider := _api.get_tracer_provider(), "force_flush"):
        provider.force_flush(1000)


@contextmanager
def _span(name: str, kind: Any, traceparent: str, attributes: dict[str, Any]) -> Iterator[Any]:
    parent = TraceContextTextMapPropagator().extract({"traceparent": traceparent}, context.Context())
    with _tracer().start_as_current_span(name, context=parent, kind=kind, attributes=attributes) as span:
        yield span


def _tracer() -> Any:
    return _api.get_tracer(NAME)
