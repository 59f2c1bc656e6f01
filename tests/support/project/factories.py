"""Graphs that are made anew for each use, in every way in which that can be done."""

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

from graphs import Log
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph_sdk.runtime import ServerRuntime

OPENED: list[str] = []


def _says(what: str) -> Any:
    return StateGraph(Log).add_node("say", lambda state: {"log": [what]}).add_edge(START, "say")


def sync_factory(config: RunnableConfig) -> Any:
    """With the config; returns a builder."""
    return _says(f"sync {config['configurable'].get('name', '')}")


async def async_factory() -> Any:
    """Without arguments."""
    return _says("async").compile()


@contextlib.asynccontextmanager
async def managed_factory(config: RunnableConfig) -> AsyncIterator[Any]:
    """Opens something, and closes it afterwards."""
    OPENED.append("open")
    yield _says("managed").compile()
    OPENED.append("closed")


@contextlib.contextmanager
def plainly_managed_factory() -> Iterator[Any]:
    """The same without an event loop."""
    OPENED.append("open")
    yield _says("plainly managed")
    OPENED.append("closed")


def runtime_factory(runtime: ServerRuntime[Any]) -> Any:
    """Knows why it is called."""
    return _says(f"{runtime.access_context} {os.environ['RUNYARD_TEST_PROJECT']}").compile()
