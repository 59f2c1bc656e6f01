"""How a delivery of a run's message may end."""

from enum import StrEnum


class Ending(StrEnum):
    """How a delivery of a run's message ended, for the Celery task to present."""

    LOST_CLAIM = "lost claim"
    SUCCESS = "success"
    ERROR = "error"
    STOPPED = "stopped"
