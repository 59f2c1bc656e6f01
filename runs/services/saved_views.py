"""Views that operators save: their own to name, replace, share and delete.

Each change locks the operator's row first: so names stay unique and views bounded, whoever clicks at the same time. The
parameters are given as they were understood; what was not understood is nobody's view.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.db import transaction

from runs.errors import Conflict, InvalidRequest, NotFound
from runs.locks import lock_user
from runs.models import ClockTimestamp, SavedView

MOST_VIEWS = 50


@transaction.atomic
def save_view(*, owner: Any, name: str, parameters: Mapping[str, str], shared: bool = False) -> SavedView:
    """Keep the parameters of a list under a name.

    Raises InvalidRequest for a name or parameters that are none, Conflict for a name that the owner has used or if
    there are MOST_VIEWS of them already.
    """
    lock_user(owner)
    name, query = _name(name), _query(parameters)
    own = SavedView.objects.filter(owner=owner)
    _refuse_taken(own, name)
    if own.count() >= MOST_VIEWS:
        raise Conflict(f"You have {MOST_VIEWS} views, which is as many as there can be. Delete one first.")
    return SavedView.objects.create(owner=owner, name=name, query=query, shared=shared)


@transaction.atomic
def rename_view(*, owner: Any, view_id: int, name: str, may_share: bool) -> SavedView:
    """Call an own view something else. Raises as save_view does, and as _changeable."""
    view = _changeable(owner, view_id, may_share)
    name = _name(name)
    _refuse_taken(SavedView.objects.filter(owner=owner).exclude(pk=view.pk), name)
    return _store(view, name=name)


@transaction.atomic
def replace_view(*, owner: Any, view_id: int, parameters: Mapping[str, str], may_share: bool) -> SavedView:
    """Let an own view ask for something else. Raises InvalidRequest as save_view does, and as _changeable."""
    view = _changeable(owner, view_id, may_share)
    return _store(view, query=_query(parameters))


@transaction.atomic
def share_view(*, owner: Any, view_id: int, shared: bool, may_share: bool) -> SavedView:
    """Offer an own view to all who see runs, or to nobody else again, which needs no permission."""
    view = _own(owner, view_id) if not shared else _changeable(owner, view_id, may_share, shares=True)
    return _store(view, shared=shared)


@transaction.atomic
def withdraw_view(*, view_id: int) -> SavedView:
    """Offer a shared view to nobody but its owner again; for whoever may share, whosesoever it is. Raises NotFound."""
    shared = SavedView.objects.filter(pk=view_id, shared=True).select_related("owner").first()
    if shared is None:
        raise NotFound("There is no such shared view. It may have been taken back meanwhile.")
    return _store(_own(shared.owner, view_id), shared=False)


@transaction.atomic
def delete_view(*, owner: Any, view_id: int) -> SavedView:
    """Forget an own view. Raises NotFound if there is none."""
    view = _own(owner, view_id)
    view.delete()
    return view


def _own(owner: Any, view_id: int) -> SavedView:
    """The view as it is under the lock; somebody else's is as unknown as one that never was."""
    lock_user(owner)
    view = SavedView.objects.filter(owner=owner, pk=view_id).first()
    if view is None:
        raise NotFound("There is no such view of yours. It may have been deleted meanwhile.")
    return view


def _changeable(owner: Any, view_id: int, may_share: bool, shares: bool = False) -> SavedView:
    """What all are shown is changed only by who may show it to them. Raises NotFound, or InvalidRequest for that."""
    view = _own(owner, view_id)
    if (view.shared or shares) and not may_share:
        raise InvalidRequest("You may not change what is shared with all. Stop sharing the view first.")
    return view


def _store(view: SavedView, **columns: Any) -> SavedView:
    SavedView.objects.filter(pk=view.pk).update(**columns, updated_at=ClockTimestamp())
    view.refresh_from_db()
    return view


def _refuse_taken(others: Any, name: str) -> None:
    if others.filter(name=name).exists():
        raise Conflict(f"You have a view “{name}” already. Replace that one, or choose another name.")


def _name(text: str) -> str:
    name = " ".join(text.split())
    if not name or len(name) > SavedView.LONGEST_NAME or not name.isprintable():
        raise InvalidRequest(f"A view needs a name of at most {SavedView.LONGEST_NAME} characters.")
    return name


def _query(parameters: Mapping[str, str]) -> str:
    query = urlencode(parameters)
    if not query:
        raise InvalidRequest("Filter or search first: a view without either is the list itself.")
    if len(query) > SavedView.LONGEST_QUERY:
        raise InvalidRequest("This filter is too long to be saved.")
    return query
