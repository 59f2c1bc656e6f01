"""The history checker objects to every history that a correct server could not have shown, and to no other."""

import pytest

from tests.support.history import Call, History, Seen

T, A, B = "thread", "run-a", "run-b"


def create(run: str, began: float, how: str = "enqueue", displaced: tuple[str, ...] = ()) -> Call:
    return Call("create", T, run, began, began + 1, status="pending", how=how, displaced=displaced)


def read(run: str, began: float, status: str, *, attempt: int = 0, started: str = "", lasts: float = 1) -> Call:
    return Call("read", T, run, began, began + lasts, status=status, attempt=attempt, started=started)


def cancel(run: str, began: float, *, accepted: bool = True) -> Call:
    return Call("cancel", T, run, began, began + 1, how="interrupt", accepted=accepted)


def seen(run: str, *statuses: str) -> Seen:
    return Seen(run, T, tuple(zip(("", *statuses), statuses, range(len(statuses)), strict=False)))


ENDED = ("pending", "running", "success")

TRUE: dict[str, tuple[list[Call], list[Seen]]] = {
    "nothing": ([], []),
    "one run": ([create(A, 0), read(A, 2, "running", attempt=1), read(A, 4, "success")], [seen(A, *ENDED)]),
    "a crash": (
        [create(A, 0), read(A, 2, "running", attempt=1), read(A, 4, "pending"), read(A, 6, "running", attempt=2)],
        [seen(A, "pending", "running", "pending", "running", "success")],
    ),
    "a cancel and a read that overlap": (
        [create(A, 0), cancel(A, 2), read(A, 2.5, "running", attempt=1), read(A, 5, "interrupted")],
        [seen(A, "pending", "running", "interrupted")],
    ),
    "a cancel that came too late": (
        [create(A, 0), cancel(A, 2, accepted=False), read(A, 5, "success")],
        [seen(A, *ENDED)],
    ),
    "a queue": (
        [create(A, 0), create(B, 2), read(A, 4, "success", started="1"), read(B, 6, "success", started="2")],
        [seen(A, *ENDED), seen(B, *ENDED)],
    ),
    "two creates that overlap, in either order": (
        [create(A, 0), create(B, 0.5), read(A, 4, "success", started="2"), read(B, 6, "success", started="1")],
        [],
    ),
    "a reject that found nothing": (
        [create(A, 0), read(A, 2, "success"), create(B, 4, "reject"), read(B, 6, "running")],
        [],
    ),
    "a displacement": (
        [create(A, 0), create(B, 2, "rollback", (A,)), read(A, 4, "interrupted"), read(B, 6, "success")],
        [seen(A, "pending", "interrupted"), seen(B, *ENDED)],
    ),
}

FALSE: dict[str, tuple[list[Call], list[Seen], str]] = {
    "resurrection": ([read(A, 0, "success"), read(A, 2, "running")], [], "was success and later running"),
    "a second end": ([read(A, 0, "success"), read(A, 0.5, "interrupted")], [], "ended as interrupted and as success"),
    "a cancel overtaken": ([cancel(A, 0), read(A, 2, "success")], [], "was cancelled and later success"),
    "a cancel forgotten": ([cancel(A, 0), read(A, 2, "running")], [], "was cancelled and later running"),
    "a refusal that was a lie": ([cancel(A, 0, accepted=False), read(A, 2, "running")], [], "said to have ended"),
    "an attempt taken back": (
        [read(A, 0, "running", attempt=2), read(A, 2, "running", attempt=1)],
        [],
        "at attempt 2 and later at 1",
    ),
    "two writers": (
        [read(A, 0, "running", attempt=1), read(B, 2, "running", attempt=1), read(A, 4, "running", attempt=1)],
        [],
        "run-b was running inside attempt 1 of run run-a",
    ),
    "a queue jumped": (
        [create(A, 0), create(B, 2), read(A, 4, "success", started="2"), read(B, 6, "success", started="1")],
        [],
        "run-b began before run run-a",
    ),
    "a reject let in": (
        [create(A, 0), create(B, 2, "reject"), read(A, 4, "running")],
        [],
        "admitted by reject while run run-a was in flight",
    ),
    "a displaced run that goes on": (
        [create(A, 0), create(B, 2, "interrupt", (A,)), read(A, 4, "success")],
        [],
        "was displaced and later success",
    ),
    "a run that was overlooked": (
        [create(A, 0), create(B, 2, "interrupt"), read(A, 4, "running")],
        [],
        "outlived the interrupt",
    ),
    "a lost run": ([create(A, 0)], [seen(B, *ENDED)], "accepted and is not known"),
    "a run without an end": ([create(A, 0)], [seen(A, "pending", "running")], "ended 0 times"),
    "a run with two ends": ([create(A, 0)], [seen(A, *ENDED, "error")], "ended 2 times"),
    "an answer without an event": (
        [create(A, 0), read(A, 2, "timeout")],
        [seen(A, *ENDED)],
        "was seen timeout and never was",
    ),
    "a cancel without an event": ([create(A, 0), cancel(A, 2)], [seen(A, *ENDED)], "was cancelled and ended as"),
}


@pytest.mark.parametrize("name", TRUE)
def test_a_true_history(name: str) -> None:
    calls, told = TRUE[name]
    assert History(calls).objections(told) == []


@pytest.mark.parametrize("name", FALSE)
def test_a_false_history(name: str) -> None:
    calls, told, objection = FALSE[name]
    assert [found for found in History(calls).objections(told) if objection in found] != []
