"""Everything that is done for each run, or again and again, as it is called: what is prepared, and what is measured."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import connection

from runs.actors import Actor
from runs.execution.graphs.rows import VisibleRows
from runs.execution.graphs.start import find_start
from runs.models import ClockTimestamp, Run, Thread, Worker
from runs.services import gauges, history, overview, recover, results, retention, runs, thread_search, waiting, workers
from runs.services.idempotency import Idempotency
from runs.states import CancelAction
from runs.streaming import rows
from tests.support import factories as make

OWNER = "growth"
#: The thread of this many runs, in every database.
SELECT_THREAD = "SELECT id FROM runs_thread WHERE metadata @> jsonb_build_object('growth', %s) AND owner_id = %s"


#: What LangGraph would have stored of every step of the thread, and of a task at each.
GRAPH_ROWS = (
    """
    INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, type, checkpoint, metadata)
    SELECT thread_id::text, '', id::text, NULL, jsonb_build_object('v', 4, 'id', id, 'ts', created_at,
        'channel_values', '{}'::jsonb, 'channel_versions', '{}'::jsonb, 'versions_seen', '{}'::jsonb),
        jsonb_build_object('run_id', run_id, 'step', step)
    FROM runs_checkpoint WHERE thread_id = %(thread)s ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob)
    SELECT thread_id::text, '', id::text, gen_random_uuid() || '/1/' || run_id, 0, 'log', 'null', ''
    FROM runs_checkpoint WHERE thread_id = %(thread)s
        AND NOT EXISTS (SELECT FROM checkpoint_writes WHERE thread_id = %(thread)s)
    """,
)


@dataclass(frozen=True)
class Subject:
    """What an operation is done to: a thread with its history, on which nothing is in flight, and a worker."""

    thread: Thread
    worker: Worker
    #: The latest run of the thread; it has ended.
    last: Run

    @property
    def actor(self) -> Actor:
        """The thread's owner."""
        return Actor(name=OWNER, owner=self.thread.owner)


Prepare = Callable[[Subject], Any]
Measure = Callable[[Subject, Any], Any]


@dataclass(frozen=True)
class Operation:
    """`measure` gets what `prepare` has returned; all of it is rolled back."""

    name: str
    measure: Measure
    prepare: Prepare = lambda _: None
    #: Whether the thread's history could matter.
    of_thread: bool = True


def _running(subject: Subject) -> Run:
    return make.running(subject.thread, subject.worker)


def _running_with_successor(subject: Subject) -> Run:
    run = _running(subject)
    make.make_run(subject.thread)
    return run


def _stopping(subject: Subject) -> Run:
    run = _running(subject)
    make.cancel(run)
    return make.stored(run)


def _create(strategy: str, **spec: Any) -> Measure:
    return lambda subject, _: make.create(subject.thread, strategy, **spec)


def _with_key(subject: Subject, _: Any) -> Any:
    key = Idempotency.of(key=uuid4().hex, route="POST /threads/{thread_id}/runs", body={})
    return make.create(subject.thread, idempotency=key)


def _on_new_thread(subject: Subject, _: Any) -> Any:
    return make.create(Thread(id=uuid4(), owner=subject.thread.owner), actor=subject.actor, create_thread=True)


def _list(subject: Subject, _: Any) -> Any:
    return runs.list_runs(thread_id=subject.thread.pk, owner=subject.thread.owner, limit=10)


def _threads(subject: Subject, _: Any) -> Any:
    return thread_search.search_threads(owner=subject.thread.owner, wanted=thread_search.ThreadFilter(), limit=10)


def _next_stream(subject: Subject, _: Any) -> Any:
    latest, _over = rows.latest_begun(subject.thread.pk, subject.thread.owner)
    return rows.begun_after(subject.thread.pk, subject.thread.owner, latest)


def _history(subject: Subject, _: Any) -> Any:
    return history.get_history(thread_id=subject.thread.pk, owner=subject.thread.owner, limit=10)


