"""The stops of the tour: each makes something happen, says what and why, and checks what was promised."""

import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from langgraph_sdk.client import SyncLangGraphClient
from langgraph_sdk.errors import ConflictError
from langgraph_sdk.schema import MultitaskStrategy, Run

from examples.text import split_sections

IN_FLIGHT = ("pending", "running")
PATIENCE = 90.0
LOOK_EVERY = 0.05
WIDTH = 100
INDENT = "    "


class Broken(Exception):
    """Something that was promised did not happen."""


@dataclass
class Tour:
    """One visitor: the client, the document, and what was seen so far."""

    client: SyncLangGraphClient
    document: str
    kept: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sections = len(split_sections(self.document))
        hooks = {"response": [lambda response: self.answers.append(response.status_code)]}
        self.client.http.client.event_hooks = hooks

    def say(self, text: str) -> None:
        """Tell the visitor."""
        print(textwrap.fill(text, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT + "  "), flush=True)

    def quote(self, text: str) -> None:
        """Show the beginning of a text, on one line."""
        print(INDENT + textwrap.shorten(text, WIDTH - len(INDENT), placeholder=" …"), flush=True)

    def promise(self, what: str, seen: Any, promised: Any) -> None:
        """Check one promise and remember how it went."""
        if seen == promised:
            self.kept.append(what)
            self.say(f"✓ {what}")
        else:
            self.broken.append(what)
            self.say(f"✗ {what}")
            self.say(f"  promised: {promised!r}")
            self.say(f"  seen:     {seen!r}")

    def new_thread(self) -> str:
        """Create a thread and return its id."""
        return self.client.threads.create()["thread_id"]

    def start(self, thread: str, assistant: str, strategy: MultitaskStrategy | None = None, **asked: Any) -> Run:
        """Post a run that reads the document."""
        how = f", multitask_strategy={strategy}" if strategy else ""
        self.say(f"POST /threads/{brief(thread)}/runs {assistant}{how}")
        given = {"document": self.document, **asked}
        run = self.client.runs.create(thread, assistant, input=given, multitask_strategy=strategy)
        self.say(f"  {self.answers[-1]}: run {brief(run['run_id'])} is {run['status']}")
        return run

    def start_slow(self, thread: str, *, pause: float) -> Run:
        """Post a digest that rests after each section, and return when its first steps are in the thread's state."""
        run = self.start(thread, "digest", sentences=1, pause=pause)
        wanted = 1 if self.sections < 3 else 2  # noqa: PLR2004 (of a short document only the first step comes soon)
        self.wait_until(lambda: self.steps_of(run) >= wanted, "the first steps are committed")
        self.say(f"{wanted} of {self.sections} sections are digested and durable")
        return run

    @property
    def short_pause(self) -> float:
        """With this pause a digest takes about five seconds."""
        return 5 / self.sections

    @property
    def long_pause(self) -> float:
        """With this pause a digest takes longer than anybody waits here: it is going to be stopped."""
        return max(2.0, 20 / self.sections)

    def steps_of(self, run: Run) -> int:
        """How many sections this digest has finished."""
        values = self.values(run["thread_id"])
        return len(values["digest"]) if values.get("digested_by") == run["run_id"] else 0

    def values(self, thread: str) -> dict[str, Any]:
        """What the thread's state holds now."""
        values = self.client.threads.get_state(thread)["values"]
        return values if isinstance(values, dict) else {}

    def look(self, run: Run) -> dict[str, Any]:
        """The run as it is now, with the members that Runyard has beside LangGraph's."""
        return dict(self.client.runs.get(run["thread_id"], run["run_id"]))

    def status(self, run: Run) -> str:
        """The status of the run now."""
        return str(self.look(run)["status"])

    def end_of(self, run: Run) -> str:
        """Wait until the run has ended, and return how."""
        self.wait_until(lambda: self.status(run) not in IN_FLIGHT, f"run {run['run_id']} ends")
        return self.status(run)

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Look again and again until it is so; Broken if that takes too long."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise Broken(f"{what}: not within {PATIENCE:.0f} s")
            time.sleep(LOOK_EVERY)

    def writers(self, thread: str) -> list[str]:
        """Which runs wrote the thread's state, oldest first, each once."""
        history = self.client.threads.get_history(thread, limit=1000)
        runs = [(state["metadata"] or {}).get("run_id") for state in reversed(history)]
        return list(dict.fromkeys(run for run in runs if isinstance(run, str)))


def brief(id_: str) -> str:
    """The end of an id: enough to tell one from another."""
    return f"…{id_[-8:]}"


def succeed(tour: Tour) -> None:
    """A run that succeeds. It works through the document; every section is a durable step that you can read at once."""
    thread = tour.new_thread()
    run = tour.start(thread, "digest", sentences=1, pause=2 / tour.sections)
    shown = 0
    while (status := tour.status(run)) in IN_FLIGHT or shown < tour.steps_of(run):
        for done in tour.values(thread).get("digest", [])[shown:]:
            shown += 1
            tour.quote(f"[{shown}/{tour.sections}] {done['title']}: {' '.join(done['sentences'])}")
        time.sleep(LOOK_EVERY)
    tour.promise("the run ends as success", status, "success")
    tour.promise("it has digested every section", shown, tour.sections)
    used = tour.look(run)["usage"]
    tour.say(f"it read {used['input_tokens']} words and kept {used['output_tokens']}")
    tour.promise(
        "join answers with the thread's state", tour.client.runs.join(thread, run["run_id"]), tour.values(thread)
    )


