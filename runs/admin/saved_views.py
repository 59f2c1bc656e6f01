"""Views of the list of runs: what the system offers, what operators have saved, and how they save and change it.

A view is an address. Whoever opens one sees what they may see, whoever has saved it.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import BooleanField, ExpressionWrapper, Q
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from runs.admin.run_filters import SEARCH, RunFilter
from runs.admin.run_query import LONGEST
from runs.errors import InvalidRequest, RunError
from runs.models import SavedView
from runs.services.saved_views import (
    delete_view,
    rename_view,
    replace_view,
    save_view,
    share_view,
    withdraw_view,
)

SHARE = "runs.share_savedview"
MOST_SHOWN = 150
PRESETS = (
    ("Needs attention", "age=1d", "status:error OR status:timeout"),
    ("Waiting long", "", "status:pending waited:>5m"),
    ("Running long", "", "status:running ran:>10m"),
    ("Cancelled today", "age=1d", "status:interrupted"),
)


def offered(request: HttpRequest, wanted: RunFilter) -> dict[str, Any]:
    """For the template: presets and saved views with their addresses, and which of them is looked at. One statement."""
    saved = [_shown(view, wanted) for view in _saved(request.user)]
    return {
        "presets": [_preset(*each, wanted) for each in PRESETS],
        "views": saved,
        "own_views": [view for view in saved if view["is_own"]],
        "others_views": [view for view in saved if not view["is_own"]],
        "may_share": request.user.has_perm(SHARE),
        "longest_name": SavedView.LONGEST_NAME,
    }


def _saved(user: Any) -> Any:
    """One's own first, each by name."""
    is_own = ExpressionWrapper(Q(owner=user), output_field=BooleanField())
    views = SavedView.objects.offered_to(user).annotate(is_own=is_own).select_related("owner")
    return views.order_by("-is_own", "name", "pk")[:MOST_SHOWN]


def _preset(name: str, rest: str, search: str, wanted: RunFilter) -> dict[str, Any]:
    link = f"?{rest}{'&' if rest else ''}{urlencode({'q': search})}"
    return {"name": name, "link": link, "current": link == wanted.address()}


def _shown(view: Any, wanted: RunFilter) -> dict[str, Any]:
    link = f"?{view.query}"
    return {
        "id": view.pk,
        "name": view.name,
        "link": link,
        "current": link == wanted.exact_address,
        "shared": view.shared,
        "is_own": view.is_own,
        "by": "" if view.is_own else view.owner.get_username(),
    }


@require_POST
def change(request: HttpRequest) -> HttpResponse:
    """Save, rename, replace, share or delete a view, say what was done or why not, and return to the same list."""
    verb = _VERBS.get(request.POST.get("do", ""))
    if verb is None:
        raise Http404
    wanted = RunFilter.parse(QueryDict(request.POST.get("filter", "").lstrip("?")))
    try:
        messages.success(request, verb(request, wanted))
    except RunError as error:
        messages.error(request, error.message)
    return redirect(reverse("admin:runs_run_changelist") + wanted.address())


def _save(request: HttpRequest, wanted: RunFilter) -> str:
    shared = "shared" in request.POST
    if shared and not request.user.has_perm(SHARE):
        raise PermissionDenied
    name, parameters = request.POST.get("name", ""), _parameters(wanted)
    view = save_view(owner=request.user, name=name, parameters=parameters, shared=shared)
    return f"The view “{view.name}” is saved" + (" and shared with all who see runs." if shared else ".")


def _rename(request: HttpRequest, wanted: RunFilter) -> str:
    view = rename_view(**_chosen(request), name=request.POST.get("name", ""), may_share=request.user.has_perm(SHARE))
    return f"The view is now called “{view.name}”."


def _replace(request: HttpRequest, wanted: RunFilter) -> str:
    parameters = _parameters(wanted)
    view = replace_view(**_chosen(request), parameters=parameters, may_share=request.user.has_perm(SHARE))
    return f"The view “{view.name}” is now the filter that you look at."


def _share(request: HttpRequest, wanted: RunFilter) -> str:
    if not request.user.has_perm(SHARE):
        raise PermissionDenied
    view = share_view(**_chosen(request), shared=True, may_share=True)
    return f"The view “{view.name}” is shared with all who see runs."


def _unshare(request: HttpRequest, wanted: RunFilter) -> str:
    view = share_view(**_chosen(request), shared=False, may_share=False)
    return f"The view “{view.name}” is yours alone again."


def _withdraw(request: HttpRequest, wanted: RunFilter) -> str:
    if not request.user.has_perm(SHARE):
        raise PermissionDenied
    view = withdraw_view(view_id=_chosen(request)["view_id"])
    return f"The view “{view.name}” is shown to {view.owner.get_username()} alone."


def _delete(request: HttpRequest, wanted: RunFilter) -> str:
    return f"The view “{delete_view(**_chosen(request)).name}” is deleted."


def _chosen(request: HttpRequest) -> dict[str, Any]:
    text = request.POST.get("view", "")
    known = text.isascii() and text.isdigit() and len(text) < 19  # noqa: PLR2004 - 64 bits
    return {"owner": request.user, "view_id": int(text) if known else 0}


def _parameters(wanted: RunFilter) -> dict[str, str]:
    """What the list knows and has understood; anything else is nobody's view."""
    if wanted.mistakes:
        raise InvalidRequest(f"This filter is not saved, because it is not understood. {' '.join(wanted.mistakes)}")
    if len(wanted.exact.get(SEARCH, "")) > LONGEST:
        raise InvalidRequest("This search is too long to be saved: with the kind of each term it cannot be read again.")
    return wanted.exact


_VERBS: dict[str, Callable[[HttpRequest, RunFilter], str]] = {
    "save": _save,
    "rename": _rename,
    "replace": _replace,
    "share": _share,
    "unshare": _unshare,
    "withdraw": _withdraw,
    "delete": _delete,
}
