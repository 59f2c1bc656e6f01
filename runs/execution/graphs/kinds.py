"""Whether a graph can be executed without an event loop.

Where it can, its nodes are executed by the main thread, where a signal reaches even what blocks. LangGraph's own server
executes every graph in an event loop: so does this one, unless all of the graph is plain functions.
"""

from functools import partial
from inspect import iscoroutinefunction
from typing import Any

from langgraph._internal._runnable import RunnableCallable, RunnableSeq
from langgraph.pregel import Pregel


def needs_event_loop(graph: Any) -> bool:
    """Whether any node, branch or subgraph is, or may be, asynchronous."""
    if not isinstance(graph, Pregel):
        return True
    nodes = any(not _is_plain(node.bound) for name, node in graph.nodes.items())
    return nodes or any(_is_async_branch(branch) for branch in _branches(graph))


def _is_plain(bound: Any) -> bool:
    if isinstance(bound, Pregel):
        return not needs_event_loop(bound)
    if isinstance(bound, RunnableSeq):
        return all(_is_plain(step) for step in bound.steps)
    if not isinstance(bound, RunnableCallable) or bound.func is None:
        return type(bound).__name__ == "RunnablePassthrough"
    afunc = bound.afunc
    return afunc is None or isinstance(getattr(afunc, "func", None), partial) or _runs_in_executor(afunc)


def _runs_in_executor(afunc: Any) -> bool:
    """LangGraph gives a plain function an asynchronous side that executes it in a thread."""
    made = afunc.args[:1] if isinstance(afunc, partial) else ()
    return made == (None,) and getattr(afunc.func, "__name__", "") == "run_in_executor"


def _branches(graph: Any) -> Any:
    builder = getattr(graph, "builder", None)
    for of_node in getattr(builder, "branches", {}).values():
        yield from of_node.values()


def _is_async_branch(branch: Any) -> bool:
    path = branch.path
    return getattr(path, "func", None) is None or iscoroutinefunction(path.func)
