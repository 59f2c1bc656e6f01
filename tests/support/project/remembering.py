"""Graphs with a memory across threads."""

from typing import Any

from busy import Log, _present, _wait
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_store
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from langgraph_sdk.runtime import ServerRuntime


def remember(state: Log, runtime: Runtime[Any]) -> dict[str, Any]:
    """Counts, for whoever is named."""
    place, store = ("counts", state["tag"]), runtime.store
    assert store is not None
    assert store is get_store()
    found = store.get(place, "n")
    number = 1 + (found.value["number"] if found else 0)
    store.put(place, "n", {"number": number})
    return {"log": [f"{number} of {len(store.search(place))}"]}


async def aremember(state: Log, *, store: BaseStore) -> dict[str, Any]:
    """The same in an event loop, the older way to be given a store."""
    place = ("counts", state["tag"])
    found = await store.aget(place, "n")
    number = 1 + (found.value["number"] if found else 0)
    await store.aput(place, "n", {"number": number})
    names = await store.alist_namespaces(prefix=place)
    return {"log": [f"{number} of {len(names)}"]}


#: Its own store is replaced.
remembering = StateGraph(Log).add_node("remember", remember).add_edge(START, "remember").compile(store=InMemoryStore())
remembering_async = StateGraph(Log).add_node("remember", aremember).add_edge(START, "remember").compile()


async def factory(runtime: ServerRuntime[Any]) -> Any:
    """Reads the store while the graph is made."""
    found = await runtime.store.aget(("counts", "factory"), "n")
    seen = found.value["number"] if found else 0
    return StateGraph(Log).add_node("say", lambda state: {"log": [str(seen)]}).add_edge(START, "say").compile()


def cling(state: Log, config: RunnableConfig, runtime: Runtime[Any]) -> dict[str, Any]:
    """Stores something before it waits, and something else when it is interrupted."""
    store, place = runtime.store, ("clinging", state["tag"])
    assert store is not None
    store.put(place, "before", {})
    with _present(config, "work") as run:
        try:
            _wait(run, run)
        except BaseException:
            store.put(place, "after", {})
            raise
    return {}


persisting = StateGraph(Log).add_node("work", cling).add_edge(START, "work").compile()
