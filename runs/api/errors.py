"""From exceptions to HTTP: every error is an RFC 9457 problem, with a sentence in `detail` and a stable `code`."""

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DataError, InterfaceError, InternalError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response

from runs import errors
from runs.api.links import run_path
from runs.locks import is_lock_timeout

MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER_SECONDS = "2"
#: Of an error class and those derived from it; the first that matches counts.
_STATUS: tuple[tuple[type[errors.RunError], HTTPStatus], ...] = (
    (errors.NotFound, HTTPStatus.NOT_FOUND),
    (errors.Conflict, HTTPStatus.CONFLICT),
    (errors.RunGone, HTTPStatus.GONE),
    (errors.InvalidRequest, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.OutcomeUnknown, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.StateUpdateLate, HTTPStatus.SERVICE_UNAVAILABLE),
)


class BodyTooLarge(exceptions.APIException):
    """The request body is larger than RUNS["MAX_BODY_BYTES"]."""

    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default_code = "body_too_large"


class Contradiction(exceptions.APIException):
    """Two options of the request exclude each other; LangGraph's server answers this one kind of mistake with 400."""

    status_code = HTTPStatus.BAD_REQUEST
    default_code = "contradictory_options"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What an error says to a client, apart from where it happened."""

    status: int
    code: str
    detail: str
    extra: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def body(self, request: HttpRequest) -> dict[str, Any]:
        """The members of RFC 9457, then ours."""
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "instance": request.path,
            "code": self.code,
            **self.extra,
        }


def handle(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook: the answer to an exception, or None for a bug, which Django logs and answers with a 500."""
    problem = problem_of(exc)
    if problem is None:
        return None
    body = problem.body(context["request"]._request)
    return Response(body, status=problem.status, headers=problem.headers, content_type=MEDIA_TYPE)


def problem_of(exc: Exception) -> Problem | None:
    """The problem that this exception is for a client; None: it is a bug of ours."""
    if isinstance(exc, errors.RunError):
        return _of_run_error(exc)
    if isinstance(exc, exceptions.ValidationError):
        return _of_validation(exc)
    if isinstance(exc, exceptions.APIException):
        return _of_drf(exc)
    return _of_django(exc)


def _of_run_error(exc: errors.RunError) -> Problem | None:
    status = next((status for kind, status in _STATUS if isinstance(exc, kind)), None)
    if status is None:
        return None
    # `status` is a member of every problem and means the HTTP status there.
    extra = {"run_status" if name == "status" else name: value for name, value in exc.extra.items()}
    headers = _where_to_look(exc) if isinstance(exc, errors.OutcomeUnknown) else {}
    return Problem(status=status, code=exc.code, detail=exc.message, extra=extra, headers=headers)


def _where_to_look(exc: errors.OutcomeUnknown) -> dict[str, str]:
    """Where the run is if it was accepted."""
    where = run_path(exc.extra["thread_id"], exc.extra["run_id"])
    return {"Retry-After": _RETRY_AFTER_SECONDS, "Content-Location": where}


def _of_validation(exc: exceptions.ValidationError) -> Problem:
    found = list(_flatten(exc.detail, ""))
    detail = " ".join(f"{place}: {message}" if place else message for place, message in found)
    places = [{"field": place, "message": message} for place, message in found]
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    return Problem(status=status, code="invalid_request", detail=detail, extra={"errors": places})


def _flatten(detail: Any, place: str) -> list[tuple[str, str]]:
    """The sentences in DRF's nested details, each with the place it is about: "config.metadata", "run_ids[2]"."""
    if isinstance(detail, dict):
        return [found for name, inner in detail.items() for found in _flatten(inner, _join(place, name))]
    if isinstance(detail, list):
        return [found for inner in detail for found in _flatten(inner, place)]
    return [(place, str(detail))]


def _join(place: str, name: Any) -> str:
    if name == "non_field_errors":
        return place
    if isinstance(name, int):
        return f"{place}[{name}]"
    return f"{place}.{name}" if place else str(name)


def _of_drf(exc: exceptions.APIException) -> Problem:
    codes = exc.get_codes()
    code = codes if isinstance(codes, str) else exc.default_code
    headers = {}
    if challenge := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if (wait := getattr(exc, "wait", None)) is not None:
        headers["Retry-After"] = str(int(wait) + 1)
    return Problem(status=exc.status_code, code=code, detail=str(exc.detail), headers=headers)


def _of_django(exc: Exception) -> Problem | None:
    if is_lock_timeout(exc):
        return _THREAD_LOCKED
    return next((problem for kinds, problem in _OF_DJANGO if isinstance(exc, kinds)), None)


NOT_FOUND = Problem(status=HTTPStatus.NOT_FOUND, code="not_found", detail="Not Found")
BUG = Problem(
    status=HTTPStatus.INTERNAL_SERVER_ERROR,
    code="internal_error",
    detail="The server made a mistake. Its log has the details under the id in X-Request-ID.",
)
_FORBIDDEN = Problem(status=HTTPStatus.FORBIDDEN, code="permission_denied", detail="You may not do this.")
_UNREADABLE = Problem(status=HTTPStatus.BAD_REQUEST, code="bad_request", detail="The request could not be read.")
_BODY_TOO_LARGE = Problem(
    status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE, code="body_too_large", detail="The request body is too large."
)
_DATABASE_AWAY = Problem(
    status=HTTPStatus.SERVICE_UNAVAILABLE,
    code="database_unavailable",
    detail="The database did not answer. Try again in a few seconds.",
    headers={"Retry-After": _RETRY_AFTER_SECONDS},
)
_THREAD_LOCKED = Problem(
    status=HTTPStatus.SERVICE_UNAVAILABLE,
    code="thread_locked",
    detail="Another transaction holds this thread for too long, so it was not changed. Try again in a few seconds.",
    headers={"Retry-After": _RETRY_AFTER_SECONDS},
)
#: The last line: what a value was not checked for before it reached the database.
_NOT_STORABLE = Problem(
    status=HTTPStatus.UNPROCESSABLE_ENTITY,
    code="invalid_request",
    detail="The database cannot hold a value of this request.",
)
_OF_DJANGO: tuple[tuple[tuple[type[Exception], ...], Problem], ...] = (
    ((Http404,), NOT_FOUND),
    ((PermissionDenied,), _FORBIDDEN),
    ((RequestDataTooBig,), _BODY_TOO_LARGE),
    ((UnreadablePostError, SuspiciousOperation), _UNREADABLE),
    ((OperationalError, InterfaceError, InternalError), _DATABASE_AWAY),
    ((DataError,), _NOT_STORABLE),
)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """`handler404`: a problem for clients, Django's page for people with a browser."""
    return defaults.page_not_found(request, exception) if _wants_page(request) else _answer(NOT_FOUND, request)


def server_error(request: HttpRequest) -> HttpResponse:
    """`handler500`: what no view has caught."""
    return defaults.server_error(request) if _wants_page(request) else _answer(BUG, request)


def _wants_page(request: HttpRequest) -> bool:
    return request.get_preferred_type([MEDIA_TYPE, "application/json", "text/html"]) == "text/html"


def _answer(problem: Problem, request: HttpRequest) -> HttpResponse:
    body = problem.body(request)
    return JsonResponse(body, status=problem.status, headers=problem.headers, content_type=MEDIA_TYPE)


def answer(error: Exception, request: HttpRequest) -> HttpResponse:
    """The answer to an error that no view has met."""
    return _answer(problem_of(error) or BUG, request)
