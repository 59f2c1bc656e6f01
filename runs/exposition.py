"""What a scrape is answered: the counts of the machine, and from a web process also what rows and the queue say."""

import hmac
import logging
import threading
from collections.abc import Iterable, Iterator
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, ThreadingWSGIServer, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from runs import broker, metrics
from runs.conf import runs_settings
from runs.heartbeats import beats
from runs.services.gauges import TEXTS, gauges

logger = logging.getLogger(__name__)

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
QUEUE = "runyard_queue_messages"
HEARTBEAT = "runyard_heartbeat_age_seconds"
_LOOPBACK = ("127.0.0.1", "::1")


class _Collector:
    def __init__(self, *, with_rows: bool) -> None:
        self._with_rows = with_rows

    def collect(self) -> Iterator[Metric]:
        yield from metrics.collect()
        yield _heartbeats()
        if self._with_rows:
            for name, value in gauges().items():
                yield GaugeMetricFamily(name, TEXTS[name], value=value)
            yield _queue()


def exposition(*, with_rows: bool) -> bytes:
    """All metrics in Prometheus' text format; `with_rows`: also those that are the same wherever one asks."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(with_rows=with_rows))
    return generate_latest(registry)


def _heartbeats() -> Metric:
    """The age of the youngest sign of life; a machine without such a process has none."""
    family = GaugeMetricFamily(HEARTBEAT, "When a process of this kind last went round here.", labels=["process"])
    for process in ("worker", "scheduler"):
        if found := beats(process):
            family.add_metric([process], min(beat.seconds_ago for beat in found))
    return family


def _queue() -> Metric:
    """Missing if the broker does not answer."""
    family = GaugeMetricFamily(QUEUE, "Messages in the broker that no worker has taken.", labels=["queue"])
    try:
        for name, count in broker.queue_depths().items():
            family.add_metric([name], count)
    except Exception as error:  # of whatever transport
        logger.info("the broker cannot be asked for the length of its queues: %s", error)
    return family


def may_scrape(*, authorization: str, address: str, forwarded: bool) -> bool:
    """With RUNS["METRICS_TOKEN"] whoever sends it as a bearer token; without, only this machine, not by a proxy."""
    if token := runs_settings().METRICS_TOKEN:
        scheme, _, sent = authorization.partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(sent.strip().encode(), token.encode())
    return address in _LOOPBACK and not forwarded


def serve_in_thread() -> int | None:
    """For a process that listens on no port: serve /metrics on RUNS["METRICS_PORT"], if that is set; return the port.

    A port that is taken is logged, for a worker must not fail to start for want of a scrape.
    """
    options = runs_settings()
    if not options.METRICS_PORT:
        return None
    try:
        server = make_server(
            options.METRICS_ADDRESS, options.METRICS_PORT, _application, ThreadingWSGIServer, handler_class=_Silent
        )
    except OSError as error:
        logger.error("metrics cannot be served on %s:%s: %s", options.METRICS_ADDRESS, options.METRICS_PORT, error)
        return None
    threading.Thread(target=server.serve_forever, name="runs-metrics", daemon=True).start()
    return server.server_port


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """A scrape is no event."""


def _application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    allowed = may_scrape(
        authorization=environ.get("HTTP_AUTHORIZATION", ""),
        address=environ["REMOTE_ADDR"],
        forwarded="HTTP_X_FORWARDED_FOR" in environ,
    )
    status, body = "200 OK", b""
    if environ["PATH_INFO"] != "/metrics":
        status = "404 Not Found"
    elif not allowed:
        status = "403 Forbidden"
    else:
        body = exposition(with_rows=False)
    start_response(status, [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(body)))])
    return [body]
