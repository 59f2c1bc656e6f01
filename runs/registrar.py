"""A worker that starts writes down what it can execute, if nobody has done so.

Functions are imported already. Graphs are described by a process of its own, because a worker's main process executes
nothing of theirs.
"""

import logging
import subprocess
import sys
import threading
from typing import Any

from celery import signals
from django.db import connections

from runs.assistants import registry
from runs.services import registration

logger = logging.getLogger(__name__)


@signals.worker_ready.connect
def on_worker_ready(**_: Any) -> None:
    """In the main process, when it can consume; beside everything else, for the database may be away."""
    threading.Thread(target=register, name="registrar", daemon=True).start()


def register() -> None:
    """Register functions, and graphs that nobody has described. What fails is logged: runs do not depend on it."""
    try:
        functions = [name for name, found in registry.registered().items() if found.graph is None]
        registration.register_assistants(names=functions)
        if graphs := registration.unregistered():
            _describe(graphs)
    except Exception:
        logger.exception("assistants could not be registered; `manage.py register_assistants` does so")
    finally:
        connections.close_all()


def _describe(names: list[str]) -> None:
    command = [sys.executable, "-m", "django", "register_assistants", *names]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603
    if problems := done.stderr.strip():
        logger.error("graphs that could not be described:\n%s", problems)
