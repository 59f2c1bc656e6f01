"""The Idempotency-Key header of a create."""

import re
from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from runs.errors import InvalidRequest
from runs.services.create import CreatedRun
from runs.services.idempotency import Idempotency

HEADER = "Idempotency-Key"
_IN_META = "HTTP_IDEMPOTENCY_KEY"
MAX_LENGTH = 255
REPLAYED = "Idempotency-Replayed"
_ACCEPTABLE = re.compile(rf"[ -~]{{1,{MAX_LENGTH}}}")

PARAMETER = OpenApiParameter(
    HEADER,
    {"type": "string", "maxLength": MAX_LENGTH},
    OpenApiParameter.HEADER,
    description="The same key and body again present the run that was made before, and make none.",
)


def is_sent(request: Request) -> bool:
    """Whether there is such a header."""
    return _IN_META in request.META


def idempotency_of(request: Request, body: Any) -> Idempotency | None:
    """Return the key with the route and the body it belongs to; None if none was sent. Raises InvalidRequest."""
    sent = request.META.get(_IN_META)
    if sent is None:
        return None
    key = sent.strip()
    if not _ACCEPTABLE.fullmatch(key):
        raise InvalidRequest(f"{HEADER} must be 1 to {MAX_LENGTH} printable ASCII characters.")
    return Idempotency.of(key=key, route=f"{request.method} {request.path}", body=body)


def replay_header(created: CreatedRun) -> dict[str, str]:
    """Say that the run was made before."""
    return {REPLAYED: "true"} if created.replayed else {}
