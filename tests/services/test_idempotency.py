"""An Idempotency-Key: the same request twice makes one run; another request under the same key is refused."""

from datetime import timedelta

import pytest

from runs.errors import IdempotencyKeyReused, RunGone, ThreadBusy
from runs.models import ClockTimestamp, IdempotencyKey
from runs.services.create import RunSpec, create_runs
from runs.services.idempotency import Idempotency
from runs.services.threads import delete_run, delete_thread
from tests.support.factories import claim, create, finish, make_actor, make_run, make_thread, running
from tests.support.fixtures import Outbox

pytestmark = pytest.mark.usefixtures("intact")

KEY = Idempotency.of(key="k", route="/threads/1/runs", body={"input": 1, "assistant_id": "echo"})


def test_a_replay_presents_the_run_as_it_is_now_and_changes_nothing(outbox: Outbox, commits: None) -> None:
    thread = make_thread()
    begun = running(thread)
    first = create(thread, "interrupt", idempotency=KEY)
    outbox.clear()
    again = create(thread, "interrupt", idempotency=KEY)
    assert (first.replayed, again.replayed) == (False, True)
    assert (again.run.pk, [run.pk for run in again.displaced]) == (first.run.pk, [begun.pk])
    assert thread.runs.count() == 2
    assert (outbox.published, outbox.told) == ([], [])


def test_a_replay_of_a_run_that_has_ended_presents_its_end() -> None:
    thread = make_thread()
    run = create(thread, idempotency=KEY).run
    finish(claim(run), page=1)
    assert create(thread, idempotency=KEY).run.status == "success"


def test_white_space_and_the_order_of_keys_do_not_make_another_request() -> None:
    thread = make_thread()
    create(thread, idempotency=KEY)
    same = Idempotency.of(key="k", route="/threads/1/runs", body={"assistant_id": "echo", "input": 1})
    assert create(thread, idempotency=same).replayed


def test_another_body_under_the_same_key_is_refused() -> None:
    thread = make_thread()
    create(thread, idempotency=KEY)
    with pytest.raises(IdempotencyKeyReused):
        create(thread, idempotency=Idempotency.of(key="k", route="/threads/1/runs", body={"input": 2}))
    assert thread.runs.count() == 1


def test_keys_are_per_route_and_per_owner() -> None:
    thread, strangers = make_thread(make_actor("ada")), make_thread(make_actor("eve"))
    elsewhere = Idempotency(key="k", route="/runs", fingerprint=KEY.fingerprint)
    made = [create(thread, idempotency=KEY), create(thread, idempotency=elsewhere), create(strangers, idempotency=KEY)]
    assert [created.replayed for created in made] == [False] * 3
    assert len({created.run.pk for created in made}) == 3


def test_a_refusal_takes_the_key_back() -> None:
    thread = make_thread()
    waiting = make_run(thread)
    with pytest.raises(ThreadBusy):
        create(thread, "reject", idempotency=KEY)
    assert not IdempotencyKey.objects.exists()
    finish(claim(waiting))
    assert not create(thread, "reject", idempotency=KEY).replayed


def test_the_run_of_a_key_that_was_deleted_is_gone() -> None:
    actor = make_actor()
    thread = make_thread(actor)
    run = create(thread, idempotency=KEY).run
    delete_run(thread_id=thread.pk, run_id=run.pk, actor=actor)
    with pytest.raises(RunGone):
        create(thread, idempotency=KEY)


def test_so_is_the_run_of_a_thread_that_was_deleted() -> None:
    actor = make_actor()
    thread = make_thread(actor)
    create(thread, idempotency=KEY)
    delete_thread(thread_id=thread.pk, actor=actor)
    with pytest.raises(RunGone):
        create(thread, idempotency=KEY)


def test_after_a_day_a_key_is_new_again() -> None:
    thread = make_thread()
    first = create(thread, idempotency=KEY).run
    IdempotencyKey.objects.update(created_at=ClockTimestamp() - timedelta(hours=25))
    again = create(thread, idempotency=KEY)
    assert not again.replayed
    assert again.run.pk != first.pk


def test_the_keys_of_a_batch_are_of_one_age() -> None:
    """Or there would be a moment in which a replay makes some runs anew and finds the others."""
    create_runs(specs=[RunSpec(assistant="echo")] * 3, actor=make_actor(), idempotency=KEY)
    assert IdempotencyKey.objects.count() == 3
    assert IdempotencyKey.objects.values("created_at").distinct().count() == 1
