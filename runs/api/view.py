"""What every view of the API shares: who calls, and the checks of ids, bodies and queries that come before anything."""

from typing import Any, ClassVar

from rest_framework.exceptions import ValidationError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from runs import locks
from runs.actors import Actor
from runs.api.authentication import actor_of
from runs.api.body import NOTHING, read_json
from runs.api.fields import QuerySerializer, StrictSerializer, parse_uuid
from runs.api.waiting import give_back_connection
from runs.errors import InvalidJSON, InvalidRequest
from runs.logcontext import bind
from runs.services.api_keys import RecalledKey

_PATH_IDS = {"thread_id": "thread", "run_id": "run", "checkpoint_id": "checkpoint", "assistant_id": "assistant"}

_LOGGED = {"thread_id": "thread", "run_id": "run"}


class JSONOnly(BaseContentNegotiation):
    """JSON in, JSON out, whatever the headers say: clients of this API do not negotiate."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """The first there is."""
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        """The first there is."""
        return renderers[0], renderers[0].media_type


class ApiView(APIView):
    """Authenticated unless a view says otherwise. Handlers get UUIDs, parse with `body` and `query`, call, present."""

    http_method_names = ["get", "head", "post", "patch", "delete"]
    content_negotiation_class = JSONOnly
    #: Method -> the options its query string may have; none for a method that is not named.
    queries: ClassVar[dict[str, type[QuerySerializer]]] = {}
    #: Variables of the path that are ids -> what they are ids of.
    path_ids: ClassVar[dict[str, str]] = _PATH_IDS
    #: Whether the caller's key may come from memory: whatever a request does then begins by confirming it.
    recalls_keys = False
    #: The key that has come from memory.
    recalled: RecalledKey | None = None
    request: Request
    #: The checked query string.
    query: dict[str, Any]

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Answer, without waiting for ever for a thread that somebody holds."""
        with locks.bounded_lock_waits(locks.REQUEST_LOCK_WAIT_SECONDS):
            answer = super().dispatch(request, *args, **kwargs)
        self._untie()
        return answer

    def _untie(self) -> None:
        """Whatever refers to itself keeps the request and waits for the garbage collector, which comes now and then."""
        self.request.parser_context.clear()
        vars(self).pop("head", None)  # Django's name for `get`, bound to this view

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Authenticate first, so that nobody else learns anything; then check the method, the path and the query."""
        super().initial(request, *args, **kwargs)
        if str(request.method) not in self.allowed_methods:
            self.http_method_not_allowed(request)
        for name, noun in self.path_ids.items():
            if name in kwargs:
                self.kwargs[name] = _path_id(noun, kwargs[name])
        bind(**{log: self.kwargs[name] for name, log in _LOGGED.items() if name in self.kwargs})
        self.query = self._checked_query(request)

    def _checked_query(self, request: Request) -> dict[str, Any]:
        options = self.queries.get("GET" if request.method == "HEAD" else str(request.method))
        if options is None and not request.META.get("QUERY_STRING"):
            return {}  # most requests
        return checked((options or QuerySerializer).of(request))

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """What belongs to one caller is kept by no cache; while it streams, no database connection is kept for it."""
        response.headers.setdefault("Cache-Control", "no-store")
        if response.streaming:
            give_back_connection()  # Django would do so at the end of the stream, and the pool is small
        return super().finalize_response(request, response, *args, **kwargs)

    def handle_exception(self, exc: Exception) -> Response:
        """Nobody is told anything because of a key that has been revoked before."""
        try:
            self.ask_who_calls()
        except Exception as error:
            exc = error
        return super().handle_exception(exc)

    def ask_who_calls(self) -> bool:
        """Ask the database for a key that has come from memory and is not confirmed, and return whether it was wrong.

        Raises AuthenticationFailed.
        """
        recalled, self.recalled, self.recalls_keys = self.recalled, None, False
        if recalled is None or recalled.is_confirmed:
            return False
        request: Any = self.request
        request.user, request.auth = request.successful_authenticator.authenticate(request)
        self.check_permissions(request)
        return bool(request.user != recalled.key.owner)

    @property
    def actor(self) -> Actor:
        """The caller, for services that write."""
        return actor_of(self.request, self.recalled)

    @property
    def owner(self) -> Any:
        """The caller, for services that read: everything is filtered by it, also for staff."""
        return self.request.user

    def json(self) -> Any:
        """The body as JSON. Raises InvalidJSON if it is empty, too, for only an object says that nothing was lost."""
        value = read_json(self.request._request)
        if value is NOTHING:
            raise InvalidJSON("Invalid JSON in request body: it is empty. Send at least {}.")
        return value

    def body(self, serializer: type[StrictSerializer]) -> dict[str, Any]:
        """The checked body."""
        return checked(serializer(data=self.json()))

    def no_body(self) -> None:
        """Refuse options in the body of a request that takes its options from the query."""
        if read_json(self.request._request) not in (NOTHING, None, {}):
            raise InvalidRequest("This request takes no body; its options belong into the query string.")


def checked(serializer: Any) -> dict[str, Any]:
    """What the serializer makes of its data, or ValidationError."""
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def _path_id(noun: str, text: str) -> Any:
    found = parse_uuid(text)
    if found is None:
        raise ValidationError(f"Invalid {noun} ID: must be a UUID")
    return found
