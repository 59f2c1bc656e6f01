"""Addresses of runs for headers: relative to the API's base URL, to which SDKs append them, never to the host."""

from collections.abc import Collection
from typing import Any
from urllib.parse import urlencode

from drf_spectacular.utils import OpenApiParameter

from runs.models import Run

CONTENT_LOCATION = OpenApiParameter(
    "Content-Location", str, OpenApiParameter.HEADER, response=[200], description="Where the run is."
)
LOCATION = OpenApiParameter(
    "Location",
    str,
    OpenApiParameter.HEADER,
    response=[200],
    description="Where to wait again if the connection breaks.",
)


def run_path(thread_id: Any, run_id: Any) -> str:
    """Where a run is."""
    return f"/threads/{thread_id}/runs/{run_id}"


def run_headers(run: Run) -> dict[str, str]:
    """Tell where the run is; SDKs read its id from here."""
    return {"Content-Location": run_path(run.thread_id, run.pk)}


def stateless_headers(run: Run) -> dict[str, str]:
    """Tell where the run of a stateless create is, as LangGraph's server does."""
    return {"Content-Location": f"/runs/{run.pk}"}


def join_headers(run: Run, *, cares: bool = False) -> dict[str, str]:
    """Tell also where to wait for the run; SDKs go on there when a connection is cut, with the query as it is."""
    where = run_path(run.thread_id, run.pk)
    query = "?cancel_on_disconnect=1" if cares else ""
    return {"Location": f"{where}/join{query}", "Content-Location": where}


def stream_headers(run: Run, *, modes: Collection[str] | None, cares: bool) -> dict[str, str]:
    """Tell also where to watch the run again: with the same modes, and meaning the same by going away."""
    where = run_path(run.thread_id, run.pk)
    query = urlencode({"cancel_on_disconnect": int(cares), "stream_mode": sorted(modes or [])}, doseq=True)
    return {"Location": f"{where}/stream?{query}", "Content-Location": where}


def thread_stream_headers(thread_id: Any, *, lifecycle: bool) -> dict[str, str]:
    """Tell where to watch the thread again, likewise."""
    query = "?stream_modes=lifecycle" if lifecycle else ""
    return {"Location": f"/threads/{thread_id}/stream{query}"}
