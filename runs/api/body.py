"""The request body: JSON that can be stored, whatever Content-Type says, or a refusal that says what to change.

Read here and not by DRF's parsers, which take a chunked body (one without Content-Length) for an empty one.
"""

import json
from typing import Any, NoReturn

from django.http import HttpRequest

from runs.api.errors import BodyTooLarge
from runs.conf import runs_settings
from runs.errors import InvalidJSON
from runs.jsonvalues import check_storable

NOTHING = object()


def read_json(request: HttpRequest) -> Any:
    """Return the parsed body, or NOTHING if it is empty. Raises BodyTooLarge, InvalidJSON."""
    content = _read(request, runs_settings().MAX_BODY_BYTES)
    if not content.strip():
        return NOTHING
    value = _parse(content)
    check_storable(value, "body")
    return value


def _read(request: HttpRequest, limit: int) -> bytes:
    announced = request.META.get("CONTENT_LENGTH") or "0"
    too_large = announced.isdigit() and int(announced) > limit
    content = b"" if too_large else request.read(limit + 1)
    if too_large or len(content) > limit:
        raise BodyTooLarge(f"The request body is larger than {limit} bytes.")
    return content


def _parse(content: bytes) -> Any:
    try:
        return json.loads(content.decode(), parse_constant=_refuse_constant)
    except RecursionError:
        raise InvalidJSON("Invalid JSON in request body: it is nested too deeply.") from None
    except ValueError as error:  # also UnicodeDecodeError, and integers with too many digits
        raise InvalidJSON(f"Invalid JSON in request body: {error}.") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
