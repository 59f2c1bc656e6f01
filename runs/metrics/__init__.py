"""What is counted in every process, by name. When is decided by `runs.services.measure` and by who waits or streams."""

from prometheus_client.metrics_core import Metric

from runs.metrics import store
from runs.metrics.instruments import LONG, SHORT, Counter, Gauge, Histogram, Instrument


def _each(name: str, *values: str) -> list[dict[str, str]]:
    return [{name: value} for value in values]


_STRATEGIES = ("reject", "enqueue", "interrupt", "rollback")
_ENDINGS = _each("status", "success", "error", "timeout", "interrupted")

runs_created = Counter(
    "runyard_runs_created",
    "Creates of runs by strategy and result (accepted, refused), with the code of the refusal.",
    [{"strategy": strategy, "result": "accepted", "code": ""} for strategy in _STRATEGIES],
)
runs_finished = Counter("runyard_runs_finished", "Runs that have reached a terminal status.", _ENDINGS)
run_start = Histogram(
    "runyard_run_start_seconds", "From the moment a run was accepted, or due, to its first claim.", bounds=SHORT
)
run_duration = Histogram(
    "runyard_run_duration_seconds", "From the first claim to the terminal status.", _ENDINGS, bounds=LONG
)
recoveries = Counter(
    "runyard_recoveries",
    "Attempts that were lost or handed back, and whose run waits for another, by what became of the executor.",
    _each("departure", "crash", "left", "shutdown", "terminated", "neighbour", "suspect"),
)
cancel_duration = Histogram(
    "runyard_cancel_seconds", "From the cancel of an executing run to the end of its execution.", bounds=SHORT
)
lock_wait = Histogram("runyard_lock_wait_seconds", "How long it took to get the row lock of a thread.", bounds=SHORT)
loop_stalls = Counter(
    "runyard_loop_stalls",
    "Times that the loop of a loop process did not turn, by the assistant that held it.",
    _each("assistant", ""),
)
lock_timeouts = Counter("runyard_lock_timeouts", "Waits for the lock of a thread that were given up.")
streams_open = Gauge(
    "runyard_streams_open", "Answers that are being streamed now.", _each("kind", "run", "thread", "wait")
)
stream_gaps = Counter("runyard_stream_gaps", "Streams that could not go on where their client was.")

INSTRUMENTS: tuple[Instrument, ...] = tuple(found for found in globals().values() if isinstance(found, Instrument))


def collect() -> list[Metric]:
    """All of them, also those that nothing has happened to yet, as counted on this machine by the living and the dead.

    Raises OSError if it cannot be read.
    """
    for instrument in INSTRUMENTS:
        instrument.show()
    return store.read()
