"""Medians as bars, in SVG, readable on light and dark: a picture for each scenario, its rows below each other."""

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from bench.compare.results import OURS, Measured

_BAR, _GAP, _LEFT, _WIDTH, _TITLE = 14, 5, 130, 420, 30


def chart(rows: Sequence[Measured], servers: Sequence[str]) -> str:
    """Every row has a scale of its own: their units differ."""
    parts, top = list[str](), 0
    for row in rows:
        parts.extend(_bars(row, servers, top))
        top += _TITLE + len(row.values) * (_BAR + _GAP)
    size = f'width="{_LEFT + _WIDTH + 90}" height="{top + _GAP}"'
    style = 'font-family="sans-serif" font-size="12" fill="#777"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style} role="img">{"".join(parts)}</svg>\n'


def _bars(row: Measured, servers: Sequence[str], top: int) -> Iterator[str]:
    medians = row.medians()
    longest = max(medians.values(), default=0) or 1
    aim = "more" if row.more_is_better else "less"
    yield _text(0, top + 18, f"{row.name} ({row.unit}, {aim} is better)", ' font-weight="bold"')
    for place, server in enumerate(server for server in servers if server in medians):
        y = top + _TITLE + place * (_BAR + _GAP) - _GAP
        width = max(1.0, medians[server] / longest * _WIDTH)
        colour = "#2f7d5b" if server in OURS or server.isdigit() else "#8a8f98"
        yield _text(0, y + _BAR - 3, f"{int(server):,} runs" if server.isdigit() else server)
        yield f'<rect x="{_LEFT}" y="{y}" width="{width:.0f}" height="{_BAR}" fill="{colour}"/>'
        yield _text(_LEFT + round(width) + 6, y + _BAR - 3, f"{medians[server]:.4g}")


def _text(x: int, y: int, words: str, more: str = "") -> str:
    return f'<text x="{x}" y="{y}"{more}>{escape(words)}</text>'
