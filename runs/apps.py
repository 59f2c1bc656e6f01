"""The Django app."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class RunsConfig(AppConfig):
    """Threads, runs and everything that happens to them."""

    name = "runs"
    verbose_name = "Runs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks, and LangGraph's part of the migrate step."""
        from runs import checks  # noqa: F401 - registers itself

        post_migrate.connect(_create_graph_tables, sender=self)


def _create_graph_tables(using: str, **_: Any) -> None:
    """LangGraph's tables are part of the schema, where LangGraph is installed."""
    from runs.assistants.graphs.project import langgraph_is_installed

    if langgraph_is_installed():
        from runs.execution.graphs.schema import create_tables

        create_tables(using)
