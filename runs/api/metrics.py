"""/metrics for Prometheus. Not part of the API: no key opens it, and no document describes it."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from runs.exposition import CONTENT_TYPE, exposition, may_scrape

_FORWARDED = ("X-Forwarded-For", "Forwarded")


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """What this machine has counted and what the rows say now, for whoever may know it."""
    allowed = may_scrape(
        authorization=request.headers.get("Authorization", ""),
        address=request.META.get("REMOTE_ADDR", ""),
        forwarded=any(name in request.headers for name in _FORWARDED),
    )
    if not allowed:
        return HttpResponse("Forbidden: send RUNYARD_METRICS_TOKEN as a bearer token.\n", status=403)
    return HttpResponse(exposition(with_rows=True), content_type=CONTENT_TYPE)
