"""The ASGI application that serves the API, the admin and the documentation."""

import os
import resource
from contextlib import suppress

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

#: An open stream is an open file. More than this is for several web processes.
OPEN_FILES = 65536


def allow_open_files() -> None:
    """Raise this process' limit on open files, which by default is too low for a thousand streams, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft < wanted:
        with suppress(ValueError, OSError):  # a system may allow less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


allow_open_files()
django.setup(set_prefix=False)

from django.conf import settings  # noqa: E402 (after the setup)

from project.handler import OneThreadHandler  # noqa: E402
from runs.api.edge import guarded  # noqa: E402

pool = settings.DATABASES["default"].get("OPTIONS", {}).get("pool", {})
application = guarded(OneThreadHandler(pool.get("max_size")))
