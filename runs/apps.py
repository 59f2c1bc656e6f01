"""The Django app."""

from django.apps import AppConfig


class RunsConfig(AppConfig):
    """Threads, runs and everything that happens to them."""

    name = "runs"
    verbose_name = "Runs"
    default_auto_field = "django.db.models.BigAutoField"
