"""The decorator that makes a function an assistant."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, overload

from runs.assistants.graphs import GraphReference

AssistantFunction = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Assistant:
    """A callable that runs execute, with what the server must know about it.

    `resumable`: a later attempt continues from the thread's head instead of starting over from the run's base.
    `timeout_seconds`: how long one attempt may take; None: as long as the server allows.
    `sample`: an input to try it with; the playground offers it.
    `graph`: it is a graph of a LangGraph project, which only workers import; its `function` is never called then.
    """

    name: str
    function: AssistantFunction
    description: str = ""
    resumable: bool = False
    timeout_seconds: float | None = None
    sample: Any = None
    graph: GraphReference | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, as a unit test of it would."""
        return self.function(*args, **kwargs)


def graph_assistant(reference: GraphReference) -> Assistant:
    """The assistant that a graph is; it always resumes where its last attempt was lost."""
    return Assistant(
        name=reference.name,
        function=_only_workers,
        description=reference.description,
        resumable=True,
        graph=reference,
    )


def _only_workers(*_: Any) -> Any:
    raise TypeError("A graph is executed by a worker; to test it, invoke the graph itself.")


@overload
def assistant(function: AssistantFunction, /) -> Assistant: ...
@overload
def assistant(
    *, resumable: bool = False, timeout_seconds: float | None = None, sample: Any = None
) -> Callable[[AssistantFunction], Assistant]: ...
def assistant(
    function: AssistantFunction | None = None,
    /,
    *,
    resumable: bool = False,
    timeout_seconds: float | None = None,
    sample: Any = None,
) -> Assistant | Callable[[AssistantFunction], Assistant]:
    """Make a function of (run: RunContext, input) an assistant; see Assistant for the options.

    Raises ValueError if `timeout_seconds` is no finite time greater than 0.
    """
    if timeout_seconds is not None and not 0 < timeout_seconds < math.inf:
        raise ValueError(f"timeout_seconds must be greater than 0 and finite, not {timeout_seconds}")

    def define(function: AssistantFunction) -> Assistant:
        return Assistant(
            name=getattr(function, "__name__", type(function).__name__),
            function=function,
            description=(function.__doc__ or "").strip(),
            resumable=resumable,
            timeout_seconds=timeout_seconds,
            sample=sample,
        )

    return define if function is None else define(function)
