"""A process has exited with attempts: whose fault was it? Only a crash counts, and only against a run that it proves
to be the cause: one that was alone in its process."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from runs.execution.slots import Execution, Order
from runs.states import Departure


@dataclass(frozen=True)
class Exit:
    """An attempt whose process has exited, and the order it had been given."""

    execution: Execution
    order: Order | None


def departures(
    exits: Sequence[Exit], *, killed_for: Execution | None, shutting_down: bool
) -> list[tuple[Execution, Departure]]:
    """What became of the attempts of one process. `killed_for`: whom the main process has killed it for."""
    blamed = [exit.execution for exit in exits if exit.execution.leftovers]
    blamed += [exit.execution for exit in exits if killed_for is not None and is_same(exit.execution, killed_for)]
    return [(exit.execution, _departure(exit, exits, blamed, shutting_down)) for exit in exits]


def _departure(exit: Exit, exits: Sequence[Exit], blamed: Collection[Execution], shutting_down: bool) -> Departure:
    if shutting_down:
        return Departure.SHUTDOWN
    if exit.order == Order.SHUTDOWN:  # somebody asked this process to end
        return Departure.TERMINATED
    if blamed:
        return Departure.CRASH if exit.execution in blamed else Departure.NEIGHBOUR
    executing = [one for one in exits if one.execution.attempt] or exits
    if exit not in executing:  # it was about to begin: no code of its own was executed
        return Departure.NEIGHBOUR
    return Departure.CRASH if len(executing) == 1 else Departure.SUSPECT


def is_same(one: Execution, other: Execution) -> bool:
    """Whether both are the same attempt in the same process; 0: its claim is not written to the slot yet."""
    same_attempt = one.attempt == other.attempt or 0 in (one.attempt, other.attempt)
    return one.pid == other.pid and one.run_id == other.run_id and same_attempt
