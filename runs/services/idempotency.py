"""Idempotency-Key: a create that is sent twice makes one run."""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from django.contrib.postgres.functions import TransactionNow
from django.db import connection
from django.db.models import QuerySet

from runs.actors import Actor
from runs.conf import runs_settings
from runs.errors import IdempotencyKeyReused, RunGone
from runs.locks import bound_transaction
from runs.models import IdempotencyKey, Run


@dataclass(frozen=True)
class Idempotency:
    """The key a caller sent, the route it was sent to, and a fingerprint of the body."""

    key: str
    route: str
    fingerprint: str

    @classmethod
    def of(cls, *, key: str, route: str, body: Any) -> "Idempotency":
        """Fingerprint the body by its canonical JSON: the order of keys and white space do not count."""
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
        return cls(key=key, route=route, fingerprint=hashlib.sha256(canonical.encode()).hexdigest())

    def part(self, number: int) -> "Idempotency":
        """The key of one run among several that are made by one request: it belongs to the whole body."""
        return replace(self, route=f"{self.route} [{number}]")


def take_key(idempotency: Idempotency, actor: Actor) -> Run | None:
    """Reserve the key and return None, or return the run that it made before.

    The insert comes first in the transaction and waits for a twin that is still deciding: if the twin commits, its
    run is the answer; if it is refused, the key is free again. Raises IdempotencyKeyReused when the body differs,
    RunGone when the run was deleted.
    """
    bound_transaction()
    row = None
    while row is None:  # a twin's row may grow too old between the refused insert and the reading
        _forget_expired(idempotency, actor)
        if _insert(idempotency, actor):
            return None
        row = _rows(idempotency, actor).select_related("run__thread").first()
    if row.fingerprint != idempotency.fingerprint:
        raise IdempotencyKeyReused
    if row.run is None or row.run.deleted_at is not None or row.run.thread.deleted_at is not None:
        raise RunGone
    return row.run


def bind_key(idempotency: Idempotency, actor: Actor, run: Run) -> None:
    """Remember which run the key made."""
    _rows(idempotency, actor).update(run=run)


def _rows(idempotency: Idempotency, actor: Actor) -> QuerySet[IdempotencyKey]:
    return IdempotencyKey.objects.filter(owner=actor.owner, route=idempotency.route, key=idempotency.key)


def _forget_expired(idempotency: Idempotency, actor: Actor) -> None:
    """By the transaction's time, at which a batch's keys are made and asked for: they all expire together."""
    age = timedelta(seconds=runs_settings().IDEMPOTENCY_SECONDS)
    _rows(idempotency, actor).filter(created_at__lt=TransactionNow() - age).delete()


def _insert(idempotency: Idempotency, actor: Actor) -> bool:
    """Raw, because the ORM's `ignore_conflicts` does not say whether the row is ours."""
    table = connection.ops.quote_name(IdempotencyKey._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (owner_id, route, key, fingerprint, created_at) "  # noqa: S608 - our name
            "VALUES (%s, %s, %s, %s, transaction_timestamp()) ON CONFLICT DO NOTHING",
            [actor.owner.pk, idempotency.route, idempotency.key, idempotency.fingerprint],
        )
        return bool(cursor.rowcount)
