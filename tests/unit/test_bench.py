"""The report of `make bench` says what the raw values say, and is made from them alone."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.compare import campaign, record, report
from bench.compare.campaign import Campaign
from bench.compare.load import Load, Refused
from bench.compare.results import Results
from bench.compare.sampling import LEAST, Missing, Row, Scale
from bench.compare.scenarios import Measurement
from bench.compare.servers import Server
from bench.compare.targets import Verdict, verdicts
from project.local.errors import CannotStart

MS = {"unit": "ms", "more_is_better": False}
RATE = {"unit": "runs/s", "more_is_better": True}


def line(server: str, name: str, values: list[float], *, session: int = 1, **more: Any) -> dict[str, Any]:
    about = {"session": session, "part": "servers", "scenario": "create", "server": server, "name": name}
    return {**about, "round": 1, "values": values, **MS, **more}


def plan(operation: str, **columns: Any) -> dict[str, Any]:
    row = {"operation": operation, "runs on the thread": 1, "plans": "same", "ratio": 1.0, "ratio of ms": 1.0}
    return {"session": 1, "part": "plans", "sizes": [10_000, 5_000_000], "row": {**row, **columns}}


def verdict(words: str, *lines: dict[str, Any]) -> Verdict:
    [found] = [one for one in verdicts(Results(lines)) if words in one.target]
    return found


@pytest.mark.parametrize(
    ("taken", "spent", "enough"),
    [
        (0, 0.0, False),
        (9, 5.9, False),
        (9, 6.0, True),
        (10, 0.1, True),
        (LEAST - 1, 600.0, False),
        (LEAST, 600.0, True),
    ],
)
def test_a_row_gets_what_there_is_time_for_and_three_samples_in_any_case(
    taken: int, spent: float, enough: bool
) -> None:
    assert Scale(seconds=6.0).enough(taken, spent, wanted=10) == enough


@pytest.mark.parametrize(
    ("words", "name", "medians", "more", "reached"),
    [
        ("create to done", "runs/wait, no work", (5.0, 10.0), MS, True),
        ("create to done", "runs/wait, no work", (5.1, 10.0), MS, False),
        ("16 clients, `wait`", "16 clients, wait", (50.0, 10.0), RATE, True),
        ("16 clients, `wait`", "16 clients, wait", (49.0, 10.0), RATE, False),
        ("first event", "stream: first event", (4.0, 10.0), MS, True),
        ("cancel, wait", "cancel, wait=1", (29.0, 290.0), MS, True),
        ("cancel, wait", "cancel, wait=1", (31.0, 500.0), MS, False),
        ("cancel, wait", "cancel, wait=1", (29.0, 280.0), MS, False),
        ("cancel to interrupted", "cancel, until interrupted", (60.0, 120.0), MS, True),
    ],
)
def test_a_target_is_reached_by_the_better_pool_beside_the_best_peer(
    words: str, name: str, medians: tuple[float, float], more: dict[str, Any], reached: bool
) -> None:
    ours, theirs = medians
    worse = 0.5 if more["more_is_better"] else 2
    lines = [line("runyard", name, [ours * worse], **more), line("runyard-async", name, [ours], **more)]
    lines += [line("aegra", name, [theirs], **more), line("aegra-workers", name, [theirs * worse], **more)]
    assert verdict(words, *lines).reached is reached
    assert verdict(words, *lines[:2]).reached is None


@pytest.mark.parametrize(("ideal", "mib", "reached"), [(1.5, 1023.0, True), (1.6, 600.0, False), (1.5, 1024.0, False)])
def test_runs_that_wait_have_two_limits(ideal: float, mib: float, reached: bool) -> None:
    time, memory = "512 runs of 2 s at once", "512 runs of 2 s at once: memory"
    lines = [line("runyard", time, [9.0]), line("runyard-async", time, [ideal]), line("runyard", memory, [1.0])]
    assert verdict("512 runs", *lines, line("runyard-async", memory, [mib])).reached is reached


def test_streams_count_only_if_there_were_all_of_them() -> None:
    found = {"session": 1, "part": "streams", "found": {"streams": 5000, "kib_per_stream": 21.0}}
    few = {"session": 1, "part": "streams", "found": {"streams": 100, "kib_per_stream": 21.0}}
    assert verdict("idle stream", found).reached is True
    assert verdict("idle stream", few).reached is None


def test_growth_is_judged_by_the_worst_operation() -> None:
    good = [plan("claim", ratio=1.2), plan("finish", **{"ratio of ms": 1.5})]
    for words, bad in (
        ("same plans", {"plans": "a -> b"}),
        ("buffers", {"ratio": 1.21}),
        ("time in", {"ratio of ms": 2}),
    ):
        assert verdict(words, *good).reached is True
        failed = verdict(words, *good, plan("step", **bad))
        assert failed.reached is False
        assert "of 3" in failed.found


def test_what_grows_outside_is_the_largest_to_the_smallest() -> None:
    def grown(name: str, small: float, large: float, **more: Any) -> list[dict[str, Any]]:
        sizes = {"5000000": large, "10000": small, "1000000": 99.0}
        return [line(size, name, [value], part="growth", **more) for size, value in sizes.items()]

    assert verdict("time of a request", *grown("POST runs", 10.0, 15.0), *grown("rate", 30.0, 20.0, **RATE)).reached
    found = verdict("time of a request", *grown("POST runs", 10.0, 15.0), *grown("rate", 30.0, 19.0, **RATE))
    assert found.reached is False
    assert found.found.startswith("at most 1.58 (rate); 1 of 2")
    memory = grown("idle", 1.0, 9.0, unit="KiB")
    assert verdict("time of a request", *memory).reached is None
    [given_back] = Results(grown("idle", 1.0, -9.0, unit="KiB")).measured("growth")
    assert given_back.growth() is None


def test_of_what_was_measured_twice_the_last_session_counts() -> None:
    first = [line("runyard", "POST runs", [1.0, 2.0]), line("aegra", "POST runs", [4.0])]
    again = [line("runyard", "POST runs", [7.0], session=2)]
    [row] = Results([*first, *again]).measured("servers")
    assert row.values == {"runyard": [7.0], "aegra": [4.0]}
    assert row.sessions == {1, 2}


def test_rounds_are_put_together_and_the_ratio_is_to_the_best_peer() -> None:
    lines = [line("runyard", "POST runs", [values]) for values in (1.0, 2.0, 6.0)]
    lines += [line("aegra", "POST runs", [8.0]), line("langgraph", "POST runs", [4.0])]
    [row] = Results(lines).measured("servers")
    assert row.ratio() == 0.5


def test_the_report_is_made_from_what_a_crash_has_left(tmp_path: Path) -> None:
    written = record.Record(tmp_path, versions={"django": "5.2"})
    about = {"scenario": "create", "name": "POST runs", "round": 1}
    written.add("servers", server="runyard", values=[1.0, 2.0, 3.0], **about, **MS)
    written.add("servers", server="aegra", values=[8.0], **about, **MS)
    written.add("servers", server="langgraph", missing="does not start", **about)
    with (tmp_path / record.NAME).open("a") as lines:
        lines.write('{"session": 1, "part": "serv')
    report.write(tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "| POST runs (ms, less is better) | 2 [1.5, 2.5] | 8 (1) | 0.25 |" in text
    assert "- langgraph, POST runs: does not start" in text
    assert "- growth: nothing of it" in text
    assert "![One run without work, to its result](create.svg)" in text
    assert "aegra" in (tmp_path / "create.svg").read_text()
    assert record.commit() in text


def test_a_report_that_somebody_has_written_is_not_replaced(tmp_path: Path) -> None:
    report.refuse_to_replace_others(tmp_path)
    (tmp_path / "report.md").write_text("by hand")
    with pytest.raises(SystemExit, match="not ours to replace"):
        report.refuse_to_replace_others(tmp_path)
    record.Record(tmp_path)
    report.refuse_to_replace_others(tmp_path)


def test_a_later_session_goes_on_where_the_former_was_written(tmp_path: Path) -> None:
    for number in (1, 2):
        assert record.Record(tmp_path).session == number
    lines = (tmp_path / record.NAME).read_text().splitlines()
    assert [json.loads(one)["part"] for one in lines] == ["session", "session"]


@contextmanager
def answering() -> Iterator[Server]:
    yield Server("fake", "http://127.0.0.1:1", psutil.Process())


def broken() -> AbstractContextManager[Server]:
    raise CannotStart("no room")


async def impossible_once(_load: Load, _server: Server, scale: Scale) -> AsyncIterator[Row | Missing]:
    if "5,000 streams" not in scale.left_out:
        yield Missing("5,000 streams", "too many")
    yield Row("1 stream", [1.0])


async def refused(_load: Load, _server: Server, _scale: Scale) -> AsyncIterator[Row | Missing]:
    yield Row("before", [2.0])
    raise Refused("not today")


def test_a_campaign_goes_on_beside_what_fails_and_does_not_ask_again_for_what_cannot_be(tmp_path: Path) -> None:
    scenarios = {"idle": Measurement(impossible_once, 1, ""), "cancel": Measurement(refused, 1, "")}
    servers = {"runyard": answering, "aegra": broken}
    Campaign("servers", servers, scenarios, Scale(), record.Record(tmp_path)).run(2)
    lines = [one for one in record.read(tmp_path) if one["part"] == "servers"]
    found = [(one["round"], one["server"], one["name"], one.get("missing")) for one in lines]
    each = [
        ("runyard", "1 stream", None),
        ("runyard", "before", None),
        ("runyard", "cancel", "Refused: not today"),
        ("aegra", "start", "does not start: no room"),
    ]
    impossible = (1, "runyard", "5,000 streams", "too many")
    assert found == [impossible, *((1, *one) for one in each), *((2, *one) for one in each)]


def test_what_takes_too_long_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "ONCE_SECONDS", -1.0)
    asked: list[frozenset[str]] = []

    async def slow(_load: Load, _server: Server, scale: Scale) -> AsyncIterator[Row | Missing]:
        asked.append(scale.left_out)
        yield Row("queue", [99.0])

    Campaign(
        "servers", {"aegra": answering}, {"queue": Measurement(slow, 1, "")}, Scale(), record.Record(tmp_path)
    ).run(2)
    assert asked == [frozenset(), {"queue"}]


def test_what_is_asked_once_is_left_out_of_later_rounds(tmp_path: Path) -> None:
    async def answers(_load: Load, _server: Server, _scale: Scale) -> AsyncIterator[Row | Missing]:
        yield Row("1 run", [1.0])

    scenarios = {"create": Measurement(answers, 1, ""), "queue": Measurement(answers, 1, "", once=True)}
    Campaign("growth", {"10": answering}, scenarios, Scale(), record.Record(tmp_path)).run(2)
    lines = [one for one in record.read(tmp_path) if one["part"] == "growth"]
    assert [(one["round"], one["scenario"]) for one in lines] == [(1, "create"), (1, "queue"), (2, "create")]
