"""Twins: the same create sent twice at the same moment makes one run."""

from functools import partial

import pytest

from runs.errors import IdempotencyKeyReused, ThreadBusy
from runs.models import IdempotencyKey, Run
from runs.services.idempotency import Idempotency
from tests.support.factories import create, make_thread
from tests.support.race import race, racers, rival_after
from tests.support.scale import rounds

pytestmark = [pytest.mark.usefixtures("intact"), pytest.mark.timeout(300)]


def test_five_twins_make_one_run_and_all_hear_of_it() -> None:
    with racers(5) as twins:
        for number in range(rounds(200)):
            thread = make_thread()
            key = Idempotency.of(key=f"key {number}", route=f"/threads/{thread.pk}/runs", body={"page": number})
            outcomes = twins([partial(create, thread, "reject", idempotency=key)] * 5)
            (run,) = thread.runs.all()
            assert {outcome.run.pk for outcome in outcomes} == {run.pk}
            assert sorted(outcome.replayed for outcome in outcomes) == [False, True, True, True, True]


def test_of_two_bodies_under_one_key_one_is_refused() -> None:
    with racers(2) as both:
        for number in range(rounds(50)):
            thread = make_thread()
            keys = [Idempotency.of(key=f"key {number}", route="r", body={"page": page}) for page in (1, 2)]
            outcomes = both([partial(create, thread, "enqueue", idempotency=key) for key in keys])
            assert sorted(type(outcome).__name__ for outcome in outcomes) == ["CreatedRun", "IdempotencyKeyReused"]
            assert thread.runs.count() == 1


def test_a_twin_waits_for_the_first_and_takes_over_when_it_is_refused() -> None:
    busy, free = make_thread(), make_thread()
    create(busy)
    key = Idempotency.of(key="k", route="r", body={})
    take_over = partial(create, free, "reject", idempotency=key)
    with rival_after("runs.services.create.take_key", take_over) as twin, pytest.raises(ThreadBusy):
        create(busy, "reject", idempotency=key)
    created = twin.outcome()
    assert not isinstance(created, BaseException | None)
    assert created.run.thread_id == free.pk
    assert not created.replayed


def test_twins_that_are_all_refused_leave_no_key() -> None:
    thread = make_thread()
    create(thread)
    key = Idempotency.of(key="k", route="r", body={})
    outcomes = race(*[partial(create, thread, "reject", idempotency=key)] * 4)
    assert {type(outcome) for outcome in outcomes} == {ThreadBusy}
    assert not IdempotencyKey.objects.exists()
    assert Run.objects.count() == 1


def test_the_same_key_of_two_people_makes_two_runs() -> None:
    from tests.support.factories import make_actor

    threads = [make_thread(make_actor(name)) for name in ("ada", "grace")]
    key = Idempotency.of(key="k", route="r", body={})
    first, second = race(*[partial(create, thread, idempotency=key) for thread in threads])
    assert (first.replayed, second.replayed) == (False, False)
    assert not isinstance(second, IdempotencyKeyReused)
    assert first.run.pk != second.run.pk
