"""Callers that want the same thread at the same moment: each strategy has exactly the outcome it promises."""

from collections import Counter
from functools import partial
from typing import Any

import pytest

from runs.errors import ThreadBusy
from runs.models import Run
from runs.services.runs import has_inflight
from runs.states import MultitaskStrategy, RunStatus
from tests.support.factories import claim, create, finish, leave, make_run, make_thread, make_worker, running, step
from tests.support.race import racers
from tests.support.scale import rounds

pytestmark = [pytest.mark.usefixtures("intact"), pytest.mark.timeout(300)]


def kinds(outcomes: list[Any]) -> Counter[type]:
    """How many outcomes there are of each type."""
    return Counter(type(outcome) for outcome in outcomes)


def test_reject_lets_exactly_one_of_eight_in() -> None:
    with racers(8) as race:
        for _ in range(rounds(200)):
            thread = make_thread()
            outcomes = race([partial(make_run, thread, "reject")] * 8)
            assert kinds(outcomes) == {Run: 1, ThreadBusy: 7}
            assert [run.pk for run in thread.runs.all()] == [run.pk for run in outcomes if isinstance(run, Run)]


def test_enqueue_takes_all_ten_and_runs_them_in_order_one_at_a_time() -> None:
    worker = make_worker()
    with racers(10) as race:
        for _ in range(rounds(50)):
            thread = make_thread()
            outcomes = race([partial(make_run, thread, "enqueue")] * 10)
            accepted = list(thread.runs.order_by("sequence"))
            assert {run.pk for run in outcomes} == {run.pk for run in accepted}
            for run in accepted:
                claimed = claim(run, worker)
                assert thread.runs.filter(leased=True).count() == 1
                finish(claimed)


@pytest.mark.parametrize("strategy", [MultitaskStrategy.INTERRUPT, MultitaskStrategy.ROLLBACK])
def test_of_six_displacing_runs_one_survives_and_the_first_to_run_was_displaced(strategy: MultitaskStrategy) -> None:
    worker = make_worker()
    with racers(6) as race:
        for _ in range(rounds(100)):
            thread = make_thread()
            begun = running(thread, worker)
            kept = step(begun, page=1).pk if strategy == MultitaskStrategy.INTERRUPT else None
            outcomes = race([partial(create, thread, strategy)] * 6)

            (survivor,) = thread.runs.filter(status=RunStatus.PENDING)
            interrupted = thread.runs.filter(status=RunStatus.INTERRUPTED, cancel_action=strategy)
            assert interrupted.count() == 6
            assert {run.pk for created in outcomes for run in created.displaced} == set(
                interrupted.values_list("pk", flat=True)
            )
            thread.refresh_from_db()
            assert thread.head_id == kept
            leave(begun)
            assert claim(survivor, worker).base_id == kept


def test_whoever_is_admitted_after_a_cancel_meets_no_ghost() -> None:
    """create(interrupt) over a running and a queued run, then its cancel, then create(reject)."""
    from runs.actors import system
    from runs.services.cancel import cancel_run

    worker = make_worker()
    for _ in range(rounds(50)):
        thread = make_thread()
        first = running(thread, worker)
        queued = make_run(thread)
        replacement = create(thread, "interrupt")
        assert [run.pk for run in replacement.displaced] == [first.pk, queued.pk]
        cancel_run(run_id=replacement.run.pk, actor=system("test"))
        assert not has_inflight(thread_id=thread.pk)
        last = make_run(thread, "reject")
        leave(first)
        finish(claim(last, worker))
        statuses = list(thread.runs.order_by("sequence").values_list("status", flat=True))
        assert statuses == [RunStatus.INTERRUPTED] * 3 + [RunStatus.SUCCESS]
