"""langgraph.json: which graphs there are and what they need. Reading it imports no graph and no LangGraph."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from runs.conf import runs_settings

ENVIRONMENT_VARIABLE = "RUNYARD_CONFIG"
#: What a server needs to execute graphs; the project itself may need more.
EXTRA = "requirements-langgraph.txt"


@dataclass(frozen=True)
class GraphReference:
    """A graph as langgraph.json names it: `target` is "./file.py:attribute" or "package.module:attribute"."""

    name: str
    target: str
    description: str
    project: "GraphProject" = field(repr=False)


@dataclass(frozen=True)
class GraphProject:
    """A langgraph.json. Paths in it are relative to its directory."""

    file: Path
    graphs: Mapping[str, GraphReference] = field(default_factory=dict, compare=False, repr=False)
    #: Directories for sys.path, in order.
    paths: tuple[Path, ...] = ()
    #: A file of NAME=value lines, or the variables themselves.
    env: Path | Mapping[str, str] | None = field(default=None, compare=False)
    #: How long what graphs store is kept, in LangGraph's words; empty: for ever.
    store_ttl: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def directory(self) -> Path:
        """Where the file is."""
        return self.file.parent


def configured_project() -> GraphProject | None:
    """Return the project that RUNYARD_CONFIG or RUNS["LANGGRAPH_CONFIG"] names, or None if neither does.

    Raises ImproperlyConfigured that names the file and what is wrong in it.
    """
    path = os.environ.get(ENVIRONMENT_VARIABLE) or runs_settings().LANGGRAPH_CONFIG
    return read_project(Path(path).expanduser().resolve()) if path else None


def langgraph_is_installed() -> bool:
    """Whether graphs can be executed here."""
    try:
        return find_spec("langgraph.graph") is not None and find_spec("langgraph.checkpoint.postgres") is not None
    except (ModuleNotFoundError, ValueError):
        return False


@lru_cache(maxsize=8)
def read_project(file: Path) -> GraphProject:
    """Parse a langgraph.json. Raises ImproperlyConfigured that names the file and what is wrong in it."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ImproperlyConfigured(f"{file} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ImproperlyConfigured(f"{file} is not JSON: {error}") from error
    graphs = content.get("graphs") if isinstance(content, dict) else None
    if not isinstance(graphs, dict) or not graphs:
        raise ImproperlyConfigured(f'{file} has no graphs. Add "graphs": {{"agent": "./agent.py:graph"}}.')
    project = GraphProject(
        file=file, paths=_paths(file, content), env=_env(file, content), store_ttl=_store_ttl(file, content)
    )
    references = {name: _reference(name, found, project) for name, found in graphs.items()}
    object.__setattr__(project, "graphs", references)
    return project


def _reference(name: str, found: Any, project: GraphProject) -> GraphReference:
    described = found if isinstance(found, dict) else {"path": found}
    target, description = described.get("path"), described.get("description") or ""
    if not isinstance(target, str) or not all(target.rpartition(":")[::2]):
        raise ImproperlyConfigured(
            f'{project.file}: graph {name!r} is {target!r}; it must be "./file.py:attribute" or '
            '"package.module:attribute".'
        )
    if target.split(":")[0].endswith((".js", ".ts", ".mjs", ".mts", ".tsx")):
        raise ImproperlyConfigured(f"{project.file}: graph {name!r} is JavaScript; only Python graphs run here.")
    return GraphReference(name, target, str(description), project)


def _paths(file: Path, content: Mapping[str, Any]) -> tuple[Path, ...]:
    """Local dependencies; those that are packages must be installed where the workers are."""
    dependencies = content.get("dependencies", ["."])
    if not isinstance(dependencies, list) or not all(isinstance(one, str) for one in dependencies):
        raise ImproperlyConfigured(f"{file}: dependencies must be a list of paths and package names.")
    local = [(file.parent / one).resolve() for one in dependencies if one.startswith((".", "/"))]
    if missing := [path for path in local if not path.is_dir()]:
        raise ImproperlyConfigured(f"{file}: dependency {missing[0]} is not a directory.")
    return tuple(dict.fromkeys([*local, *(path / "src" for path in local if (path / "src").is_dir()), file.parent]))


def _env(file: Path, content: Mapping[str, Any]) -> Path | Mapping[str, str] | None:
    env = content.get("env")
    if not env:
        return None
    if isinstance(env, dict):
        return {str(name): str(value) for name, value in env.items()}
    if isinstance(env, str) and (file.parent / env).is_file():
        return (file.parent / env).resolve()
    raise ImproperlyConfigured(f"{file}: env is {env!r}; it must be the path of an existing file, or an object.")


def _store_ttl(file: Path, content: Mapping[str, Any]) -> Mapping[str, Any]:
    """What else a store may be is refused: a search that does not search by meaning would answer something else."""
    store = content.get("store") or {}
    if not isinstance(store, dict) or (unknown := sorted(set(store) - {"ttl"})):
        what = f"store.{unknown[0]}" if isinstance(store, dict) else "store"
        raise ImproperlyConfigured(
            f"{file}: {what} is not supported: graphs get a store in PostgreSQL without an index. Remove it."
        )
    ttl = store.get("ttl") or {}
    known = {"default_ttl": int | float, "refresh_on_read": bool, "sweep_interval_minutes": int | float}
    wrong = not isinstance(ttl, dict) or any(not isinstance(ttl[one], known.get(one, ())) for one in ttl)
    if wrong:
        raise ImproperlyConfigured(f"{file}: store.ttl is {ttl!r}; it may have {', '.join(known)}.")
    return {name: value for name, value in ttl.items() if name != "sweep_interval_minutes"}
