"""The settings of the app: `settings.RUNS` over these defaults. Times are in seconds."""

from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from runs.states import DisconnectMode, MultitaskStrategy


@dataclass(frozen=True, kw_only=True)
class RunsSettings:
    """Typed view of `settings.RUNS`; an unknown key is refused at start."""

    #: name -> dotted path ("package.module:attribute") of each assistant.
    ASSISTANTS: dict[str, str] = field(default_factory=dict)
    #: Path of a langgraph.json whose graphs are assistants, too; the environment's RUNYARD_CONFIG wins.
    LANGGRAPH_CONFIG: str = ""
    #: "" or "langgraph": take LangGraph's defaults (enqueue, continue) where they differ from ours.
    COMPAT: str = ""
    #: No run executes longer than this in one attempt; every run has a finite limit.
    MAX_RUN_SECONDS: float = 3600.0
    #: Crashes after which a run ends as `attempts_exhausted`.
    MAX_ATTEMPTS: int = 3
    #: Runs that may wait on one thread.
    MAX_QUEUED_RUNS: int = 100
    #: Queues over which owners are spread. Workers take from all in turn, so a flood delays only who shares its queue.
    FAIR_QUEUES: int = 1
    #: A worker that has not renewed for this long may be buried.
    LEASE_SECONDS: float = 15.0
    #: How often a worker renews its lease and learns of cancels that no message told it.
    RENEW_SECONDS: float = 5.0
    #: From the first interruption to the kill of an executor that does not leave.
    GRACE_SECONDS: float = 10.0
    #: Pause between two interruptions of an executor that does not leave.
    INTERRUPT_EVERY_SECONDS: float = 1.0
    #: How long a returned attempt waits for threads it started before its process is ended.
    THREAD_LEAVE_SECONDS: float = 1.0
    #: In a worker with loop processes: how many there are (0: one for each CPU).
    LOOP_PROCESSES: int = 0
    #: How many runs whose loop process has crashed are executed at a time, each in a process of its own.
    LOOP_ALONE_PROCESSES: int = 8
    #: Connections to the database of each loop process, whatever number of runs it executes.
    LOOP_CONNECTIONS: int = 4
    #: A loop that has not turned for so long is reported by the name of the assistant that holds it.
    LOOP_STALL_SECONDS: float = 1.0
    #: How long runs may go on after SIGTERM before they are handed to another worker.
    SOFT_SHUTDOWN_SECONDS: float = 20.0
    #: First wait before a dispatched run that nobody claimed is dispatched again; doubles up to the maximum.
    REDISPATCH_SECONDS: float = 30.0
    REDISPATCH_MAX_SECONDS: float = 600.0
    #: After so long in the middle of a transaction without a word, a process loses its session and with it its locks.
    TRANSACTION_IDLE_SECONDS: float = 15.0
    #: Whether sessions keep the plans of what every run needs (PREPARE). Behind a pooler they do not, by themselves.
    PREPARED_STATEMENTS: bool = True
    #: Pause between two sweeps of the scheduler.
    SWEEP_SECONDS: float = 1.0
    #: How long a run that is to be cancelled on disconnect may be without anybody who watches it.
    DISCONNECT_GRACE: float = 2.0
    #: How long a stateless run's rows outlive it, for those who are still reading its end.
    STATELESS_LINGER: float = 60.0
    #: How long `cancel?wait=true` waits before it answers 202.
    CANCEL_WAIT_SECONDS: float = 30.0
    #: How long `POST state` waits for the worker that computes a graph's new state.
    STATE_UPDATE_SECONDS: float = 30.0
    #: How long an Idempotency-Key is remembered.
    IDEMPOTENCY_SECONDS: float = 24 * 3600.0
    #: Largest request body, in bytes.
    MAX_BODY_BYTES: int = 4 * 1024 * 1024
    #: How long a publish to the broker may take; a create waits for it once, when the broker has just gone.
    PUBLISH_TIMEOUT_SECONDS: float = 0.2
    #: Frames that a run's live stream retains, about.
    STREAM_MAX_FRAMES: int = 10_000
    #: How long a live stream is kept after its last frame; what is kept afterwards is in PostgreSQL.
    STREAM_TTL_SECONDS: float = 24 * 3600.0
    #: After a failed publish nothing is published for this long; then what was kept is, off every request.
    PUBLISH_BREAK_SECONDS: float = 5.0
    #: Where the processes of one machine leave heartbeats and counters for each other; "": a temporary directory.
    STATE_DIR: str = ""
    #: Whoever sends this as a bearer token may read /metrics; "": only who asks from the machine itself.
    METRICS_TOKEN: str = ""
    #: Where workers and schedulers serve /metrics, which listen on no port otherwise; port 0: nowhere.
    METRICS_PORT: int = 0
    METRICS_ADDRESS: str = "127.0.0.1"
    #: What this deployment is, as the console says it in every head line: "production", "staging"; empty: nothing.
    ENVIRONMENT: str = ""
    #: Where operators' browsers find Flower; empty: the console has no links to it.
    FLOWER_URL: str = ""
    #: Where operators' browsers find a run's trace and its log lines; {run_id} and {thread_id} are put in.
    TRACE_URL: str = ""
    LOG_URL: str = ""

    @property
    def default_multitask_strategy(self) -> MultitaskStrategy:
        return MultitaskStrategy.ENQUEUE if self.COMPAT == "langgraph" else MultitaskStrategy.REJECT

    @property
    def default_on_disconnect(self) -> DisconnectMode:
        return DisconnectMode.CONTINUE if self.COMPAT == "langgraph" else DisconnectMode.CANCEL


@lru_cache(maxsize=1)
def runs_settings() -> RunsSettings:
    """Return the settings of the app, or raise ImproperlyConfigured naming the keys it does not know."""
    given: dict[str, Any] = getattr(settings, "RUNS", {})
    unknown = sorted(set(given) - {f.name for f in fields(RunsSettings)})
    if unknown:
        raise ImproperlyConfigured(f"settings.RUNS has unknown keys: {', '.join(unknown)}")
    return RunsSettings(**given)


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "RUNS":
        runs_settings.cache_clear()


setting_changed.connect(_forget)