def _cancel(action: CancelAction) -> Measure:
    return lambda _, run: make.cancel(run, action)


def _graph_start(subject: Subject, _: Any) -> Any:
    return find_start(_of_graph(subject), VisibleRows())


def _graph_head(subject: Subject, tip: str) -> Any:
    return VisibleRows().visible(str(subject.thread.pk), "", [tip], checkpoint_id=tip, limit=1)


def _of_graph(subject: Subject) -> Run:
    return Run.objects.select_related("thread").get(pk=subject.last.pk)


OPERATIONS = (
    Operation("create on a new thread", _on_new_thread, of_thread=False),
    *(Operation(f"create, {name}, idle thread", _create(name)) for name in ("reject", "enqueue")),
    *(
        Operation(f"create, {name}, busy thread", _create(name), _running)
        for name in ("enqueue", "interrupt", "rollback")
    ),
    Operation("create with an Idempotency-Key", _with_key),
    Operation(
        "claim", lambda subject, run: make.claim(run, subject.worker), lambda subject: make.make_run(subject.thread)
    ),
    Operation("step (checkpoint)", lambda _, run: make.step(run, a=1), _running),
    Operation("finish", lambda _, run: make.finish(run, a=1), _running),
    Operation("finish, a run waits (dispatch_next)", lambda _, run: make.finish(run, a=1), _running_with_successor),
    Operation("cancel, pending", _cancel(CancelAction.INTERRUPT), lambda subject: make.make_run(subject.thread)),
    Operation("cancel, running, interrupt", _cancel(CancelAction.INTERRUPT), _running),
    Operation("cancel, running, rollback", _cancel(CancelAction.ROLLBACK), _running),
    Operation("settle after a cancel", lambda _, run: make.leave(run), _stopping),
    Operation("wait's question", lambda _, run: results.find_result(run.pk), _running),
    Operation("wait's result", lambda subject, _: results.find_result(subject.last.pk)),
    Operation("get a run", lambda subject, _: runs.get_run(run_id=subject.last.pk, owner=subject.thread.owner)),
    Operation("list a thread's runs", _list),
    Operation("state", lambda subject, _: history.get_state(thread_id=subject.thread.pk, owner=subject.thread.owner)),
    Operation("history, 10 states", _history),
    Operation(
        "what a thread waits for", lambda subject, _: waiting.thread_queue(subject.thread.pk), _running_with_successor
    ),
    Operation(
        "places in the queue", lambda subject, _: runs.queue_positions(subject.thread.pk), _running_with_successor
    ),
    Operation("graph: where an attempt starts", _graph_start),
    Operation("graph: reading the head", _graph_head, lambda subject: str(subject.thread.head_id)),
    Operation("thread stream, next run", _next_stream),
    Operation("thread stream, heartbeat", lambda subject, _: rows.last_beginnings([subject.thread.pk])),
    Operation("search threads, newest 10", _threads, of_thread=False),
    Operation("heartbeat's rows of 100 streams", lambda _, ids: rows.read(ids), lambda _: _hundred(), of_thread=False),
    Operation(
        "renewal of a lease", lambda subject, _: workers.renew_worker(subject.worker.pk), _running, of_thread=False
    ),
    Operation("sweep: overdue", lambda *_: list(recover.overdue_runs().values_list("pk")[:100]), of_thread=False),
    Operation("sweep: expired workers", lambda *_: workers.expired_workers(), of_thread=False),
    Operation(
        "sweep: runs of buried workers",
        lambda *_: list(recover.stalled_runs().values_list("pk")[:100]),
        of_thread=False,
    ),
    Operation("sweep: lost", lambda *_: recover.lost_threads(), of_thread=False),
    Operation("sweep: deleted threads", lambda *_: retention.remove_deleted_threads(), of_thread=False),
    Operation("sweep: deleted runs", lambda *_: retention.remove_deleted_runs(), of_thread=False),
    Operation("sweep: rolled back runs", lambda *_: retention.purge_rolled_back_runs(limit=1), of_thread=False),
    Operation("sweep: old idempotency keys", lambda *_: retention.forget_idempotency_keys(), of_thread=False),
    Operation("metrics", lambda *_: gauges._read(), of_thread=False),
    Operation("overview of the console", lambda *_: overview.overview(), of_thread=False),
)


