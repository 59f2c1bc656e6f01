"""What is asked of both servers. Each scenario uses threads and assistants of its own."""

import time
from collections.abc import Callable
from typing import Any
from uuid import NAMESPACE_X500, uuid4, uuid5

from bench.side_by_side.client import PATIENCE_SECONDS, Server

#: LangGraph derives the ids of graphs' own assistants in this namespace, which is that of X.500 names plus two.
_GRAPHS = type(NAMESPACE_X500)("6ba7b821-9dad-11d1-80b4-00c04fd430c8")
MODES = ["values", "updates", "custom", "tasks", "checkpoints", "debug"]


def _thread(server: Server) -> str:
    return f"/threads/{server.ask('', 'POST', '/threads', {})['thread_id']}"


def _wait_for_a_step(server: Server, thread: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not server.ask("", "GET", f"{thread}/state")["values"].get("log"):
        if time.monotonic() > deadline:
            raise SystemExit(f"{server.url}: no step of a run has ended")
        time.sleep(0.05)


def assistants(server: Server) -> None:
    """Create, change, versions, search, descriptions."""
    own = f"/assistants/{uuid5(_GRAPHS, 'parent')}"
    server.ask("assistant: the server's own", "GET", own)
    for path in ("/graph", "/graph?xray=true", "/graph?xray=0", "/schemas", "/subgraphs", "/subgraphs?recurse=true"):
        server.ask(f"assistant: {path}", "GET", own + path)
    asked = {"graph_id": "ctx", "name": "Mine", "context": {"name": "ada"}, "metadata": {"m": 1}}
    path = f"/assistants/{server.ask('assistant: create', 'POST', '/assistants', asked)['assistant_id']}"
    server.ask("assistant: create with an unknown graph", "POST", "/assistants", {"graph_id": "nobody"})
    server.ask("assistant: create without a graph", "POST", "/assistants", {})
    taken = {"graph_id": "ctx", "assistant_id": path.rpartition("/")[2]}
    server.ask("assistant: create an id that is taken", "POST", "/assistants", taken)
    server.ask("assistant: create if there is none", "POST", "/assistants", {**taken, "if_exists": "do_nothing"})
    server.ask("assistant: change", "PATCH", path, {"name": "Two", "metadata": {"n": 2}})
    server.ask("assistant: change the config", "PATCH", path, {"config": {"recursion_limit": 5}})
    server.ask("assistant: versions", "POST", f"{path}/versions", {})
    server.ask("assistant: a former version", "POST", f"{path}/latest", {"version": 1})
    server.ask("assistant: a version that is not there", "POST", f"{path}/latest", {"version": 9})
    server.ask("assistant: search", "POST", "/assistants/search", {"metadata": {"m": 1}})
    server.ask("assistant: search with a page", "POST", "/assistants/search", {"limit": 1, "select": ["version"]})
    server.ask("assistant: count", "POST", "/assistants/count", {"graph_id": "ctx"})
    server.ask("assistant: run", "POST", "/runs/wait", {"assistant_id": path.rpartition("/")[2], "input": {}})
    server.ask("assistant: delete", "DELETE", path)
    server.ask("assistant: get a deleted one", "GET", path)
    server.ask("assistant: a bad id", "GET", "/assistants/nobody")


def runs(server: Server) -> None:
    """A run from its create to its end, and what it leaves."""
    thread = _thread(server)
    body = {"assistant_id": "slow", "input": {"n": 2, "tag": "A"}}
    run = server.ask("run: create", "POST", f"{thread}/runs", body)
    path = f"{thread}/runs/{run['run_id']}"
    server.ask("run: join", "GET", f"{path}/join")
    server.ask("run: get", "GET", path)
    server.ask("run: list", "GET", f"{thread}/runs")
    server.ask("run: cancel what has succeeded", "POST", f"{path}/cancel")
    server.ask("run: its thread", "GET", thread)
    server.ask("run: state", "GET", f"{thread}/state")
    server.ask("run: history", "POST", f"{thread}/history", {"limit": 10})
    server.ask("run: an unknown graph", "POST", f"{thread}/runs", {"assistant_id": "nobody"})
    server.ask("run: an unknown assistant", "POST", f"{thread}/runs", {"assistant_id": str(uuid4())})
    server.ask("run: an unknown thread", "POST", f"/threads/{uuid4()}/runs", body)
    server.ask("run: an unknown mode", "POST", f"{thread}/runs", {**body, "stream_mode": "nothing"})
    server.ask("run: without an assistant", "POST", f"{thread}/runs", {})
    server.ask("run: wait without a thread", "POST", "/runs/wait", body)


def streams(server: Server) -> None:
    """The frames of every mode."""
    for mode in MODES:
        body = {"assistant_id": "slow", "input": {"n": 2, "tag": "A"}, "stream_mode": mode}
        server.ask(f"stream: {mode}", "POST", f"{_thread(server)}/runs/stream", body)
    question = {"assistant_id": "chat", "input": {"messages": [{"role": "user", "content": "hi"}]}}
    for mode in ("messages", "messages-tuple"):
        server.ask(f"stream: {mode}", "POST", "/runs/stream", {**question, "stream_mode": mode})
        calls = {**question, "assistant_id": "calling", "stream_mode": mode}
        server.ask(f"stream: {mode}, of a tool call", "POST", "/runs/stream", calls)
    beside = {"assistant_id": "parallel", "input": {"log": []}, "stream_mode": ["updates", "tasks"]}
    server.ask("stream: parallel branches", "POST", "/runs/stream", beside)
    several = {"assistant_id": "slow", "input": {"n": 2}, "stream_mode": ["values", "updates", "custom"]}
    server.ask("stream: several", "POST", "/runs/stream", several)
    family = {"assistant_id": "parent", "input": {"log": ["in"]}, "stream_mode": "updates", "stream_subgraphs": True}
    server.ask("stream: subgraphs", "POST", "/runs/stream", family)
    server.ask("stream: error", "POST", "/runs/stream", {"assistant_id": "boom", "input": {"msg": "kaput"}})


def errors(server: Server) -> None:
    """A run that fails."""
    thread = _thread(server)
    body = {"assistant_id": "boom", "input": {"msg": "kaput"}}
    server.ask("error: wait", "POST", f"{thread}/runs/wait", body)
    server.ask("error: thread", "GET", thread)
    server.ask("error: state", "GET", f"{thread}/state")
    server.ask("error: runs", "GET", f"{thread}/runs")


def humans(server: Server) -> None:
    """A graph that waits for somebody."""
    thread = _thread(server)
    asking = {"assistant_id": "hitl", "input": {"question": "q?"}, "stream_mode": ["values", "updates", "tasks"]}
    server.ask("stream: human", "POST", "/runs/stream", asking)
    server.ask("human: asked", "POST", f"{thread}/runs/wait", {"assistant_id": "hitl", "input": {"question": "q?"}})
    server.ask("human: thread", "GET", thread)
    server.ask("human: state", "GET", f"{thread}/state?subgraphs=true")
    server.ask("human: run", "GET", f"{thread}/runs?limit=1")
    server.ask("human: copy", "POST", f"{thread}/copy")
    server.ask("human: answer", "POST", f"{thread}/runs/wait", {"assistant_id": "hitl", "command": {"resume": "yes"}})
    server.ask("human: answered", "GET", thread)


def breakpoints(server: Server) -> None:
    """Stop, look, change, go on."""
    thread = _thread(server)
    body = {"assistant_id": "parent", "input": {"log": ["in"]}, "interrupt_before": ["child"]}
    server.ask("breakpoint: stop", "POST", f"{thread}/runs/wait", body)
    server.ask("breakpoint: thread", "GET", thread)
    server.ask("breakpoint: state", "GET", f"{thread}/state")
    changed = {"values": {"log": ["by hand"]}, "as_node": "before"}
    server.ask("breakpoint: change", "POST", f"{thread}/state", changed)
    server.ask("breakpoint: changed", "GET", f"{thread}/state")
    server.ask("breakpoint: change nothing", "POST", f"{thread}/state", {"values": None, "as_node": "before"})
    server.ask("breakpoint: an unknown node", "POST", f"{thread}/state", {"values": {}, "as_node": "nobody"})
    server.ask("breakpoint: no object", "POST", f"{thread}/state", {"values": [1], "as_node": "before"})
    server.ask("breakpoint: go on", "POST", f"{thread}/runs/wait", {"assistant_id": "parent", "input": None})
    server.ask("breakpoint: updates", "POST", f"{thread}/history", {"limit": 9, "metadata": {"source": "update"}})
    states = server.ask("breakpoint: history", "POST", f"{thread}/history", {"limit": 9})
    before = {"configurable": {"checkpoint_id": states[1]["checkpoint_id"]}}
    server.ask("breakpoint: before", "POST", f"{thread}/history", {"limit": 9, "before": before})
    server.ask("breakpoint: former", "GET", f"{thread}/state/{states[2]['checkpoint_id']}")


def subgraphs(server: Server) -> None:
    """What a subgraph holds, before, while and after it waits."""
    for graph in ("asking_parent", "nested"):
        name, thread = f"subgraph of {graph}", _thread(server)
        body = {"assistant_id": graph, "input": {"log": ["in"]}}
        server.ask(f"{name}: stop", "POST", f"{thread}/runs/wait", {**body, "interrupt_before": "*"})
        server.ask(f"{name}: not begun", "GET", f"{thread}/state?subgraphs=true")
        server.ask("", "POST", f"{thread}/runs/wait", body)
        state = server.ask(f"{name}: state", "GET", f"{thread}/state")
        server.ask(f"{name}: with subgraphs", "GET", f"{thread}/state?subgraphs=true")
        place = state["tasks"][0]["checkpoint"]
        _look_inside(server, name, thread, place)
        server.ask(f"{name}: answer", "POST", f"{thread}/runs/wait", {"assistant_id": graph, "command": {"resume": 1}})
        _look_inside(server, f"{name}, answered", thread, place)


def _look_inside(server: Server, name: str, thread: str, place: Any) -> None:
    server.ask(f"{name}: by namespace", "POST", f"{thread}/state/checkpoint", {"checkpoint": place})
    every = {"checkpoint": place, "subgraphs": True}
    server.ask(f"{name}: by namespace, all", "POST", f"{thread}/state/checkpoint", every)
    states = server.ask(f"{name}: history", "POST", f"{thread}/history", {"limit": 9, "checkpoint": place})
    former = {"checkpoint": states[1]["checkpoint"]}
    server.ask(f"{name}: former", "POST", f"{thread}/state/checkpoint", former)
    before = {"configurable": {"checkpoint_id": states[0]["checkpoint_id"]}}
    earlier = {"limit": 1, "checkpoint": place, "before": before}
    server.ask(f"{name}: before", "POST", f"{thread}/history", earlier)
    server.ask(f"{name}: no such place", "POST", f"{thread}/history", {"checkpoint": {"checkpoint_ns": "nobody:1"}})


def supersteps(server: Server) -> None:
    """A thread that begins with what it was elsewhere."""
    steps = [
        {"updates": [{"values": {"n": 3, "tag": "A"}, "as_node": "__input__"}]},
        {"updates": [{"values": {"log": ["A:0"]}, "as_node": "step"}]},
    ]
    asked = {"metadata": {"graph_id": "slow"}, "supersteps": steps}
    thread = f"/threads/{server.ask('supersteps: create', 'POST', '/threads', asked)['thread_id']}"
    server.ask("supersteps: state", "GET", f"{thread}/state")
    server.ask("supersteps: history", "POST", f"{thread}/history", {"limit": 9})
    server.ask("supersteps: go on", "POST", f"{thread}/runs/wait", {"assistant_id": "slow"})
    wrong = {**asked, "supersteps": [{"updates": [{"values": {}, "as_node": "nobody"}]}]}
    server.ask("supersteps: an unknown node", "POST", "/threads", wrong)
    server.ask("supersteps: no graph", "POST", "/threads", {"supersteps": steps})


def threads(server: Server) -> None:
    """Create, change, search."""
    mark = {"mark": str(uuid4())}
    made = server.ask("thread: create", "POST", "/threads", {"metadata": mark})
    path = f"/threads/{made['thread_id']}"
    server.ask("thread: create an id that is taken", "POST", "/threads", {"thread_id": made["thread_id"]})
    server.ask("thread: get", "GET", path)
    server.ask("thread: state of an empty one", "GET", f"{path}/state")
    server.ask("thread: history of an empty one", "GET", f"{path}/history")
    server.ask("thread: change", "PATCH", path, {"metadata": {"more": 1}})
    for what in ({"metadata": mark}, {"ids": [made["thread_id"]]}, {"metadata": mark, "status": "idle"}):
        server.ask(f"thread: search by {', '.join(what)}", "POST", "/threads/search", what)
    selected = {"metadata": mark, "select": ["thread_id", "status"], "sort_by": "status", "sort_order": "asc"}
    server.ask("thread: search with select", "POST", "/threads/search", selected)
    server.ask("thread: search with an unknown order", "POST", "/threads/search", {"sort_by": "nothing"})
    server.ask("thread: count", "POST", "/threads/count", {"metadata": mark})
    server.ask("thread: delete", "DELETE", path)
    server.ask("thread: get a deleted one", "GET", path)
    server.ask("thread: copy a deleted one", "POST", f"{path}/copy")
    server.ask("thread: a bad id", "GET", "/threads/nobody")


def strategies(server: Server) -> None:
    """What a second run does to the first, and cancels."""
    long = {"assistant_id": "slow", "input": {"n": 100, "delay": 0.2, "tag": "A"}}
    short: dict[str, Any] = {"assistant_id": "slow", "input": {"n": 1, "tag": "B"}}
    for strategy in ("interrupt", "rollback", "reject"):
        thread = _thread(server)
        first = server.ask("", "POST", f"{thread}/runs", long)
        server.ask(f"strategy {strategy}: create", "POST", f"{thread}/runs", {**short, "multitask_strategy": strategy})
        wanted = {"ids": [thread.rpartition("/")[2]], "select": ["thread_id", "status"]}
        server.ask(f"strategy {strategy}: the thread", "POST", "/threads/search", wanted)
        server.ask("", "POST", f"{thread}/runs/{first['run_id']}/cancel?wait=1")
    for wait in (0, 1):
        thread = _thread(server)
        run = server.ask("", "POST", f"{thread}/runs", long)["run_id"]
        _wait_for_a_step(server, thread)
        server.ask(f"cancel: wait={wait}", "POST", f"{thread}/runs/{run}/cancel?wait={wait}")
        server.ask("", "GET", f"{thread}/runs/{run}/join")
        server.ask(f"cancel: the run, wait={wait}", "GET", f"{thread}/runs/{run}")
        server.ask(f"cancel: again, wait={wait}", "POST", f"{thread}/runs/{run}/cancel?wait={wait}")
    server.ask("cancel: an unknown run", "POST", f"{thread}/runs/{uuid4()}/cancel")
    server.ask("cancel: the thread", "GET", thread)
    server.ask("cancel many: nothing", "POST", "/runs/cancel", {"thread_id": thread.rpartition("/")[2], "run_ids": []})
    server.ask("cancel many: no such run", "POST", "/runs/cancel", {"status": "pending", "run_ids": [str(uuid4())]})
    many = {
        "thread_id": thread.rpartition("/")[2],
        "run_ids": [server.ask("", "POST", f"{thread}/runs", long)["run_id"]],
    }
    server.ask("cancel many: one", "POST", "/runs/cancel", many)


SCENARIOS: tuple[Callable[[Server], None], ...] = (
    threads,
    assistants,
    runs,
    streams,
    errors,
    humans,
    breakpoints,
    subgraphs,
    supersteps,
    strategies,
)
