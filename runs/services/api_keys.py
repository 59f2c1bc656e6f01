"""API keys: made, found by what a caller sends, never stored readable."""

import hashlib
import secrets
from datetime import timedelta
from functools import cache
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Q

from runs.errors import InvalidRequest
from runs.models import ApiKey, ClockTimestamp
from runs.prepared import steady
from runs.statements import Select, Statement, execute

PREFIX_LENGTH = 8
MIN_LENGTH = 16
_USED_EVERY = timedelta(minutes=1)
_KEY = Select(ApiKey, "WHERE digest = %s AND (revoked_at IS NULL) IS TRUE")
_CLOCK = Statement("SELECT clock_timestamp()", kept=True)


def create_api_key(*, owner: Any, name: str, key: str | None = None) -> tuple[ApiKey, str]:
    """Create a key and return its row with the readable key, which is shown this once.

    `key` sets the value instead of drawing one; a key that exists already is returned as it is. Raises InvalidRequest
    if it is shorter than 16 characters.
    """
    readable = key or f"ry_{secrets.token_urlsafe(32)}"
    if len(readable) < MIN_LENGTH:
        raise InvalidRequest(f"An API key needs at least {MIN_LENGTH} characters.")
    defaults = {"owner": owner, "name": name, "prefix": readable[:PREFIX_LENGTH]}
    row, _ = ApiKey.objects.get_or_create(digest=_digest(readable), defaults=defaults)
    return row, readable


def find_api_key(key: str) -> ApiKey | None:
    """Return the key a caller sent if it exists, is not revoked and its owner is active."""
    _, keys, owners, [(now,)] = execute(steady(), _KEY(_digest(key)), _owner()(_digest(key)), _CLOCK)
    if not keys or not owners:
        return None
    [row], [row.owner] = _KEY.load(keys), _owner().load(owners)
    if not row.owner.is_active:
        return None
    if row.last_used_at is None or row.last_used_at < now - _USED_EVERY:  # so that reading does not become writing
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now - _USED_EVERY)
        ApiKey.objects.filter(stale, pk=row.pk).update(last_used_at=now)
    return row


@cache
def _owner() -> Select[Any]:
    return Select(get_user_model(), "WHERE id = (SELECT owner_id FROM runs_apikey WHERE digest = %s)")


def revoke_api_key(key_id: int) -> bool:
    """Make the key useless from now on, for good; False if it was already, or does not exist."""
    return ApiKey.objects.filter(pk=key_id, revoked_at=None).update(revoked_at=ClockTimestamp()) == 1


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