def reject(tour: Tour) -> None:
    """A second run on a busy thread, rejected: the default. Two writers on one state would spoil it."""
    thread = tour.new_thread()
    first = tour.start_slow(thread, pause=tour.short_pause)
    try:
        tour.start(thread, "keywords", "reject")
        raise Broken("the second run was accepted")
    except ConflictError as error:
        tour.say(f"  {error.status_code} {error.code}: {error.message}")
        tour.promise("the answer is 409 thread_busy", (error.status_code, error.code), (409, "thread_busy"))
    known = [run["run_id"] for run in tour.client.runs.list(thread)]
    tour.promise("no second run was created", known, [first["run_id"]])
    tour.promise("the first one did not notice", (tour.end_of(first), tour.steps_of(first)), ("success", tour.sections))


def enqueue(tour: Tour) -> None:
    """Runs that wait their turn: each starts when the one before is settled, from the state that it left."""
    thread = tour.new_thread()
    first = tour.start_slow(thread, pause=tour.short_pause)
    second = tour.start(thread, "keywords", "enqueue", count=5)
    third = tour.start(thread, "passages", "enqueue", question="What is promised when a run is cancelled?", count=1)
    waiting = [(now["status"], now["queue_position"]) for now in map(tour.look, (second, third))]
    tour.promise("both wait, and know their place", waiting, [("pending", 1), ("pending", 2)])
    ends = [tour.end_of(run) for run in (first, second, third)]
    tour.promise("all three succeed", ends, ["success"] * 3)
    order = [run["run_id"] for run in (first, second, third)]
    tour.promise("they wrote the state one after the other", tour.writers(thread), order)
    values = tour.values(thread)
    tour.say("keywords: " + ", ".join(f"{found['word']} ({found['times']})" for found in values["keywords"]))
    for passage in values["passages"]:
        tour.quote(f"“{values['question']}” {passage['section']}: {passage['sentence']}")


def interrupt(tour: Tour) -> None:
    """A run that interrupts: the old one ends at once and keeps its finished steps, the new one goes on from there."""
    thread = tour.new_thread()
    old = tour.start_slow(thread, pause=tour.long_pause)
    finished = tour.values(thread)["digest"]
    new = tour.start(thread, "keywords", "interrupt")
    check_displacement(tour, old, new)
    values = tour.values(thread)
    tour.say(f"{tour.steps_of(old)} of {tour.sections} sections were kept, and the keywords were added to them")
    tour.promise("the finished steps were kept", values["digest"][: len(finished)], finished)
    tour.promise("the keywords were added to them", "keywords" in values, True)
    tour.promise("both wrote the state", tour.writers(thread), [old["run_id"], new["run_id"]])


def check_displacement(tour: Tour, old: Run, new: Run) -> None:
    """What interrupt and rollback have in common."""
    tour.promise("the answer names the run that was displaced", dict(new)["displaced"], [old["run_id"]])
    now = tour.look(old)
    tour.promise("the old run is interrupted at once", now["status"], "interrupted")
    tour.say(f"its row says why: {now['reason']}")
    tour.promise("the new one succeeds", tour.end_of(new), "success")


def roll_back(tour: Tour) -> None:
    """A run that rolls back: the old one ends at once, and the state is the one before it, as if it had never been."""
    thread = tour.new_thread()
    kept = tour.start(thread, "keywords", count=3)
    tour.promise("a first run leaves a state", tour.end_of(kept), "success")
    before, values_before = tour.client.threads.get_state(thread)["checkpoint"], tour.values(thread)
    tour.say(f"before: {', '.join(sorted(values_before))} at checkpoint {before['checkpoint_id']}")
    old = tour.start_slow(thread, pause=tour.long_pause)
    new = tour.start(thread, "passages", "rollback", question="What is this about?", count=1)
    check_displacement(tour, old, new)
    parent, values = tour.client.threads.get_state(thread)["parent_checkpoint"], tour.values(thread)
    tour.say(f"after: {', '.join(sorted(values))}")
    tour.promise("it started from the very checkpoint before", parent, before)
    rest = {name: value for name, value in values.items() if name not in ("passages", "question")}
    tour.promise("nothing of the old run is left in the state", rest, values_before)
    tour.promise("nor in the history", tour.writers(thread), [kept["run_id"], new["run_id"]])


def cancel_twice(tour: Tour) -> None:
    """A run that is cancelled, twice: the same answer each time, because the first one has settled the matter."""
    thread = tour.new_thread()
    run = tour.start_slow(thread, pause=tour.long_pause)
    answers: list[int] = []
    seen: list[str] = []
    for wait in (False, False, True, True):
        tour.client.runs.cancel(thread, run["run_id"], wait=wait)
        answers.append(tour.answers[-1])
        seen.append(tour.status(run))
        tour.say(f"POST …/runs/{brief(run['run_id'])}/cancel?wait={int(wait)} → {answers[-1]}, the run is {seen[-1]}")
    tour.promise("202 accepted, again and again; 204 once nothing executes it", answers, [202, 202, 204, 204])
    tour.promise("it is interrupted from the first answer on", seen, ["interrupted"] * 4)
    done = tour.start(thread, "keywords", "reject")
    tour.promise("the thread is free: reject admits the next run", tour.end_of(done), "success")
    try:
        tour.client.runs.cancel(thread, done["run_id"])
        raise Broken("a finished run was cancelled")
    except ConflictError as error:
        tour.say(f"  {error.status_code} {error.code}: {error.message}")
        tour.promise("a run that has succeeded cannot be cancelled", error.code, "not_cancellable")


STOPS: tuple[Callable[[Tour], None], ...] = (succeed, reject, enqueue, interrupt, roll_back, cancel_twice)
