"""From anywhere to the page of an id: what the console's command palette (Ctrl-K) finds. settings.UNFOLD names it."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from unfold.dataclasses import SearchResult

from runs.admin.base import as_uuid
from runs.models import Checkpoint, Run, Thread, Worker

#: The tables whose rows have an id that people come with: the table, its word, its icon.
_PLACES: tuple[tuple[type[Model], str, str], ...] = (
    (Run, "Run", "play_circle"),
    (Thread, "Thread", "forum"),
    (Worker, "Worker", "dns"),
    (Checkpoint, "Checkpoint", "flag"),
)


def jump(request: HttpRequest, term: str) -> list[SearchResult]:
    """The rows that have this id, whole, among those that the visitor may see."""
    pk = as_uuid(term.strip())
    return [] if pk is None else list(_found(request.user, pk))


def _found(user: Any, pk: Any) -> Iterator[SearchResult]:
    for table, word, icon in _PLACES:
        name = table._meta.model_name
        if user.has_perm(f"runs.view_{name}") and table._default_manager.filter(pk=pk).exists():
            link = reverse(f"admin:runs_{name}_change", args=[pk])
            yield SearchResult(title=f"{word} {pk}", description="open its page", link=link, icon=icon)
