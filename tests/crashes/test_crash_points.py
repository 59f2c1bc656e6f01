"""SIGKILL at every named place of a run's life, to the pool child and to the whole worker.

Whatever is killed: every run ends as it should and in time, no effect happens twice in one attempt, the queue moves on,
and a place after the commit costs no second attempt.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from runs.actors import Actor
from runs.models import Run
from runs.services.cancel import cancel_run
from runs.states import CancelAction, RunStatus
from tests.support import crash_points
from tests.support.factories import make_run, make_thread
from tests.support.ledger import entries, open_gate, wait_for_entry, wait_until
from tests.support.outages import standing_still
from tests.support.scale import rounds
from tests.support.stack import Stack
from tests.support.stage import empty_queue, head_values

pytestmark = [pytest.mark.usefixtures("db", "intact", "swept"), pytest.mark.timeout(1800)]

OPERATOR = Actor("operator")
SECONDS = 60.0
EFFECTS = ["paid 0", "paid 1", "paid 2"]


@pytest.fixture(scope="module")
def stack(db: None) -> Iterator[Stack]:
    """Three workers: one dies, one goes on, one is being started."""
    empty_queue()
    with Stack(workers=3) as stack:
        yield stack


@pytest.fixture(autouse=True)
def mended(stack: Stack) -> Iterator[None]:
    """Every test begins with two living workers, and leaves no place armed."""
    stack.mend(workers=2)
    yield
    crash_points.disarm()


def settled(run: Run) -> Run:
    """The run, terminal and left, within the time that a lease, a sweep and a start take."""
    found = Run.objects.filter(pk=run.pk, finished_at__isnull=False, leased=False)
    return wait_until(found.first, f"run {run.pk} to be settled", SECONDS)


class Story(NamedTuple):
    """What happens to a run while it comes by a place, and what must have become of it."""

    begin: Callable[[], Run]
    act: Callable[[Run], object]
    status: str
    #: The attempts at which it may end, whoever dies.
    attempts: tuple[int, ...]
    #: A scheduler may do it as well, and must not be faster than the process that is to die there.
    is_everybodys: bool = False


def _pay() -> Run:
    """Pays nothing before there is a run behind it: else nobody would be published when it ends."""
    thread = make_thread()
    return make_run(thread, assistant="payer", kwargs={"input": {"gate": f"behind-{thread.pk}"}})


def _wait_to_be_cancelled() -> Run:
    run = make_run(make_thread(), assistant="sync_code")
    wait_for_entry(run.pk, "beat")
    return run


def _cancel(action: CancelAction) -> Callable[[Run], object]:
    return lambda run: cancel_run(run_id=run.pk, actor=OPERATOR, action=action)


def _nothing(run: Run) -> None:
    """The run comes by itself."""


PAYS_AGAIN = Story(_pay, _nothing, RunStatus.SUCCESS, (2,))
PAYS_ONCE = Story(_pay, _nothing, RunStatus.SUCCESS, (1,))
INTERRUPTED = Story(_wait_to_be_cancelled, _cancel(CancelAction.INTERRUPT), RunStatus.INTERRUPTED, (1,))
ROLLED_BACK = Story(_wait_to_be_cancelled, _cancel(CancelAction.ROLLBACK), RunStatus.INTERRUPTED, (1,))
KILLED = Story(lambda: make_run(make_thread(), assistant="killed_once"), _nothing, RunStatus.SUCCESS, (2,))
#: The child beside it may have claimed the run before both die.
HANDED_BACK = KILLED._replace(attempts=(2, 3))
OVERDUE = Story(
    lambda: make_run(make_thread(), assistant="sync_code", timeout_seconds=0.5), _nothing, RunStatus.TIMEOUT, (1,), True
)

BOTH = (crash_points.CHILD, crash_points.WORKER)
#: Places that the main process comes by have no child to kill.
MAIN = (crash_points.WORKER,)

PLACES: list[tuple[str, str, Story, tuple[str, ...]]] = [
    ("before the claim", "paying", PAYS_ONCE, BOTH),
    ("inside the claim", "paying", PAYS_ONCE, BOTH),
    ("after the claim", "paying", PAYS_AGAIN, BOTH),
    ("before a step", "paying", PAYS_AGAIN, BOTH),
    ("inside a step", "paying", PAYS_AGAIN, BOTH),
    ("after a step", "paying", PAYS_AGAIN, BOTH),
    ("after a frame", "paying", PAYS_AGAIN, BOTH),
    ("before the finish", "paying", PAYS_AGAIN, BOTH),
    ("inside the finish", "paying", PAYS_AGAIN, BOTH),
    ("between commit and publish", "paying", PAYS_ONCE, BOTH),
    ("after the publish", "paying", PAYS_ONCE, BOTH),
    ("between commit and end marker", "paying", PAYS_ONCE, BOTH),
    ("after the finish", "paying", PAYS_ONCE, BOTH),
    ("before the acknowledgement", "paying", PAYS_ONCE, MAIN),
    ("before the lease is given back", "interrupted", INTERRUPTED, BOTH),
    ("before the lease is given back", "rolled back", ROLLED_BACK, BOTH),
    ("inside a settlement", "interrupted", INTERRUPTED, BOTH),
    ("inside a settlement", "rolled back", ROLLED_BACK, BOTH),
    ("inside a hand-back", "killed", KILLED, MAIN),
    ("after a hand-back", "killed", HANDED_BACK, MAIN),
    ("inside a time-out", "overdue", OVERDUE, MAIN),
    ("after a time-out", "overdue", OVERDUE, MAIN),
]
#: A new worker takes seconds to start: the everyday share kills whole workers at a third of the places.
EVERYDAY = rounds(10) == 1
CASES = [
    pytest.param(place, story, victim, id=f"{place}, {name}, {victim}")
    for number, (place, name, story, victims) in enumerate(PLACES)
    for victim in victims
    if victim == crash_points.CHILD or not EVERYDAY or number % 3 == 0
]


@pytest.mark.parametrize(("place", "story", "victim"), CASES)
def test_sigkill(place: str, story: Story, victim: str, stack: Stack) -> None:
    for _ in range(rounds(10)):
        stack.mend(workers=2)
        with standing_still(*(stack.scheduler_pids if story.is_everybodys else ())):
            run, behind = die_once(place, story, victim)
        check(story, run, behind)


def die_once(place: str, story: Story, victim: str) -> tuple[Run, Run]:
    """One kill, of whoever comes by the place with a run; and the run that waits behind that one."""
    if story.act is _nothing:
        wait_for_death = crash_points.arm(place, victim)
        run = story.begin()
    else:
        run = story.begin()
        wait_for_death = crash_points.arm(place, victim)
    behind = make_run(run.thread, assistant="prompt")
    open_gate(f"behind-{run.thread_id}")
    story.act(run)
    wait_for_death()
    return run, behind


def check(story: Story, run: Run, behind: Run) -> None:
    """The run ends as told, and the one that waits behind it succeeds."""
    run, behind = settled(run), settled(behind)
    assert (run.status, run.attempt in story.attempts) == (story.status, True)
    assert run.crashes == sum(event.reason.startswith("crash") for event in run.events.all())
    assert (behind.status, behind.attempt) == (RunStatus.SUCCESS, 1)
    assert entries(behind.pk, "start")[0].at > entries(run.pk)[-1].at
    check_effects(run)


def check_effects(run: Run) -> None:
    """At most once in each attempt, and in the order of the attempts; the attempt that succeeded has all of them."""
    done = [(entry.attempt, entry.event) for entry in entries(run.pk) if entry.event.startswith("paid")]
    assert done == sorted(set(done))
    if run.assistant == "payer":
        assert [event for attempt, event in done if attempt == run.attempt] == EFFECTS
        assert head_values(run) is not None
