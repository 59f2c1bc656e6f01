"""Which assistants there are: from settings, the environment, a LangGraph project, installed packages."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from uuid import UUID, uuid5

from django.core.exceptions import ImproperlyConfigured

from runs.assistants.definition import Assistant, graph_assistant
from runs.assistants.graphs import configured_project
from runs.conf import runs_settings
from runs.errors import UnknownAssistant

ENVIRONMENT_VARIABLE = "RUNYARD_ASSISTANTS"
ENTRY_POINT_GROUP = "runyard.assistants"
#: LangGraph derives the id of a graph's own assistant from the graph's name in this namespace.
NAMESPACE = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")


def get(name_or_id: str) -> Assistant:
    """Return the assistant with this name or id, or raise UnknownAssistant naming those there are."""
    found = registered().get(name_or_id) or _by_id().get(name_or_id.lower())
    if found is None:
        known = ", ".join(sorted(registered())) or "none"
        raise UnknownAssistant(
            f"Invalid assistant: {name_or_id!r}. Must be the id or the name of a registered assistant: {known}."
        )
    return found


def assistant_id(name: str) -> UUID:
    """Return the id under which clients know the assistant: the same on every server."""
    return uuid5(NAMESPACE, name)


@lru_cache(maxsize=1)
def registered() -> Mapping[str, Assistant]:
    """Return every assistant by name.

    Settings win over the environment, the environment over a LangGraph project, all over installed packages.
    """
    packages = {name: load(name, path) for name, path in _from_packages()}
    paths = {**dict(_from_environment()), **runs_settings().ASSISTANTS}
    return {**packages, **dict(_from_project()), **{name: load(name, path) for name, path in paths.items()}}


@lru_cache(maxsize=1)
def _by_id() -> Mapping[str, Assistant]:
    return {str(assistant_id(name)): found for name, found in registered().items()}


def forget() -> None:
    """Read the registrations again at the next use."""
    registered.cache_clear()
    _by_id.cache_clear()


def load(name: str, path: str) -> Assistant:
    """Import "package.module:attribute"; a plain function is an assistant without options.

    Raises ImproperlyConfigured that says which registration is wrong and how.
    """
    module_name, _, attribute = path.partition(":")
    try:
        found = getattr(import_module(module_name), attribute)
    except Exception as error:  # whatever the module does when it is imported
        raise ImproperlyConfigured(f"Assistant {name!r} ({path}) cannot be imported: {error}") from error
    if isinstance(found, Assistant):
        return replace(found, name=name)
    if callable(found):
        return Assistant(name=name, function=found, description=(found.__doc__ or "").strip())
    raise ImproperlyConfigured(f"Assistant {name!r} ({path}) is a {type(found).__name__}, not something to call.")


def _from_environment() -> Iterator[tuple[str, str]]:
    for registration in filter(None, map(str.strip, os.environ.get(ENVIRONMENT_VARIABLE, "").split(","))):
        name, separator, path = registration.partition("=")
        if not separator:
            raise ImproperlyConfigured(f'{ENVIRONMENT_VARIABLE}: {registration!r} is not "name=module:attribute".')
        yield name.strip(), path.strip()


def _from_project() -> Iterator[tuple[str, Assistant]]:
    """Graphs by name; nothing of the project is imported."""
    if (project := configured_project()) is not None:
        for name, reference in project.graphs.items():
            yield name, graph_assistant(reference)


def _from_packages() -> Iterator[tuple[str, str]]:
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        yield entry.name, entry.value
