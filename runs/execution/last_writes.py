"""What a graph has written last, where no outcome takes it along."""

import logging
from collections.abc import Callable, Sequence
from functools import partial

from runs.errors import Fenced
from runs.execution.persistence import persist
from runs.models import Run
from runs.services.graph_writes import GraphWrite, put_graph_writes

logger = logging.getLogger(__name__)


def store_last_writes(run: Run, writes: Sequence[GraphWrite], *, give_up: Callable[[], bool] = lambda: False) -> None:
    """Store them one by one, as far as the run is still this attempt's and the database takes them.

    Its next attempt goes on behind the last that was stored; if there is none, the run's error says why.
    """
    put = partial(put_graph_writes, run_id=run.pk, thread_id=run.thread_id, attempt=run.attempt)
    try:
        for write in writes:
            persist(partial(put, writes=[write]), give_up=give_up)
    except Fenced:
        logger.info("run %s attempt %s: its last writes came after it had been stopped", run.pk, run.attempt)
    except Exception:
        logger.exception("run %s: what its graph has written last could not be stored", run.pk)
