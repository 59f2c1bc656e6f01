"""What surrounds every page: the deployment's name and the way to the other pages. settings.UNFOLD names it."""

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse

from runs.conf import runs_settings

#: Colour by name; any other deployment is shown in blue.
_COLOURS = {"production": "danger", "prod": "danger", "staging": "warning", "development": "success"}


def environment(request: HttpRequest) -> list[str] | None:
    """The name of the deployment and the colour of its badge, so that nobody cancels runs in the wrong one."""
    name = runs_settings().ENVIRONMENT
    return [name, _COLOURS.get(name.lower(), "info")] if name else None


def palette_script(request: HttpRequest) -> str:
    """What Enter does in the command palette, on every page."""
    return static("runs/palette.js")


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The sidebar: what the visitor may see, and the pages beside the console that are configured."""
    return [
        {"title": "Runs", "items": _permitted(request, _RUN_PAGES)},
        {"title": "Access", "separator": True, "items": _permitted(request, _ACCESS_PAGES)},
        {"title": "Elsewhere", "separator": True, "items": list(_elsewhere())},
    ]


#: (title, icon, route, permission that shows it)
_RUN_PAGES = (
    ("Dashboard", "monitoring", "admin:index", ""),
    ("Runs", "play_circle", "admin:runs_run_changelist", "runs.view_run"),
    ("Threads", "forum", "admin:runs_thread_changelist", "runs.view_thread"),
    ("Workers", "dns", "admin:runs_worker_changelist", "runs.view_worker"),
    ("Checkpoints", "flag", "admin:runs_checkpoint_changelist", "runs.view_checkpoint"),
    ("Events", "history", "admin:runs_runevent_changelist", "runs.view_runevent"),
    ("Assistants", "smart_toy", "playground", ""),
)
_ACCESS_PAGES = (
    ("API keys", "key", "admin:runs_apikey_changelist", "runs.view_apikey"),
    ("Idempotency keys", "repeat_one", "admin:runs_idempotencykey_changelist", "runs.view_idempotencykey"),
    ("Users", "person", "admin:auth_user_changelist", "auth.view_user"),
    ("Groups", "group", "admin:auth_group_changelist", "auth.view_group"),
)


def _permitted(request: HttpRequest, pages: tuple[tuple[str, str, str, str], ...]) -> list[dict[str, Any]]:
    links = []
    for title, icon, route, permission in pages:
        link = _address(route)
        if link is not None and (not permission or request.user.has_perm(permission)):
            links.append({"title": title, "icon": icon, "link": link})
    return links


def _elsewhere() -> list[dict[str, Any]]:
    flower = runs_settings().FLOWER_URL or None
    pages = (("Flower", "local_florist", flower), ("API documentation", "menu_book", _address("docs")))
    # Never active: an address that ends with its host would be taken for a part of every page's.
    return [
        {"title": title, "icon": icon, "link": link, "active": False} for title, icon, link in pages if link is not None
    ]


def _address(route: str) -> str | None:
    """Where a page is; None in a deployment that does not have it."""
    try:
        return reverse(route)
    except NoReverseMatch:
        return None
