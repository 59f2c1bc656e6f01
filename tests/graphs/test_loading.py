"""langgraph.json, and what it names."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from runs.assistants.graphs.description import describe_graph
from runs.assistants.graphs.loading import GraphNotLoaded, load
from runs.assistants.graphs.opening import open_graph
from runs.assistants.graphs.project import read_project

PROJECT = Path(__file__).parent.parent / "support" / "project" / "langgraph.json"


def invoke(graph_id: str, given: Any, **config: Any) -> Any:
    """What the graph makes of it."""

    async def opened() -> Any:
        configurable: Any = {"configurable": config}
        async with open_graph(
            read_project(PROJECT).graphs[graph_id], access="threads.create_run", config=configurable
        ) as graph:
            return await graph.ainvoke(given, configurable)

    return asyncio.run(opened())


@pytest.mark.parametrize(
    ("name", "log"),
    [
        ("echo", ["echo hi"]),
        ("parent", ["before"]),
        ("sync_factory", ["sync ada"]),
        ("async_factory", ["async"]),
        ("managed_factory", ["managed"]),
        ("plainly_managed_factory", ["plainly managed"]),
        ("runtime_factory", ["threads.create_run from langgraph.json"]),
    ],
)
def test_every_kind_of_target(name: str, log: list[str]) -> None:
    """Builders, compiled graphs, factories of each kind."""
    given: dict[str, Any] = {"text": "hi"} if name == "echo" else {"log": []}
    assert invoke(name, given, name="ada")["log"] == log


@pytest.mark.parametrize("name", ["managed_factory", "plainly_managed_factory"])
def test_what_a_factory_opened_is_closed(name: str) -> None:
    """A context manager is left when the graph is done."""
    invoke(name, {"log": []})
    assert sys.modules[_file_module("factories")].OPENED[-2:] == ["open", "closed"]


def _file_module(stem: str) -> str:
    return next(name for name in sys.modules if name.startswith(f"runyard_graph_{stem}_"))


@pytest.mark.parametrize("name", ["packaged", "dotted"])
def test_packages(name: str) -> None:
    """By path and by name it is the same module, and relative imports work."""
    assert invoke(name, {}) == {"price": 3}
    assert load(read_project(PROJECT).graphs["packaged"]) is load(read_project(PROJECT).graphs["dotted"])


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("broken", "No module named 'there_is_no_such_package'. Install it where the workers run"),
        ("missing", "there is no such file"),
        ("nothing", "it has no attribute 'there_is_no_such_graph'"),
    ],
)
def test_what_cannot_be_loaded(name: str, why: str) -> None:
    """The message names the graph, the file, the reason."""
    with pytest.raises(GraphNotLoaded) as error:
        load(read_project(PROJECT).graphs[name])
    assert why in str(error.value)
    assert f"'{name}'" in str(error.value)
    assert str(PROJECT) in str(error.value)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "is not JSON"),
        ("{}", "has no graphs"),
        ('{"graphs": {"a": "nowhere"}}', "must be"),
        ('{"graphs": {"a": "./a.ts:graph"}}', "JavaScript"),
        ('{"graphs": {"a": "./a.py:graph"}, "dependencies": ["./no"]}', "not a directory"),
        ('{"graphs": {"a": "./a.py:graph"}, "env": ".env"}', "existing file"),
        ('{"graphs": {"a": "./a.py:graph"}, "store": {"index": {"dims": 3}}}', "store.index is not supported"),
        ('{"graphs": {"a": "./a.py:graph"}, "store": "./store.py:make"}', "store is not supported"),
        ('{"graphs": {"a": "./a.py:graph"}, "store": {"ttl": {"default_ttl": "a day"}}}', "store.ttl is"),
    ],
)
def test_what_is_wrong_with_the_file(tmp_path: Path, content: str, why: str) -> None:
    """The message names the file and what to change."""
    file = tmp_path / "langgraph.json"
    file.write_text(content)
    with pytest.raises(ImproperlyConfigured) as error:
        read_project(file)
    assert why in str(error.value)
    assert str(file) in str(error.value)


def test_env_file_does_not_win_over_the_environment(tmp_path: Path) -> None:
    """An operator may set what the project sets, too."""
    (tmp_path / ".env").write_text("FROM_FILE=file\nFROM_BOTH=file\n")
    (tmp_path / "agent.py").write_text(
        "import os\ngraph = lambda: print(os.environ['FROM_FILE'], os.environ['FROM_BOTH'])"
    )
    (tmp_path / "langgraph.json").write_text(json.dumps({"graphs": {"a": "./agent.py:graph"}, "env": ".env"}))
    code = (
        "from pathlib import Path; from runs.assistants.graphs.loading import load; "
        "from runs.assistants.graphs.project import read_project; "
        f"load(read_project(Path({str(tmp_path / 'langgraph.json')!r})).graphs['a'])()"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], env={"FROM_BOTH": "operator"}, capture_output=True, text=True, check=True
    )
    assert shown.stdout == "file operator\n"


def test_dependencies(tmp_path: Path) -> None:
    """Directories that are named are searched for modules, before that of the langgraph.json; so are their `src`."""
    for place, module in (("lib", "near"), ("lib/src", "far"), (".", "here")):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / f"{module}_{tmp_path.name}.py".replace("-", "_")).write_text(f"FOUND = {module!r}")
    names = [f"{module}_{tmp_path.name}".replace("-", "_") for module in ("near", "far", "here")]
    imports = "\n".join(f"import {name}" for name in names)
    (tmp_path / "agent.py").write_text(f"{imports}\ngraph = [{', '.join(f'{name}.FOUND' for name in names)}]")
    content = {"graphs": {"a": "./agent.py:graph"}, "dependencies": ["./lib", "a-package-that-is-installed"]}
    (tmp_path / "langgraph.json").write_text(json.dumps(content))
    before = list(sys.path)
    try:
        assert load(read_project(tmp_path / "langgraph.json").graphs["a"]) == ["near", "far", "here"]
    finally:
        sys.path[:] = before


def test_description_of_subgraphs_in_subgraphs() -> None:
    """Each by its namespace; the drawing opens as many levels as it is asked for."""
    described = describe_graph(read_project(PROJECT).graphs["nested"])
    assert set(described.subgraphs) == {"middle", "middle|leaf"}
    depths = [{node["id"] for node in described.drawing(level)["nodes"]} for level in (False, 1, True)]
    assert ["middle" in depths[0], "middle:leaf" in depths[1], "middle:leaf:ask" in depths[2]] == [True, True, True]


def test_description() -> None:
    """Schemas, the drawing at each depth, and subgraphs."""
    described = describe_graph(read_project(PROJECT).graphs["parent"])
    assert described.schemas.input_schema is not None
    assert set(described.schemas.input_schema["properties"]) == {"log", "inner"}
    assert [node["id"] for node in described.drawing(False)["nodes"]] == ["__start__", "before", "child", "__end__"]
    assert "child:inner" in [node["id"] for node in described.drawing(True)["nodes"]]
    assert set(described.subgraphs) == {"child"}
    json.dumps([described.drawings, described.schemas.__dict__])


def test_description_of_a_context() -> None:
    """The context has a schema of its own."""
    described = describe_graph(read_project(PROJECT).graphs["ctx"])
    assert described.schemas.context_schema is not None
    assert set(described.schemas.context_schema["properties"]) == {"name"}


def test_a_graph_that_cannot_be_loaded_cannot_be_described() -> None:
    """And says why."""
    with pytest.raises(GraphNotLoaded, match="there_is_no_such_package"):
        describe_graph(read_project(PROJECT).graphs["broken"])
