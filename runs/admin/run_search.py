"""The search of the list of runs: one thing, found by equality, with a word on what it was taken for."""

from collections.abc import Callable
from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.db.models import Q, Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.lookups import Exact

from runs.admin.base import as_uuid
from runs.models import Run, Thread, Worker


@dataclass(frozen=True)
class Found:
    """What the text was taken for; `condition` None: for nothing, and `words` say so."""

    words: str
    condition: Q | None


def search(text: str) -> Found:
    """Take the text for an id or a name, whichever exists; `kind:value` says which is meant."""
    kind, separator, value = text.partition(":")
    if separator and kind.lower() in _KINDS:
        name, look = _KINDS[kind.lower()]
        condition = look(value.strip())
        return Found(f"{name} = {value.strip()}", condition) if condition else _nothing(f"{name} “{value.strip()}”")
    kinds = _IDS if as_uuid(text) else _NAMES
    for name, look in kinds:
        if condition := look(text):
            return Found(f"{name} = {text}", condition)
    return _nothing("run, thread or worker with this id" if as_uuid(text) else f"assistant, user or error “{text}”")


def _nothing(what: str) -> Found:
    return Found(
        f"Not understood: there is no {what}. Search for the whole id of a run, thread or worker, or for the exact "
        "name of an assistant, user or kind of error; or say which: thread:…, owner:…, error:….",
        None,
    )


def _run(value: str) -> Q | None:
    pk = as_uuid(value)
    return Q(pk=pk) if pk and Run.objects.filter(pk=pk).exists() else None


def _thread(value: str) -> Q | None:
    pk = as_uuid(value)
    return Q(thread=pk) if pk and Thread.objects.filter(pk=pk).exists() else None


def _worker(value: str) -> Q | None:
    pk = as_uuid(value)
    return Q(worker=pk) if pk and Worker.objects.filter(pk=pk).exists() else None


def _assistant(value: str) -> Q | None:
    return Q(assistant=value) if Run.objects.filter(assistant=value).exists() else None


def _owner(value: str) -> Q | None:
    owner = get_user_model()._default_manager.filter(username=value).values_list("pk", flat=True).first()
    return None if owner is None else Q(owner=owner)


def failed_with(kind: str) -> Q:
    """Runs whose error is of this type; as text, which the index holds, and not as JSON."""
    return Q(error__isnull=False) & Q(Exact(KeyTextTransform("type", "error"), Value(kind)))


def _error(value: str) -> Q | None:
    failed = failed_with(value)
    return failed if Run.objects.filter(failed).exists() else None


_Look = Callable[[str], Q | None]
_IDS: tuple[tuple[str, _Look], ...] = (("run id", _run), ("thread", _thread), ("worker", _worker))
_NAMES: tuple[tuple[str, _Look], ...] = (("assistant", _assistant), ("owner", _owner), ("error type", _error))
#: What may stand before the colon.
_KINDS: dict[str, tuple[str, _Look]] = {name.split()[0]: (name, look) for name, look in (*_IDS, *_NAMES)}
