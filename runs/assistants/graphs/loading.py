"""Importing a graph's code, once in a process; what is wrong with one graph does not keep the others from loading."""

import hashlib
import os
import sys
from functools import cache
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from runs.assistants.graphs.project import EXTRA, GraphProject, GraphReference, langgraph_is_installed


class GraphNotLoaded(ImproperlyConfigured):
    """A graph that langgraph.json names cannot be used; the message names the file and the fix."""


@cache
def load(reference: GraphReference) -> Any:
    """Return what the target names: a compiled graph, a builder, or a factory of either.

    Raises GraphNotLoaded.
    """
    require_langgraph(reference.name)
    prepare(reference.project)
    place, _, attribute = reference.target.rpartition(":")
    try:
        module = _import_file(reference, place) if _is_file(place) else import_module(place)
    except GraphNotLoaded:
        raise
    except ModuleNotFoundError as error:
        raise GraphNotLoaded(
            f"{_where(reference)}: {error}. Install it where the workers run, or add its directory to "
            f'"dependencies" in {reference.project.file}.'
        ) from error
    except Exception as error:  # whatever the module does when it is imported
        raise GraphNotLoaded(f"{_where(reference)}: importing it raised {type(error).__name__}: {error}") from error
    if not hasattr(module, attribute):
        raise GraphNotLoaded(f"{_where(reference)}: it has no attribute {attribute!r}.")
    return getattr(module, attribute)


def require_langgraph(name: str) -> None:
    """Raise GraphNotLoaded if graphs cannot be executed here."""
    if not langgraph_is_installed():
        raise GraphNotLoaded(f"Graph {name!r} needs LangGraph, which is not installed: pip install -r {EXTRA}")


@cache
def prepare(project: GraphProject) -> None:
    """Make the project's code importable and set its variables; those of the real environment win."""
    for path in reversed(project.paths):
        if str(path) not in sys.path:
            sys.path.insert(0, str(path))
    if isinstance(project.env, Path):
        environ.Env.read_env(str(project.env), overwrite=False)
    for name, value in (project.env if isinstance(project.env, dict) else {}).items():
        os.environ.setdefault(name, value)


def _is_file(place: str) -> bool:
    return place.endswith(".py") or "/" in place


def _import_file(reference: GraphReference, place: str) -> ModuleType:
    file = (reference.project.directory / place).resolve()
    if not file.is_file():
        raise GraphNotLoaded(f"{_where(reference)}: there is no such file. Paths are relative to the langgraph.json.")
    if (dotted := _dotted_name(reference.project, file)) is not None:
        return import_module(dotted)
    name = f"runyard_graph_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise GraphNotLoaded(f"{_where(reference)}: it is not a Python file.")
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _dotted_name(project: GraphProject, file: Path) -> str | None:
    """A file inside a package is imported by its own name: so it has relative imports, and one identity."""
    if not (file.parent / "__init__.py").is_file():
        return None
    for root in project.paths:
        if file.is_relative_to(root) and not (root / "__init__.py").is_file():
            parts = file.relative_to(root).with_suffix("").parts
            packages = [root.joinpath(*parts[:depth]) for depth in range(1, len(parts))]
            if all(part.isidentifier() for part in parts) and all((one / "__init__.py").is_file() for one in packages):
                return ".".join(parts)
    return None


def _where(reference: GraphReference) -> str:
    return f"Graph {reference.name!r} ({reference.target} in {reference.project.file}) cannot be loaded"
