"""Raw values, put together: of what was measured more than once, the last session counts."""

import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

#: Ours, with either pool.
OURS = ("runyard", "runyard-async")
Line = Mapping[str, Any]


@dataclass
class Measured:
    """One row of the report: what each server (of the growth: each size) needed in all rounds."""

    scenario: str
    name: str
    unit: str
    more_is_better: bool
    values: dict[str, list[float]] = field(default_factory=dict)
    sessions: set[int] = field(default_factory=set)

    def medians(self) -> dict[str, float]:
        """Of every server that has values."""
        return {server: statistics.median(values) for server, values in self.values.items()}

    def best(self, servers: Iterable[str]) -> tuple[str, float] | None:
        """The best of these, and its median; None if none has one."""
        found = {name: value for name, value in self.medians().items() if name in servers}
        if not found:
            return None
        name = (max if self.more_is_better else min)(found, key=lambda one: found[one])
        return name, found[name]

    def ratio(self) -> float | None:
        """Ours, with the better pool, to that of the best peer; None if either is missing, or noise."""
        ours, best = self.best(OURS), self.best(set(self.values) - set(OURS))
        return ours[1] / best[1] if ours and best and min(ours[1], best[1]) > 0 else None

    def growth(self) -> float | None:
        """The largest size to the smallest; the other way round for rates. More than one: it has become dearer."""
        medians = {int(size): value for size, value in self.medians().items()}
        if len(medians) <= 1:
            return None
        small, large = medians[min(medians)], medians[max(medians)]
        if min(small, large) <= 0:  # memory that something else has given back
            return None
        return small / large if self.more_is_better else large / small


class Results:
    """Everything that the lines say."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = list(lines)

    def of(self, part: str) -> list[Line]:
        """The lines of this part."""
        return [line for line in self._lines if line["part"] == part]

    def last(self, part: str) -> list[Line]:
        """Those of its last session."""
        found = self.of(part)
        return [line for line in found if line["session"] == found[-1]["session"]] if found else []

    def sessions(self) -> Iterator[Line]:
        """Those whose numbers are in the report."""
        used = {line["session"] for part in {line["part"] for line in self._lines} for line in self._counted(part)}
        return (line for line in self.of("session") if line["session"] in used)

    def parts_of(self, session: int) -> list[str]:
        """What was measured in it."""
        names = dict.fromkeys(line["part"] for line in self._lines if line["session"] == session)
        return [name for name in names if name not in ("session", "sizes", "failure")]

    def measured(self, part: str) -> list[Measured]:
        """The rows of a part that compares servers, or sizes."""
        found: dict[str, Measured] = {}
        for line in self._counted(part):
            if "values" in line:
                new = Measured(line["scenario"], line["name"], line["unit"], line["more_is_better"])
                row = found.setdefault(line["name"], new)
                row.values.setdefault(line["server"], []).extend(line["values"])
                row.sessions.add(line["session"])
        return list(found.values())

    def row(self, part: str, name: str) -> Measured | None:
        """The one of this name."""
        return next((one for one in self.measured(part) if one.name == name), None)

    def missing(self, part: str) -> list[str]:
        """What was not measured, and why, each once."""
        lines = (line for line in self._counted(part) if "missing" in line)
        return list(dict.fromkeys(f"{line['server']}, {line['name']}: {line['missing']}" for line in lines))

    def _counted(self, part: str) -> list[Line]:
        """Of each server and scenario those of the last session that has asked for it."""
        lines = self.of(part) if part != "session" else []
        last = {_key(line): line["session"] for line in lines}
        return [line for line in lines if line["session"] == last[_key(line)]]


def _key(line: Line) -> tuple[Any, ...]:
    return line.get("server"), line.get("scenario")