def _hundred() -> list[UUID]:
    """Those in the middle of the table: the newest would be in one page."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(sequence) FROM runs_run")
        last = cursor.fetchone()[0]
    wanted = [last * number // 101 for number in range(1, 101)]
    return list(Run.objects.filter(sequence__in=wanted).values_list("pk", flat=True))


def subject_of(runs_on_thread: int) -> Subject:
    """The thread with this many runs, and a worker that lives longer than any measurement."""
    owner = make.make_actor(OWNER).owner
    with connection.cursor() as cursor:
        cursor.execute(SELECT_THREAD, [runs_on_thread, owner.pk])
        found = cursor.fetchone()
    thread = Thread.objects.get(pk=found[0]) if found else _make_thread(runs_on_thread)
    with connection.cursor() as cursor:
        for statement in GRAPH_ROWS:
            cursor.execute(statement, {"thread": str(thread.pk)})
    last = Run.objects.filter(thread=thread).newest_first()[0]
    worker = Worker.objects.filter(host=OWNER, buried_at=None).first() or make.make_worker(OWNER)
    Worker.objects.filter(pk=worker.pk).update(expires_at=ClockTimestamp() + timedelta(days=1))
    return Subject(thread, worker, last)


def _make_thread(count: int) -> Thread:
    """Its last run is a real one; the others are copies of it, each with its step, one second earlier than the next."""
    thread = make.make_thread(make.make_actor(OWNER))
    Thread.objects.filter(pk=thread.pk).update(metadata={"growth": count})
    run = make.running(thread)
    make.finish(run, answer=42)
    make.bury(Worker.objects.get(pk=make.worker_of(run)))
    values: dict[str, Any] = {"run": run.pk, "copies": count - 1}
    with connection.cursor() as cursor:
        for statement in _copies():
            cursor.execute(statement, values)
    thread.refresh_from_db()
    return thread


def _copies() -> Iterator[str]:
    columns = [str(field.column) for field in Run._meta.concrete_fields]
    own = {
        "id": "copy.run_id",
        "sequence": "nextval('runs_run_sequence')",
        "base_id": "lead(copy.checkpoint_id) OVER newest",
        **{name: f"{name} - n * interval '1 second'" for name in ("created_at", "started_at", "finished_at")},
    }
    selected = ", ".join(own.get(column, column) for column in columns)
    yield (
        "CREATE TEMPORARY TABLE copy AS "
        "SELECT n, gen_random_uuid() AS run_id, gen_random_uuid() AS checkpoint_id "
        "FROM generate_series(1, %(copies)s) n"
    )
    yield (
        f"INSERT INTO runs_run ({', '.join(columns)}) SELECT {selected} FROM runs_run, copy "  # noqa: S608 - our own names
        "WHERE runs_run.id = %(run)s WINDOW newest AS (ORDER BY n)"
    )
    names = 'thread_id, attempt, "values", next, interrupts, metadata'
    yield (
        f"INSERT INTO runs_checkpoint (id, parent_id, run_id, step, created_at, {names}) "  # noqa: S608
        f"SELECT copy.checkpoint_id, lead(copy.checkpoint_id) OVER newest, copy.run_id, %(copies)s - n, "
        f"created_at - n * interval '1 second', {names} FROM runs_checkpoint, copy "
        "WHERE runs_checkpoint.run_id = %(run)s WINDOW newest AS (ORDER BY n)"
    )
    yield (
        "UPDATE runs_checkpoint SET parent_id = (SELECT checkpoint_id FROM copy WHERE n = 1), step = %(copies)s "
        "WHERE run_id = %(run)s"
    )
    yield "DROP TABLE copy"
