"""Whether anybody is interested in a run, over all web processes."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest
import redis

from runs.streaming import interest
from runs.streaming.connection import writer
from runs.streaming.hub import Hub
from tests.support.ledger import wait_until
from tests.support.reading import Loop
from tests.support.watching import Watcher

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def loop(db: None) -> Iterator[Loop]:
    """A loop for each test: every hub is new."""
    with Loop() as loop:
        yield loop


@asynccontextmanager
async def another_hub() -> AsyncIterator[Hub]:
    """Another web process."""
    other = Hub()
    try:
        yield other
    finally:
        await other.close()


def test_interest_is_known_over_all_processes(loop: Loop) -> None:
    run_id = uuid4()

    async def scene() -> list[float | None]:
        async with another_hub() as other:
            nobody = await interest.lasts(loop.hub, run_id, 2.0)
            async with other.watch(run_id):
                elsewhere = await interest.lasts(loop.hub, run_id, 2.0)
                here = await interest.lasts(other, run_id, 2.0)
        return [nobody, elsewhere, here]

    assert loop.run(scene()) == [0.0, 2.0, 2.0]


def test_interest_outlives_a_watcher_by_the_time_it_leaves(loop: Loop) -> None:
    run_id = uuid4()
    loop.run(interest.keep(loop.hub, run_id, 60.0))
    left = loop.run(interest.lasts(loop.hub, run_id, 2.0))
    assert left is not None
    assert 50 < left <= 60


def test_interest_is_not_knowable_right_after_a_lost_connection(loop: Loop) -> None:
    """Other processes may still be on their way back: their watchers do not count yet."""
    mine, theirs = uuid4(), uuid4()
    Watcher(loop, mine).ready()
    assert loop.run(interest.lasts(loop.hub, theirs, 2.0)) == 0.0
    writer().client_kill_filter(_type="pubsub")
    wait_until(lambda: loop.hub.lost_at > 0, "the loss to be noticed")
    assert loop.run(interest.lasts(loop.hub, theirs, 2.0)) is None
    assert loop.run(interest.lasts(loop.hub, mine, 2.0)) == 2.0


def test_one_question_that_is_not_answered_leaves_the_interest_knowable(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, asked = interest._ask, []

    async def fail_once(hub: Hub, run_id: UUID) -> tuple[int, int]:
        asked.append(run_id)
        if len(asked) == 1:
            raise redis.ConnectionError("a moment's trouble")
        return await ask(hub, run_id)

    monkeypatch.setattr(interest, "_ask", fail_once)
    run_id = uuid4()
    assert loop.run(interest.lasts(loop.hub, run_id, 2.0)) == 0
    assert asked == [run_id, run_id]
