"""`manage.py check`: settings under which a promise would not hold are refused, with the reason."""

import os
from collections.abc import Collection, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

from celery import current_app
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection, transaction

from runs.assistants import registry
from runs.broker import unserved_queues
from runs.conf import RunsSettings, runs_settings
from runs.pools import LOOP_POOL, is_known

#: What kombu's Redis transport takes when it is told nothing, in seconds.
KOMBU_VISIBILITY = 3600
#: How long kombu's Redis transport blocks in one wait for a message.
BRPOP_SECONDS = 1.0


@register("runs")
def check_runs(app_configs: Any = None, databases: Collection[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Refuse settings under which runs could be lost, doubled, or never end.

    With `databases`, as at `migrate` and when a worker starts, the database itself is asked, too.
    """
    try:
        options = runs_settings()
    except (ImproperlyConfigured, TypeError) as error:
        return [Error(str(error), id="runs.E001")]
    found = [*_check_database(), *_check_queue(options), *_check_times(options), *_check_assistants()]
    return [*found, *_check_isolation()] if databases and not found else found


def _check_database() -> Iterator[CheckMessage]:
    database = settings.DATABASES["default"]
    if "postgresql" not in database["ENGINE"]:
        yield Error(
            "The database must be PostgreSQL: admission is decided under row locks that others do not have.",
            hint="Set DATABASE_URL to a postgresql:// address, or unset it to use the embedded one with `make up`.",
            id="runs.E010",
        )
    if database.get("CONN_MAX_AGE") != 0:
        yield Error(
            "CONN_MAX_AGE must be 0: under ASGI every request's thread would keep a connection of its own.",
            hint="Use Django's connection pool instead (DATABASE_POOL_SIZE).",
            id="runs.E011",
        )
    if database.get("OPTIONS", {}).get("server_side_binding"):
        yield Error(
            "OPTIONS['server_side_binding'] must be off: what a run needs is sent as several statements at once, which "
            "PostgreSQL takes only with their values in them.",
            id="runs.E013",
        )


def _check_isolation() -> Iterator[CheckMessage]:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SHOW transaction_isolation")
            (level,) = cursor.fetchone()
    except OperationalError:  # it is away: no setting to refuse
        return
    if level != "read committed":
        yield Error(
            f"Transactions must be READ COMMITTED, not {level.upper()}: after the wait for a row lock the row is read "
            "as it is now, and nothing is repeated after a serialization failure.",
            hint="Set default_transaction_isolation for the role, or OPTIONS['isolation_level'], to read committed.",
            id="runs.E012",
        )


def _check_queue(options: RunsSettings) -> Iterator[CheckMessage]:
    conf = current_app.conf
    if not conf.task_acks_late:
        yield Error("CELERY_TASK_ACKS_LATE must be on: a message acknowledged early parks others.", id="runs.E020")
    if not conf.task_reject_on_worker_lost:
        yield Error("CELERY_TASK_REJECT_ON_WORKER_LOST must be on: a killed child's message is lost.", id="runs.E021")
    if conf.worker_prefetch_multiplier != 1:
        yield Error("CELERY_WORKER_PREFETCH_MULTIPLIER must be 1: runs would wait behind a busy child.", id="runs.E022")
    redis = (conf.broker_url or "").startswith(("redis", "valkey"))
    visibility = (conf.broker_transport_options or {}).get("visibility_timeout", KOMBU_VISIBILITY if redis else None)
    if visibility is not None and visibility <= options.MAX_RUN_SECONDS:
        yield Error(
            f"The broker's visibility_timeout ({visibility:g} s) must be longer than the longest run "
            f"({options.MAX_RUN_SECONDS:g} s): every long run would be delivered again while it executes.",
            id="runs.E023",
        )
    if unknown := unserved_queues():
        yield Error(
            f"RUNS['FAIR_QUEUES'] is {options.FAIR_QUEUES}, and no worker would take from {', '.join(unknown)}.",
            hint="Name them all in CELERY_TASK_QUEUES, or set FAIR_QUEUES to 1.",
            id="runs.E027",
        )
    yield from _check_pool(conf)
    yield from _check_blocking(conf)
    if conf.task_time_limit is not None and conf.task_time_limit <= options.MAX_RUN_SECONDS:
        yield Error("CELERY_TASK_TIME_LIMIT must be longer than RUNS['MAX_RUN_SECONDS'].", id="runs.E024")


def _check_pool(conf: Any) -> Iterator[CheckMessage]:
    """A worker that is started with another one refuses, too."""
    custom = os.environ.get("CELERY_CUSTOM_WORKER_POOL")
    for pool in (conf.worker_pool, custom):
        if pool and pool != "custom" and not is_known(pool):
            yield Error(
                f"{pool} cannot execute runs: only prefork and {LOOP_POOL} can interrupt a run, and end it.",
                hint=f"Set CELERY_WORKER_POOL to prefork; or to custom, with CELERY_CUSTOM_WORKER_POOL={LOOP_POOL}.",
                id="runs.E028",
            )


def _check_blocking(conf: Any) -> Iterator[CheckMessage]:
    """Redis is also listened to, by connections that are silent for as long as nothing happens."""
    if "socket_timeout" in parse_qs(urlsplit(getattr(settings, "REDIS_URL", "") or "").query):
        yield Error(
            "REDIS_URL must not set socket_timeout: it would cut the connection on which a web process listens, and "
            "wakes would be lost. What writes and reads has time limits of its own.",
            id="runs.E025",
        )
    timeout = (conf.broker_transport_options or {}).get("socket_timeout")
    if timeout is not None and timeout <= BRPOP_SECONDS:
        yield Error(
            f"The broker's socket_timeout ({timeout:g} s) must be longer than {BRPOP_SECONDS:g} s, for which a worker "
            "blocks while it waits for a message: its connection would be cut again and again.",
            id="runs.E026",
        )


def _check_times(options: RunsSettings) -> Iterator[CheckMessage]:
    if not 0 < options.MAX_RUN_SECONDS < float("inf"):
        yield Error("RUNS['MAX_RUN_SECONDS'] must be finite: every accepted run ends.", id="runs.E030")
    if 0 < options.STREAM_TTL_SECONDS < options.MAX_RUN_SECONDS:
        yield Error(
            f"RUNS['STREAM_TTL_SECONDS'] ({options.STREAM_TTL_SECONDS:g} s) must not be shorter than the longest run "
            f"({options.MAX_RUN_SECONDS:g} s): the stream of a run that is silent would vanish. 0: streams are kept.",
            id="runs.E033",
        )
    if options.FAIR_QUEUES < 1:
        yield Error("RUNS['FAIR_QUEUES'] must be at least 1.", id="runs.E034")
    if options.RENEW_SECONDS * 2 > options.LEASE_SECONDS:
        yield Error(
            "RUNS['RENEW_SECONDS'] must be at most half of LEASE_SECONDS: one lost renewal is no death.", id="runs.E031"
        )
    if options.COMPAT not in ("", "langgraph"):
        yield Error(f"RUNS['COMPAT'] is {options.COMPAT!r}; it can be empty or 'langgraph'.", id="runs.E032")


def _check_assistants() -> Iterator[CheckMessage]:
    try:
        registry.registered()
    except ImproperlyConfigured as error:
        yield Error(str(error), id="runs.E040")
