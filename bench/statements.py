"""Which statements PostgreSQL has executed, for whom, and how long they took: read from its log.

The embedded server has no pg_stat_statements. With `log_min_duration_statement = 0` its log says the same, and which
process has asked: each names itself (PGAPPNAME).
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

#: Of every entry: the name under which the process has connected.
_PREFIX = "<%a> "
_ENTRY = re.compile(r"^<(?P<who>[^>]*)> LOG:  duration: (?P<ms>[\d.]+) ms  (?P<how>\w+)[^:]*: (?P<sql>.*)", re.DOTALL)
_LITERALS = (
    (re.compile(r"'(?:[^']|'')*'(?:::\w+(?: with time zone)?(?:\[\])?)?"), "?"),
    (re.compile(r"\$\d+"), "?"),
    (re.compile(r"\b\d+(?:\.\d+)?\b"), "?"),
    (re.compile(r"\bs[\da-f]+_x\d+\b"), "s?"),  # Django's savepoints
    (re.compile(r"\(\?(?:, \?)+\)"), "(?)"),
)
_COLUMNS = re.compile(r"\b(SELECT|RETURNING) (\w+\.\w+(?:, \w+\.\w+){3,})(?=,| |$)")
_INSERTED = re.compile(r"(INSERT INTO \w+) \(([^)]+)\)")


@dataclass
class Statement:
    """All executions of one statement, whatever its values."""

    who: str
    sql: str
    calls: int = 0
    milliseconds: float = 0.0


@contextmanager
def logged(url: str) -> Iterator[None]:
    """In this block every statement of every session is logged."""
    chosen = {
        "log_min_duration_statement": "0",
        "log_line_prefix": _PREFIX,
        "log_parameter_max_length": "0",
    }
    with psycopg.connect(url, autocommit=True) as connection:
        try:
            for name, value in chosen.items():
                connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
            connection.execute("SELECT pg_reload_conf()")
            yield
        finally:
            connection.execute("ALTER SYSTEM RESET ALL")
            connection.execute("SELECT pg_reload_conf()")


def read(log: Path, offset: int) -> list[Statement]:
    """What has been logged since the log had this size; by process and by time."""
    found: dict[tuple[str, str], Statement] = {}
    with log.open(errors="replace") as lines:
        lines.seek(offset)
        for entry in _entries(lines):
            if (parts := _ENTRY.match(entry)) is not None:
                key = (parts["who"], normalised(parts["sql"]))
                statement = found.setdefault(key, Statement(*key))
                statement.milliseconds += float(parts["ms"])
                statement.calls += parts["how"] in ("statement", "execute")
    return sorted(found.values(), key=lambda one: (one.who, -one.milliseconds))


def _entries(lines: Any) -> Iterator[str]:
    """An entry goes on as long as its lines begin with a tab."""
    entry = ""
    for line in lines:
        if line.startswith("\t"):
            entry += line
            continue
        yield entry
        entry = line
    yield entry


def normalised(sql: str) -> str:
    """The statement without its values, and without the names of columns where they are many."""
    sql = " ".join(sql.replace('"', "").split()) or "(empty: is the session alive?)"
    for pattern, instead in _LITERALS:
        sql = pattern.sub(instead, sql)
    sql = _COLUMNS.sub(lambda found: f"{found[1]} ({found[2].count(',') + 1} columns)", sql)
    return _INSERTED.sub(lambda found: f"{found[1]} ({found[2].count(',') + 1} columns)", sql)
