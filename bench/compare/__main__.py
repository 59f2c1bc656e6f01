"""Runyard and its peers, on the same graphs, by the same client, in turns: A B C, A B C, A B C."""

import argparse
import asyncio
import sys
from pathlib import Path

import aiohttp

from bench.compare.load import Refused, client
from bench.compare.report import Measured, chart, markdown
from bench.compare.scenarios import SCENARIOS, Row, Scale
from bench.compare.servers import SERVERS, Server
from bench.environments import AEGRA, LANGGRAPH
from bench.stack import allow_files
from runs import __version__

VERSIONS = {
    "runyard": __version__,
    "runyard-async": __version__,
    "langgraph": LANGGRAPH[-1],
    "aegra": AEGRA[0],
    "aegra-workers": AEGRA[0],
}
TRIAL = Scale(samples=5, clients=(16,), waiting=(16,), queued=20, idle=(50,), flood_seconds=4.0)
FILES = 8192


class Campaign:
    """What has been measured so far."""

    def __init__(self, scenarios: list[str], scale: Scale) -> None:
        self._scenarios, self._scale = scenarios, scale
        self.measured: dict[str, Measured] = {}
        self.failures: list[str] = []

    def round(self, name: str) -> None:
        """Start the server, measure every scenario once, and stop it."""
        with SERVERS[name]() as server:
            for scenario in self._scenarios:
                print(f"{name}: {scenario}", file=sys.stderr)
                asyncio.run(self._measure(name, server, scenario))

    async def _measure(self, name: str, server: Server, scenario: str) -> None:
        """One that a server cannot do is told of in the report; the others are measured all the same."""
        try:
            async with client(server.url, server.headers) as load:
                async for row in SCENARIOS[scenario](load, server, self._scale):
                    self._add(name, row)
        except* (Refused, aiohttp.ClientError, TimeoutError) as group:
            for error in group.exceptions:
                self.failures.append(f"{name}, {scenario}: {type(error).__name__}: {str(error)[:300]}")
                print(self.failures[-1], file=sys.stderr)

    def _add(self, name: str, row: Row) -> None:
        measured = self.measured.setdefault(row.name, Measured(row.name, row.unit, row.more_is_better))
        measured.add(name, row)


def main() -> None:
    """Measure and report."""
    given = _arguments()
    allow_files(FILES)
    campaign = Campaign(given.scenarios, TRIAL if given.trial else Scale())
    for _ in range(given.rounds):
        for name in given.servers:
            campaign.round(name)
    measured = list(campaign.measured.values())
    report = markdown(measured, {name: VERSIONS[name] for name in given.servers}, campaign.failures)
    print(report)
    if given.out:
        _write(given.out, report, measured)


def _write(directory: Path, report: str, measured: list[Measured]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "report.md").write_text(report)
    for number, one in enumerate(measured):
        (directory / f"{number:02}.svg").write_text(chart(one))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument("--servers", nargs="+", choices=list(SERVERS), default=list(SERVERS))
    parser.add_argument("--scenarios", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trial", action="store_true", help="a little of everything, to see that it works")
    parser.add_argument("--out", type=Path, help="a directory for the report and its charts")
    return parser.parse_args()


if __name__ == "__main__":
    main()
