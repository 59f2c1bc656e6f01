"""The Celery application: queues carry hints, PostgreSQL carries the truth."""

import logging
import logging.config
import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

app = Celery("runyard")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def log_as_everywhere(loglevel: int | str | None = None, **_: Any) -> None:
    """Workers log as settings.LOGGING says, at the level of their command line, and what assistants print as well."""
    logging.config.dictConfig(settings.LOGGING)
    if loglevel is not None:
        logging.getLogger().setLevel(loglevel)
    log: Any = app.log  # its stubs want a number, which its pool children cannot read
    log.redirect_stdouts("WARNING")
