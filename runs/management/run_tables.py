"""Runs as people and programs read them on a terminal."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from runs.models import Run, RunEvent
from runs.states import RunStatus

COLOURS = {
    RunStatus.PENDING: "yellow",
    RunStatus.RUNNING: "cyan",
    RunStatus.SUCCESS: "green",
    RunStatus.ERROR: "red",
    RunStatus.TIMEOUT: "magenta",
    RunStatus.INTERRUPTED: "bright_black",
}
#: Of a table that goes into a pipe.
WIDTH = 240
_COLUMNS = ("run", "status", "assistant", "thread", "strategy", "owner", "attempt", "created", "reason")


def run_row(run: Run) -> dict[str, Any]:
    """One run, as JSON can say it; nothing of its input or state."""
    return {
        "run": str(run.pk),
        "status": run.status,
        "stopping": run.is_stopping,
        "assistant": run.assistant,
        "thread": str(run.thread_id),
        "strategy": run.multitask_strategy,
        "owner": run.owner.get_username(),
        "attempt": run.attempt,
        "worker": _text(run.worker_id),
        "created": _time(run.created_at),
        "started": _time(run.started_at),
        "finished": _time(run.finished_at),
        "cancelled_by": run.cancelled_by or None,
        "retry_of": _text(run.retry_of_id),
        "reason": run.reason,
        "error": run.error,
    }


def event_row(event: RunEvent) -> dict[str, Any]:
    """One transition."""
    return {
        "at": _time(event.at),
        "from": event.from_status,
        "to": event.to_status,
        "attempt": event.attempt,
        "actor": event.actor,
        "reason": event.reason,
    }


class Output:
    """Tables and colours on a terminal; with `as_json` one JSON object a line."""

    def __init__(self, stream: TextIO, *, as_json: bool) -> None:
        self._stream, self.as_json = stream, as_json
        self.console = Console(file=stream, highlight=False, width=None if stream.isatty() else WIDTH)

    def runs(self, runs: Iterable[Run]) -> None:
        """A list of runs."""
        self.table([run_row(run) for run in runs], _COLUMNS, "no runs match")

    def run(self, run: Run, events: Iterable[RunEvent]) -> None:
        """One run with its history."""
        row, history = run_row(run), [event_row(event) for event in events]
        if self.as_json:
            self.line({**row, "events": history})
            return
        error = row.pop("error")
        for name, value in row.items():
            if value not in (None, "", False):
                self.console.print(Text(f"{name:<13}").append(_cell(name, value)))
        self.table(history, ("at", "from", "to", "attempt", "actor", "reason"), "no events")
        if error:
            self.console.print(Text(f"\n{error.get('type')}: {error.get('message')}", style="red"))
            self.console.print(Text(error.get("traceback") or "", style="bright_black"))

    def event(self, event: RunEvent) -> None:
        """One transition, as it happens."""
        row = event_row(event)
        if self.as_json:
            self.line(row)
            return
        said = f"{row['at']}  {row['from'] or 'new'} -> ", f"  by {row['actor']}: {row['reason']}"
        self.console.print(Text(said[0]).append(_cell("to", row["to"])).append(said[1]))

    def line(self, row: dict[str, Any]) -> None:
        """One object of JSON."""
        self._stream.write(json.dumps(row, default=str) + "\n")
        self._stream.flush()

    def say(self, text: str) -> None:
        """A sentence, for people only."""
        if not self.as_json:
            self.console.print(Text(text))

    def table(self, rows: list[dict[str, Any]], columns: tuple[str, ...], nothing: str) -> None:
        """Rows of any kind; of those that people read, these columns, or the sentence that there are none."""
        if self.as_json:
            for row in rows:
                self.line(row)
            return
        if not rows:
            self.console.print(nothing)
            return
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in columns:
            table.add_column(name, no_wrap=name in ("run", "worker", "status", "at"), overflow="fold")
        for row in rows:
            table.add_row(*(_cell(name, row[name]) for name in columns))
        self.console.print(table)


def _cell(name: str, value: Any) -> Text:
    """Never markup: what a user has named is shown as it is, without control characters."""
    text = "" if value is None else "".join(each if each.isprintable() else " " for each in str(value))
    return Text(text, style=COLOURS.get(value, "") if name in ("status", "to", "from") else "")


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
