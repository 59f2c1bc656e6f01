"""The Django app."""

from django.apps import AppConfig


class RunsConfig(AppConfig):
    """Threads, runs and everything that happens to them."""

    name = "runs"
    verbose_name = "Runs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks."""
        from runs import checks  # noqa: F401 - registers itself
