"""What a child does with a run that it may not claim because its worker is drained: another worker is to have it.

Not at once. As long as this worker takes messages the run could come back to it, to be refused and sent again: so the
child says that it was refused, the main process reads the row and stops taking messages, and then the run is handed
over, once. A worker that is resumed meanwhile claims it after all.
"""

import time
from uuid import UUID

from runs.execution.connections import executors_connection
from runs.execution.slots import Slot
from runs.services.draining import hand_over

#: How long to wait for the main process before the claim is tried again.
WAIT_SECONDS = 1.0
LOOK_EVERY_SECONDS = 0.02


def handed_over(run_id: UUID, slot: Slot) -> bool:
    """Hand the run over when this worker takes no messages any more; False: it still may, so claim it again."""
    slot.note_refusal()
    deadline = time.monotonic() + WAIT_SECONDS
    while slot.table.takes_messages:
        if time.monotonic() >= deadline:
            return False
        time.sleep(LOOK_EVERY_SECONDS)
    with executors_connection():
        hand_over(run_id)
    return True
