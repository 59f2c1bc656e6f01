"""/playground/: a page for trying assistants. It has no powers of its own: all it does is done by the API."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from runs.assistants import registry
from runs.conf import runs_settings
from runs.states import DisconnectMode, MultitaskStrategy

#: The page needs nothing from elsewhere, and nobody may frame it.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@require_safe
@login_required(login_url="admin:login")
def playground(request: HttpRequest) -> HttpResponse:
    """Show the page to whoever has logged in; their session and its CSRF token are what it calls the API with."""
    shown = {
        "assistants": [_present(name) for name in sorted(registry.registered())],
        "strategies": MultitaskStrategy.values,
        "default_strategy": runs_settings().default_multitask_strategy,
        "disconnect_modes": [DisconnectMode.CONTINUE, DisconnectMode.CANCEL],
    }
    response = render(request, "runs/playground.html", shown)
    response["Content-Security-Policy"] = _POLICY
    response["Cache-Control"] = "no-store"
    return response


def _present(name: str) -> dict[str, Any]:
    found = registry.get(name)
    return {"name": name, "description": found.description, "sample": {} if found.sample is None else found.sample}
