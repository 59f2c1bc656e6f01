"""Numbers for people and for programs."""

import json
import platform
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

Row = Mapping[str, Any]


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """p50 and p95 in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {"p50_ms": round(cuts[49] * 1000, 1), "p95_ms": round(cuts[94] * 1000, 1)}


def show(rows: Sequence[Row], *, as_json: bool, **about: Any) -> None:
    """Print the rows as a table in Markdown, or everything as JSON."""
    about = {**about, **machine()}
    if as_json:
        print(json.dumps({**about, "rows": rows}, indent=2))
        return
    print("; ".join(f"{name}: {value}" for name, value in about.items()) + "\n")
    print(table(rows))


def table(rows: Sequence[Row]) -> str:
    """The rows as a table in Markdown; their keys are its head."""
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([str(row[name]) for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def hardware() -> dict[str, Any]:
    """What the machine is."""
    memory = f"{psutil.virtual_memory().total / 2**30:.0f} GiB"
    return {"processor": _processor(), "memory": memory, "system": f"{platform.system()} {platform.release()}"}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def machine() -> dict[str, Any]:
    """Where and when this was measured, and how busy the machine was with everything on it."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cores": psutil.cpu_count(),
        "load": round(psutil.getloadavg()[0], 1),
        "python": platform.python_version(),
    }
