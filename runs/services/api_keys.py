"""API keys: made, found by what a caller sends, never stored readable."""

import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Q

from runs.errors import InvalidRequest
from runs.models import ApiKey, ClockTimestamp
from runs.prepared import steady
from runs.services.recent import Recent
from runs.statements import Row, Select, Statement, execute

PREFIX_LENGTH = 8
MIN_LENGTH = 16
#: For how long a process remembers a key, and how many.
RECALLED_SECONDS, MOST_RECALLED = 5.0, 1000
_USED_EVERY = timedelta(minutes=1)
_VALID = "digest = %s AND (revoked_at IS NULL) IS TRUE"
_KEY = Select(ApiKey, f"WHERE {_VALID}")
_CLOCK = Statement("SELECT clock_timestamp()", kept=True)
#: Digest -> the rows of the key and of its owner.
_recent: Recent[tuple[list[Row], list[Row]]] = Recent(MOST_RECALLED)


class KeyChanged(Exception):
    """A key that was remembered has been revoked, or it or its owner is not as it was."""


@dataclass
class RecalledKey:
    """A key as this process has found it a moment ago, for a request whose first statement is a lock.

    The lock asks `question` along and has the answer confirmed, before anything is decided: so it is known of every
    such request that the key was there when it was served, without a round trip for that alone. Who answers with
    anything else, a refusal, too, looks at `is_confirmed` and asks `find_api_key`.
    """

    key: ApiKey
    owners: Sequence[Row]
    is_confirmed: bool = False

    @property
    def question(self) -> Statement:
        """For the owner of the key: as long as it is not revoked there is one."""
        return _owner()(self.key.digest)

    def confirm(self, owners: Sequence[Row]) -> None:
        """Hear the answer to the question. Raises KeyChanged."""
        if owners != self.owners:
            raise KeyChanged
        self.is_confirmed = True


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
    digest, began = _digest(key), time.monotonic()
    _, keys, owners, [(now,)] = execute(steady(), _KEY(digest), _owner()(digest), _CLOCK)
    row = _load(keys, owners)
    if row is None:
        _recent.drop(digest)
        return None
    used = row.last_used_at
    if used is None or used < now - _USED_EVERY:  # so that reading does not become writing
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now - _USED_EVERY)
        ApiKey.objects.filter(stale, pk=row.pk).update(last_used_at=now)
        used = now
    unnoted = (used + _USED_EVERY - now).total_seconds()  # for so long nobody has to note that it is used
    _recent.put(digest, (keys, owners), began + min(RECALLED_SECONDS, unnoted))
    return row


def recall_api_key(key: str) -> RecalledKey | None:
    """Return the key a caller sent as it was a moment ago, if this process has found it then."""
    found = _recent.get(_digest(key))
    if found is None or (row := _load(*found)) is None:
        return None
    return RecalledKey(row, owners=found[1])


def _load(keys: Sequence[Row], owners: Sequence[Row]) -> ApiKey | None:
    """With its owner, who is active. The two are read one after the other: it may have been revoked in between."""
    if not keys or not owners:
        return None
    [row], [row.owner] = _KEY.load(keys), _owner().load(owners)
    return row if row.owner.is_active else None


@cache
def _owner() -> Select[Any]:
    of_key = f"WHERE id = (SELECT owner_id FROM runs_apikey WHERE {_VALID})"  # noqa: S608 - our words
    return Select(get_user_model(), of_key)


def revoke_api_key(key_id: int) -> bool:
    """Make the key useless from now on, for good; False if it was already, or does not exist."""
    return ApiKey.objects.filter(pk=key_id, revoked_at=None).update(revoked_at=ClockTimestamp()) == 1


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
