"""Nothing of the official Python client was forgotten: each method is used by a test or known to be refused."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import client, errors

HERE = Path(__file__).parent
#: The modules whose tests drive both clients.
TESTS = [HERE / f"test_python_{name}.py" for name in ("runs", "streams", "restarts")]
REFUSALS = HERE / "test_python_refusals.py"
#: Resource -> its classes, the asynchronous and the synchronous one.
RESOURCES: dict[str, tuple[type[Any], type[Any]]] = {
    "runs": (client.RunsClient, client.SyncRunsClient),
    "threads": (client.ThreadsClient, client.SyncThreadsClient),
    "assistants": (client.AssistantsClient, client.SyncAssistantsClient),
}
#: What speaks a protocol that is not spoken here.
REFUSED = {"threads.stream"}


def methods(kind: type[Any]) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


def all_methods() -> set[str]:
    return {f"{resource}.{name}" for resource, kinds in RESOURCES.items() for kind in kinds for name in methods(kind)}


def functions_in(module: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node


def uses(test: ast.FunctionDef) -> set[str]:
    """The methods that this test calls: `sdk.runs.create(...)` is "runs.create"."""
    found = [
        node.func for node in ast.walk(test) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    return {ast.unparse(one).removeprefix("sdk.") for one in found if ast.unparse(one).startswith("sdk.")}


def shown_by() -> dict[str, list[str]]:
    """Method -> the tests that use it."""
    shown: dict[str, list[str]] = {}
    for module in TESTS:
        for test in functions_in(module):
            for method in uses(test):
                shown.setdefault(method, []).append(test.name)
    return shown


@pytest.mark.parametrize("resource", RESOURCES)
def test_both_clients_have_the_same_methods(resource: str) -> None:
    asynchronous, synchronous = RESOURCES[resource]

    assert methods(asynchronous) == methods(synchronous)


@pytest.mark.parametrize("method", sorted(all_methods()))
def test_each_method_is_used_by_a_test_or_refused(method: str) -> None:
    used = shown_by().get(method, [])

    assert bool(used) != (method in REFUSED), f"used by {used}"


def test_what_is_said_to_be_refused_exists() -> None:
    assert REFUSED - all_methods() == set()


def test_each_class_of_error_is_raised_by_a_test() -> None:
    """But one: nothing is limited in its rate here, so nothing answers 429."""
    kinds = {
        name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, errors.APIStatusError)
    }
    source = ast.parse(REFUSALS.read_text())
    raised = {
        node.attr
        for node in ast.walk(source)
        if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("errors.")
    }

    assert kinds - raised == {"RateLimitError"}
