"""Numbers and times in words for people."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.utils.html import format_html

#: (seconds from which it is used, large unit, its seconds, small unit, its seconds)
_UNITS = ((86400, "d", "h", 3600), (3600, "h", "min", 60), (60, "min", "s", 1))
_PRECISE_BELOW = 10


def duration(span: timedelta) -> str:
    """How long it is: 0.4 s, 41 s, 2 min 05 s, 3 h 07 min, 2 d 04 h."""
    seconds = max(span.total_seconds(), 0.0)
    if seconds < _PRECISE_BELOW:
        return f"{seconds:.1f} s"
    for size, large, small, each in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {large} {int(seconds % size // each):02} {small}"
    return f"{int(seconds)} s"


def moment(at: datetime | None) -> str | None:
    """When it was, in UTC and to the second; None: never."""
    if at is None:
        return None
    at = at.astimezone(UTC)
    return format_html('<time datetime="{}">{}</time>', at.isoformat(), f"{at:%Y-%m-%d %H:%M:%S}")


def ending(pk: UUID) -> str:
    """The end of an id: the beginnings of those that were made at one time are the same."""
    return f"…{str(pk)[-12:]}"
