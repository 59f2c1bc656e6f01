"""The report, made from raw values only, so that it can be made again."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import budget
from bench.compare import record
from bench.compare.charts import chart
from bench.compare.results import Measured, Results
from bench.compare.scenarios import GROWTH, SCENARIOS
from bench.compare.servers import HOW
from bench.compare.targets import verdicts
from bench.idle_streams import rows_of
from bench.report import table

READING = """\
Medians, and in brackets the middle half of all samples of all rounds; in parentheses how many samples there are,
where it is fewer than the most. The ratio is that of Runyard, with the better pool, to the best of the others. A
row gets as many samples as it takes in some seconds, at least three a round, by the same rule for every server;
what takes more than half a minute is measured in one round only. Processor and memory are those of all processes of
a server, engines left out. Memory of one stream would be noise, so there is none; that of a hundred is not far from
it."""
GROWN = """\
Runyard only, with the async pool, on databases with so many runs: the others have no such tables. PostgreSQL does not
wait for the disk here, so compare the columns with each other and not with the tables above. The ratio is that of
the largest to the smallest; where more is better, the other way round: more than 1 is dearer."""


def refuse_to_replace_others(directory: Path) -> None:
    """Raise SystemExit if there is a report that was not made from raw values, or nothing could make it again."""
    if (directory / "report.md").exists() and not (directory / record.NAME).exists():
        raise SystemExit(
            f"{directory} has a report without {record.NAME}: it is not ours to replace; give another --out"
        )


def write(directory: Path) -> None:
    """The report and its charts, from the raw values that are there."""
    results = Results(record.read(directory))
    for old in directory.glob("*.svg"):
        old.unlink()
    for part, scenarios in (("servers", SCENARIOS), ("growth", GROWTH)):
        rows = results.measured(part)
        for scenario in scenarios:
            if found := [row for row in rows if row.scenario == scenario]:
                (directory / _picture(part, scenario)).write_text(chart(found, _columns(rows)))
    (directory / "report.md").write_text("\n\n".join(_sections(results)) + "\n")


def _picture(part: str, scenario: str) -> str:
    return f"{scenario}.svg" if part == "servers" else f"growth-{scenario}.svg"


def _columns(rows: Sequence[Measured]) -> list[str]:
    found = {server for row in rows for server in row.values}
    sizes = sorted((one for one in found if one.isdigit()), key=int)
    return [*(name for name in HOW if name in found), *sizes]


def _sections(results: Results) -> Iterator[str]:
    yield "# Runyard beside the others"
    yield "Made by `make bench` from `raw.jsonl`; what the numbers mean is told beside it, in `notes.md`, if anywhere."
    yield from _sessions(results)
    yield "## Targets"
    yield table([{"target": one.target, "found": one.found, "reached": one.word} for one in verdicts(results)])
    yield from _servers(results)
    yield from _idle(results)
    yield from _growth(results)
    yield from _plans(results)
    yield from _budget(results)
    yield from _missing(results)


def _sessions(results: Results) -> Iterator[str]:
    """When and where; more than one row, if parts were measured at different moments."""
    rows = []
    for session in results.sessions():
        about = {name: session[name] for name in ("processor", "cores", "memory", "system", "load")}
        versions = ", ".join(f"{name} {version}" for name, version in session.get("versions", {}).items())
        rows.append(
            {
                "session": session["session"],
                "at": session["at"],
                "commit": session["commit"] + (", a trial" if session.get("trial") else ""),
                "parts": ", ".join(results.parts_of(session["session"])),
                "machine": "; ".join(f"{name}: {value}" for name, value in about.items()),
                "versions": versions,
            }
        )
    if rows:
        yield table(rows)


def _servers(results: Results) -> Iterator[str]:
    rows = results.measured("servers")
    if not rows:
        return
    columns = _columns(rows)
    yield "## Beside the others"
    yield "\n".join(f"- `{name}`: {HOW[name]}" for name in columns)
    yield READING
    several = len({session for row in rows for session in row.sessions}) > 1
    for scenario, about in SCENARIOS.items():
        if found := [row for row in rows if row.scenario == scenario]:
            yield f"### {about.title}"
            yield table([_compared(row, columns, several=several) for row in found])
            yield f"![{about.title}]({_picture('servers', scenario)})"


def _compared(row: Measured, columns: Sequence[str], *, several: bool) -> dict[str, Any]:
    ratio = row.ratio()
    found = {**_cells(row, columns), "ratio to the best peer": "" if ratio is None else f"{ratio:.2f}"}
    return found | ({"session": ", ".join(map(str, sorted(row.sessions)))} if several else {})


def _cells(row: Measured, columns: Sequence[str]) -> dict[str, Any]:
    most = max(len(values) for values in row.values.values())
    aim = "more is better" if row.more_is_better else "less is better"
    cells = {name: _cell(row.values.get(name, []), most) for name in columns}
    return {"scenario": f"{row.name} ({row.unit}, {aim})", **_named(cells)}


def _named(cells: Mapping[str, str]) -> dict[str, str]:
    return {f"{int(name):,} runs" if name.isdigit() else name: cell for name, cell in cells.items()}


def _cell(values: Sequence[float], most: int) -> str:
    if not values:
        return "-"
    few = f" ({len(values)})" if len(values) < most else ""
    median = f"{statistics.median(values):.4g}"
    if len(values) == 1:
        return median + few
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{median} [{low:.4g}, {high:.4g}]{few}"


def _idle(results: Results) -> Iterator[str]:
    """Each of a run of its own: more than the streams above, which are all of one run."""
    for line in results.last("streams"):
        yield f"## {line['found']['streams']:,} idle streams, each of a run of its own"
        yield "Runyard only, one web process, once; memory is its resident set (`make bench-streams`)."
        yield table(list(rows_of(line["found"])))


def _growth(results: Results) -> Iterator[str]:
    rows = results.measured("growth")
    if not rows:
        return
    columns = _columns(rows)
    yield "## Growth, seen from outside"
    yield GROWN
    actual = {line["size"]: line["runs"] for line in results.of("sizes")}
    if actual:
        yield "Runs in the tables when the last round began: " + ", ".join(
            f"{runs:,}" for _, runs in sorted(actual.items())
        )
    for scenario, about in GROWTH.items():
        found = [row for row in rows if row.scenario == scenario]
        if found:
            yield f"### {about.title}, beside so many runs"
            yield table([{**_cells(row, columns), "ratio": _two(row.growth())} for row in found])
            yield f"![{about.title}]({_picture('growth', scenario)})"


def _two(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def _plans(results: Results) -> Iterator[str]:
    lines = results.last("plans")
    if lines:
        sizes = ", ".join(f"{size:,}" for size in lines[0]["sizes"])
        yield f"## Growth, in the database: {sizes} runs"
        yield "Pages and milliseconds beside so many runs, in this order (`make bench-growth`); Runyard only."
        yield table([line["row"] for line in lines])


def _budget(results: Results) -> Iterator[str]:
    for line in results.last("budget"):
        yield f"## What one run costs: {line['of']}"
        yield from budget.report(line["found"])


def _missing(results: Results) -> Iterator[str]:
    parts = ("servers", "streams", "budget", "growth", "plans")
    found = [one for part in ("servers", "growth") for one in results.missing(part)]
    found += [f"{line['of']}, session {line['session']}: {line['why']}" for line in results.of("failure")]
    found += [f"{part}: nothing of it" for part in parts if not results.of(part)]
    if found:
        yield "## Not measured"
        yield "\n".join(f"- {one}" for one in found)
