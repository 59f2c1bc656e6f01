"""From what langgraph.json names to a compiled graph: builders are compiled, factories are called."""

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from typing import Any, Literal, get_type_hints

from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore

from runs.assistants.graphs.loading import GraphNotLoaded, load
from runs.assistants.graphs.project import GraphReference

#: Why a factory is called, in LangGraph's words.
Access = Literal["threads.create_run", "threads.update", "threads.read", "assistants.read"]


@asynccontextmanager
async def open_graph(
    reference: GraphReference,
    *,
    access: Access,
    config: Mapping[str, Any] | None = None,
    context: Any = None,
    store: BaseStore | None = None,
) -> AsyncIterator[Pregel[Any, Any, Any, Any]]:
    """Yield the compiled graph; what a factory opened for it is closed afterwards. Raises GraphNotLoaded."""
    found = load(reference)
    if not is_graph(found) and callable(found):
        runtime = _runtime(access, context, InMemoryStore() if store is None else store)
        found = found(**_arguments(found, dict(config or {"configurable": {}}), runtime))
    async with _entered(found) as made:
        yield compile_graph(made, reference)


@asynccontextmanager
async def _entered(found: Any) -> AsyncIterator[Any]:
    if is_graph(found):
        yield found
    elif isinstance(found, AbstractAsyncContextManager):
        async with found as made:
            yield made
    elif isinstance(found, AbstractContextManager):
        with found as made:
            yield made
    elif inspect.isawaitable(found):
        async with _entered(await found) as made:
            yield made
    else:
        yield found


def is_graph(found: Any) -> bool:
    """Whether it is a graph or a builder, and no factory."""
    return isinstance(found, Pregel) or hasattr(found, "compile")


def compile_graph(made: Any, reference: GraphReference) -> Pregel[Any, Any, Any, Any]:
    """The graph, compiled if need be. Raises GraphNotLoaded if it is none."""
    graph = made.compile() if not isinstance(made, Pregel) and hasattr(made, "compile") else made
    if not isinstance(graph, Pregel):
        raise GraphNotLoaded(
            f"Graph {reference.name!r} ({reference.target} in {reference.project.file}) is a "
            f"{type(graph).__name__}; it must be a graph, or a function that returns one."
        )
    return graph


def _arguments(factory: Callable[..., Any], config: dict[str, Any], runtime: Any) -> dict[str, Any]:
    """What the factory asks for: the config, the runtime, by annotation or by name."""
    parameters = inspect.signature(factory).parameters
    hints = _hints(factory)
    given: dict[str, Any] = {}
    for name, parameter in parameters.items():
        annotation = str(hints.get(name, parameter.annotation))
        if "Runtime" in annotation or name == "runtime":
            given[name] = runtime
        elif "RunnableConfig" in annotation or name == "config" or len(parameters) == 1:
            given[name] = config
        elif parameter.default is inspect.Parameter.empty and parameter.kind not in _VARIADIC:
            raise GraphNotLoaded(f"Factory {factory!r} asks for {name!r}; it may ask for `config` and `runtime`.")
    return given


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _hints(factory: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(inspect.unwrap(factory))
    except Exception:  # an annotation that only a type checker understands
        return {}


def _runtime(access: Access, context: Any, store: BaseStore) -> Any:
    from langgraph_sdk import runtime

    if access == "threads.create_run":
        return runtime._ExecutionRuntime(access_context=access, store=store, context=context)
    return runtime._ReadRuntime(access_context=access, store=store)
