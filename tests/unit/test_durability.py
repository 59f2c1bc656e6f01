"""Which writes of a graph must be stored before it goes on."""

from types import SimpleNamespace
from typing import Any

import pytest

from runs.execution.graphs.durability import Durability
from runs.services.graph_checkpoints import GraphTasks

NAMESPACES = pytest.mark.parametrize("namespace", ["", "child:1"])


def make(durability: str | None = None) -> Durability:
    """Of a run that was asked for like this."""
    run: Any = SimpleNamespace(kwargs={} if durability is None else {"durability": durability})
    return Durability(run)


def make_graph(*, chooses: bool = False) -> Any:
    """Whether code of it chooses its first node."""
    return SimpleNamespace(builder=SimpleNamespace(branches={"__start__": {"choose": 1}} if chooses else {}))


def tasks(*upcoming: str) -> GraphTasks:
    """What comes next."""
    return GraphTasks(next=[*upcoming], interrupts={}, tasks=[])


@NAMESPACES
def test_what_a_graph_makes_of_its_input_need_not_be_waited_for(namespace: str) -> None:
    made = make()
    assert not made.of_step(namespace, "input")
    made.note(namespace, make_graph(), tasks("__start__"))
    assert not made.of_step(namespace, "loop")
    made.note(namespace, make_graph(), tasks("node"))
    assert made.of_step(namespace, "loop")


@NAMESPACES
def test_choosing_the_first_node_is_work(namespace: str) -> None:
    made = make()
    made.note(namespace, make_graph(chooses=True), tasks("__start__"))
    assert made.of_step(namespace, "loop")


def test_a_graph_without_a_node_of_its_own_for_the_start_works_at_once() -> None:
    made = make()
    made.note("", make_graph(), tasks("node"))
    assert made.of_step("", "loop")


def test_a_graph_of_which_nothing_is_known_works_at_once() -> None:
    made = make()
    made.note("tool:1", None, None)
    assert made.of_step("tool:1", "loop")


def test_a_graph_that_goes_on_works_at_once() -> None:
    assert make().of_step("", "loop")


def test_the_beginning_of_one_is_not_that_of_another() -> None:
    made = make()
    made.note("child:1", make_graph(), tasks("__start__"))
    assert made.of_step("", "loop")


@pytest.mark.parametrize("source", ["input", "update", "fork"])
def test_what_was_asked_for_is_stored_with_the_request(source: str) -> None:
    assert not make().of_step("", source)


def test_what_fails_must_be_stored_before_its_handler_begins() -> None:
    assert make().of_writes([("log", 1), ("__error_source_node__", "node")])
    assert not make().of_writes([("log", 1)])
    assert not make("async").of_writes([("__error_source_node__", "node")])


@pytest.mark.parametrize("durability", ["async", "exit"])
def test_otherwise_nobody_waits(durability: str) -> None:
    made = make(durability)
    assert not made.of_step("", "loop")
    assert (made.is_exit, made.is_sync) == (durability == "exit", False)
