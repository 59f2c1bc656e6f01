"""What operators do to runs: cancel, retry, force stop. Each goes through its service and is permitted by itself."""

from collections.abc import Callable
from dataclasses import dataclass

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import OperationalError
from django.db.models import Q
from django.http import HttpRequest

from runs.actors import Actor
from runs.errors import RunError
from runs.locks import bounded_lock_waits, is_lock_timeout
from runs.models import Run
from runs.services.cancel import cancel_run, cancel_runs
from runs.services.retry import retry_run
from runs.states import IN_FLIGHT, TERMINAL, CancelAction

LONGEST_REASON = 500


@dataclass(frozen=True)
class Order:
    """What the operator has decided, for any number of runs."""

    actor: Actor
    reason: str
    cancel_action: CancelAction = CancelAction.INTERRUPT


@dataclass(frozen=True)
class Result:
    """What became of one run: `done` False says in `words` why nothing was changed."""

    done: bool
    words: str
    new_run: str = ""


@dataclass(frozen=True)
class Action:
    """An action: its words, the permission it needs, the runs it can be done to, and how."""

    name: str
    title: str
    #: What is done, after "by": the operator's name.
    done: str
    #: A sentence for the dialog.
    explanation: str
    possible: Q
    perform: Callable[[Run, Order], Result]
    asks_how: bool = False

    @property
    def permission(self) -> str:
        """The permission that allows it."""
        return f"runs.{self.name}_run"

    def allowed(self, request: HttpRequest) -> bool:
        """Whether the visitor may do it to runs, which includes seeing them."""
        user = request.user
        return user.has_perm("runs.view_run") and user.has_perm(self.permission)


def carry_out(action: Action, run: Run, order: Order, *, user_id: int) -> Result:
    """Do it to one run in a transaction of its own, and log it for the operator if anything was done.

    A refusal is a result; a thread that somebody holds for long is one, too, and holds nobody else up.
    """
    try:
        with bounded_lock_waits():
            result = action.perform(run, order)
    except RunError as error:
        return Result(False, error.message)
    except OperationalError as error:
        if not is_lock_timeout(error):
            raise
        return Result(False, "Its thread is busy with something else; try again.")
    if result.done:
        _log(run, f"{action.title}: {order.reason}", user_id)
    return result


def _log(run: Run, message: str, user_id: int) -> None:
    LogEntry.objects.create(
        user_id=user_id,
        content_type=ContentType.objects.get_for_model(Run),
        object_id=str(run.pk),
        object_repr=str(run.pk),
        action_flag=CHANGE,
        change_message=message,
    )


def _cancel(run: Run, order: Order) -> Result:
    """The service says which runs this call has cancelled: of what had ended before, nothing is logged."""
    if cancel_runs(actor=order.actor, run_ids=[run.pk], action=order.cancel_action, reason=order.reason):
        return Result(True, "cancelled")
    return Result(False, "It had ended before.")


def _force_stop(run: Run, order: Order) -> Result:
    """Nothing to kill is no success: then a cancel is what is wanted."""
    if not Run.objects.filter(pk=run.pk, leased=True).exists():
        return Result(False, "No worker executes it any more.")
    cancel_run(run_id=run.pk, actor=order.actor, action=order.cancel_action, reason=order.reason, force=True)
    return Result(True, "its worker was told to kill the process")


def _retry(run: Run, order: Order) -> Result:
    new = retry_run(run_id=run.pk, actor=order.actor, reason=order.reason).run
    return Result(True, f"retried as run {new.pk}", new_run=str(new.pk))


ACTIONS = {
    action.name: action
    for action in (
        Action(
            name="cancel",
            title="Cancel",
            done="cancelled",
            explanation="A pending run ends now. A running one is interrupted now, and its worker told; it has a few "
            "seconds to clean up.",
            possible=Q(status__in=sorted(IN_FLIGHT)),
            perform=_cancel,
            asks_how=True,
        ),
        Action(
            name="retry",
            title="Retry",
            done="retried",
            explanation="A new run with the same request is accepted on the same thread and waits for its turn. The "
            "old one stays as it is.",
            possible=Q(status__in=sorted(TERMINAL)),
            perform=_retry,
        ),
        Action(
            name="force_stop",
            title="Force stop",
            done="force stopped",
            explanation="The process that executes the run is killed without time to clean up. Other runs in it start "
            "again. For runs that a cancel does not end.",
            possible=Q(leased=True),
            perform=_force_stop,
            asks_how=True,
        ),
    )
}
