"""One report: medians and spreads side by side, and the ratio of Runyard to the best of the others."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from bench.compare.scenarios import Row
from bench.report import machine, table

#: Ours, with either pool.
OURS = ("runyard", "runyard-async")
_BAR, _GAP, _LEFT, _WIDTH = 16, 6, 150, 420


@dataclass
class Measured:
    """One row of the report: what each server needed in all rounds, or why it has no number."""

    name: str
    unit: str
    more_is_better: bool
    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, server: str, row: Row) -> None:
        """Add the values of one round."""
        self.values.setdefault(server, []).extend(row.values)

    def medians(self) -> dict[str, float]:
        """Of every server that has values."""
        return {server: statistics.median(values) for server, values in self.values.items()}

    def ratio(self) -> float | None:
        """Ours, with the better pool, to that of the best peer; None if either is missing."""
        medians = self.medians()
        ours = [medians.pop(name) for name in OURS if name in medians]
        if not ours or not medians:
            return None
        better = max if self.more_is_better else min
        best = better(medians.values())
        return better(ours) / best if best else None


def markdown(measured: Sequence[Measured], servers: Mapping[str, str], failures: Sequence[str]) -> str:
    """The whole report."""
    about = "\n".join(f"- {name}: {value}" for name, value in {**machine(), **servers}.items())
    rows = [_row(one, list(servers)) for one in measured]
    failed = "\n\n## Not measured\n\n" + "\n".join(f"- {one}" for one in failures) if failures else ""
    return f"{about}\n\n{table(rows) if rows else 'Nothing was measured.'}{failed}\n"


def _row(measured: Measured, servers: Sequence[str]) -> dict[str, Any]:
    ratio = measured.ratio()
    aim = "more is better" if measured.more_is_better else "less is better"
    cells = {server: _cell(measured.values.get(server, [])) for server in servers}
    return {
        "scenario": f"{measured.name} ({measured.unit}, {aim})",
        **cells,
        "ratio to the best peer": "" if ratio is None else f"{ratio:.2f}",
    }


def _cell(values: Sequence[float]) -> str:
    """The median, and the middle half of the values in brackets."""
    if not values:
        return "-"
    median = f"{statistics.median(values):.4g}"
    if len(values) == 1:
        return median
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{median} [{low:.4g}, {high:.4g}]"


def chart(measured: Measured) -> str:
    """The medians as bars, in SVG; readable on light and dark."""
    medians = measured.medians()
    longest = max(medians.values(), default=0) or 1
    height = len(medians) * (_BAR + _GAP) + 30
    title = escape(f"{measured.name} ({measured.unit})")
    bars = [f'<text x="0" y="14" font-weight="bold">{title}</text>']
    for place, (server, value) in enumerate(medians.items()):
        top = 24 + place * (_BAR + _GAP)
        width = max(1, value / longest * _WIDTH)
        colour = "#2f7d5b" if server in OURS else "#8a8f98"
        bars.append(f'<text x="0" y="{top + 12}">{escape(server)}</text>')
        bars.append(f'<rect x="{_LEFT}" y="{top}" width="{width:.0f}" height="{_BAR}" fill="{colour}"/>')
        bars.append(f'<text x="{_LEFT + width + 6:.0f}" y="{top + 12}">{value:.4g}</text>')
    size = f'width="{_LEFT + _WIDTH + 90}" height="{height}"'
    style = 'font-family="sans-serif" font-size="12" fill="#777"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style} role="img">{"".join(bars)}</svg>\n'
