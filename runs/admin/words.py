"""Spans of time in words, the same on every page."""

from datetime import timedelta

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))
_MILLISECONDS_BELOW = 1
_TENTHS_BELOW = 10


def span(value: timedelta | float | None) -> str:
    """A span of time as people read it, such as "850 ms", "4.2 s", "12 min 5 s"; "–" for None."""
    if value is None:
        return "–"
    seconds = max(0.0, value.total_seconds() if isinstance(value, timedelta) else value)
    if seconds < _MILLISECONDS_BELOW:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _TENTHS_BELOW:
        return f"{seconds:.1f} s"
    return _in_units(round(seconds))


def _in_units(seconds: int) -> str:
    """The two largest units."""
    for number, (name, size) in enumerate(_UNITS):
        if seconds >= size:
            smaller, unit = _UNITS[number + 1] if number + 1 < len(_UNITS) else ("s", 1)
            rest = seconds % size // unit
            return f"{seconds // size} {name}" + (f" {rest} {smaller}" if rest else "")
    return f"{seconds} s"
