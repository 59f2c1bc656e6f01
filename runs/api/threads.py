"""/threads: create, read, change, delete, copy, search, count."""

from typing import Any, ClassVar
from uuid import UUID

from asgiref.sync import async_to_sync
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from runs.api.extract import follow
from runs.api.fields import QuerySerializer
from runs.api.pagination import PAGE_HEADERS, page
from runs.api.presenters import present_thread, select
from runs.api.responses import FoundThreadSerializer, PrunedSerializer, ThreadSerializer
from runs.api.thread_requests import (
    ThreadCount,
    ThreadCreate,
    ThreadPatch,
    ThreadPrune,
    ThreadQuery,
    ThreadSearch,
    thread_filter,
)
from runs.api.view import ApiView
from runs.api.waiting import give_back_connection, settled
from runs.conf import runs_settings
from runs.models import Thread
from runs.services.copying import copy_thread
from runs.services.graph_state import begin_supersteps, end_update, graph_of
from runs.services.history import get_thread
from runs.services.thread_search import count_threads, search_threads
from runs.services.threads import create_thread, delete_thread, delete_threads, update_thread


class ThreadsView(ApiView):
    """All threads."""

    @extend_schema(operation_id="create_thread", request=ThreadCreate, responses=ThreadSerializer)
    def post(self, request: Request) -> Response:
        """Create a thread."""
        asked = self.body(ThreadCreate)
        thread = create_thread(
            actor=self.actor,
            thread_id=asked.get("thread_id"),
            metadata=asked.get("metadata"),
            if_exists=asked["if_exists"],
        )
        if asked.get("supersteps"):
            self._fill(thread, [step["updates"] for step in asked["supersteps"]])
            thread = get_thread(thread_id=thread.pk, owner=self.owner)
        return Response(present_thread(thread))

    def _fill(self, thread: Thread, supersteps: list[Any]) -> None:
        """The new thread has all of the state that was asked for, or it is not there."""
        try:
            if (graph := graph_of(thread)) is None:
                raise ValidationError({"supersteps": "metadata.graph_id names no graph, whose state it would be."})
            run = begin_supersteps(thread_id=thread.pk, graph=graph, actor=self.actor, supersteps=supersteps)
            give_back_connection()
            async_to_sync(settled)(run.pk, within=runs_settings().STATE_UPDATE_SECONDS)
            end_update(run.pk, self.actor)
        except Exception:
            delete_thread(thread_id=thread.pk, actor=self.actor)
            raise


class ThreadView(ApiView):
    """One thread."""

    queries: ClassVar[dict[str, type[QuerySerializer]]] = {"GET": ThreadQuery}

    @extend_schema(operation_id="get_thread", responses=ThreadSerializer)
    def get(self, request: Request, thread_id: UUID) -> Response:
        """Return the thread."""
        return Response(present_thread(get_thread(thread_id=thread_id, owner=self.owner)))

    @extend_schema(operation_id="update_thread", request=ThreadPatch, responses=ThreadSerializer)
    def patch(self, request: Request, thread_id: UUID) -> Response:
        """Merge into the thread's metadata; with `Prefer: return=minimal` nothing is returned."""
        thread = update_thread(thread_id=thread_id, actor=self.actor, metadata=self.body(ThreadPatch)["metadata"])
        if request.headers.get("Prefer", "").strip() == "return=minimal":
            return Response(status=204)
        return Response(present_thread(thread))

    @extend_schema(operation_id="delete_thread", responses={204: OpenApiResponse(description="Deleted.")})
    def delete(self, request: Request, thread_id: UUID) -> Response:
        """Stop the thread's runs and delete it."""
        delete_thread(thread_id=thread_id, actor=self.actor)
        return Response(status=204)


class ThreadCopyView(ApiView):
    """A second thread like this one."""

    @extend_schema(operation_id="copy_thread", request=None, responses=ThreadSerializer)
    def post(self, request: Request, thread_id: UUID) -> Response:
        """Create a thread with this one's metadata, state and history, and without its runs."""
        self.no_body()
        return Response(present_thread(copy_thread(thread_id=thread_id, actor=self.actor)))


class ThreadPruneView(ApiView):
    """Several threads at once."""

    @extend_schema(operation_id="prune_threads", request=ThreadPrune, responses=PrunedSerializer)
    def post(self, request: Request) -> Response:
        """Delete these threads; ids that are not found are left out of the count."""
        return Response(
            {"pruned_count": delete_threads(thread_ids=self.body(ThreadPrune)["thread_ids"], actor=self.actor)}
        )


class ThreadSearchView(ApiView):
    """Threads that match."""

    @extend_schema(
        operation_id="search_threads",
        request=ThreadSearch,
        parameters=PAGE_HEADERS,
        responses=FoundThreadSerializer(many=True),
    )
    def post(self, request: Request) -> Response:
        """Return the threads that match, the latest changed first."""
        asked = self.body(ThreadSearch)
        limit, offset = asked["limit"], asked["offset"]
        found = search_threads(
            owner=self.owner,
            wanted=thread_filter(asked),
            limit=limit + 1,
            offset=offset,
            sort_by=asked["sort_by"],
            descending=asked["sort_order"] == "desc",
        )
        shown, headers = page(found, limit=limit, offset=offset)
        return Response([_present_found(present_thread(thread), asked) for thread in shown], headers=headers)


def _present_found(thread: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    chosen = select(thread, asked.get("select"))
    if "extract" in asked:
        chosen["extracted"] = {alias: follow(path, thread) for alias, path in asked["extract"].items()}
    return chosen


class ThreadCountView(ApiView):
    """How many threads match."""

    @extend_schema(operation_id="count_threads", request=ThreadCount, responses=int)
    def post(self, request: Request) -> Response:
        """Return the number of threads that match."""
        return Response(count_threads(owner=self.owner, wanted=thread_filter(self.body(ThreadCount))))
