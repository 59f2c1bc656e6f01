"""Which assistants there are, and what is said about a registration that is wrong."""

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from uuid import UUID

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from runs.assistants import registry
from runs.errors import UnknownAssistant

ECHO = "tests.support.factories:echo"


@pytest.fixture(autouse=True)
def fresh_registry() -> Iterator[None]:
    """Each test registers its own."""
    registry.forget()
    yield
    registry.forget()


def register(settings: Settings, **paths: str) -> None:
    """Register these, and nothing else."""
    settings.RUNS = {**settings.RUNS, "ASSISTANTS": paths}


def test_an_assistant_is_found_by_name_and_by_id(settings: Settings) -> None:
    register(settings, mirror=ECHO)
    found = registry.get("mirror")
    assert (found.name, found.description) == ("mirror", "Return what came in.")
    assert registry.get(str(registry.assistant_id("mirror")).upper()) is found


def test_the_id_is_the_one_langgraph_gives_to_a_graph_of_that_name() -> None:
    assert registry.assistant_id("agent") == UUID("fe096781-5601-53d2-b2f6-0d3403f7e9ca")


def test_an_unknown_assistant_is_named_with_those_there_are(settings: Settings) -> None:
    register(settings, b=ECHO, a=ECHO)
    with pytest.raises(UnknownAssistant) as refused:
        registry.get("c")
    assert refused.value.message == (
        "Invalid assistant: 'c'. Must be the id or the name of a registered assistant: a, b."
    )


def test_a_plain_function_is_an_assistant_without_options(settings: Settings) -> None:
    register(settings, plain="tests.support.factories:make_actor")
    found = registry.get("plain")
    assert (found.resumable, found.timeout_seconds) == (False, None)


def test_options_are_those_of_the_decorator(settings: Settings) -> None:
    register(settings, a="tests.support.factories:resumable", b="tests.support.factories:hasty")
    assert (registry.get("a").resumable, registry.get("b").timeout_seconds) == (True, 7)


def test_settings_win_over_the_environment_and_the_environment_over_packages(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    resumable = "tests.support.factories:resumable"
    packaged = [EntryPoint(name, resumable, registry.ENTRY_POINT_GROUP) for name in ("a", "b", "c")]
    monkeypatch.setattr(registry, "entry_points", lambda group: packaged)
    monkeypatch.setenv(registry.ENVIRONMENT_VARIABLE, f" a={ECHO} , b = {ECHO},")
    register(settings, a="tests.support.factories:hasty")
    options = {name: (found.resumable, found.timeout_seconds) for name, found in registry.registered().items()}
    assert options == {"a": (False, 7), "b": (False, None), "c": (True, None)}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no.such.module:x", "cannot be imported"),
        ("tests.support.factories:nothing", "cannot be imported"),
        ("tests.support.factories", "cannot be imported"),
        ("tests.support.factories:ASSISTANTS", "is a dict, not something to call"),
    ],
)
def test_a_wrong_registration_is_named(settings: Settings, path: str, message: str) -> None:
    register(settings, broken=path)
    with pytest.raises(ImproperlyConfigured, match=rf"Assistant 'broken' \({path}\).*{message}"):
        registry.registered()


def test_a_wrong_environment_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(registry.ENVIRONMENT_VARIABLE, ECHO)
    with pytest.raises(ImproperlyConfigured, match=r"RUNYARD_ASSISTANTS: .*name=module:attribute"):
        registry.registered()
