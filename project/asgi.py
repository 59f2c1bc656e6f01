"""The ASGI application that serves the API, the admin and the documentation."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

_django = get_asgi_application()

from runs.api.edge import guarded  # noqa: E402 (after the setup)

application = guarded(_django)
