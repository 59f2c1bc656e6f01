"""The OpenAPI document: what the views do not say by themselves."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from runs.api.errors import MEDIA_TYPE
from runs.api.fields import StrictSerializer
from runs.api.responses import ProblemSerializer
from runs.api.view import ApiView


class ApiSchema(AutoSchema):
    """Queries come from the view's own declaration; every operation may answer with a problem."""

    def get_override_parameters(self) -> list[Any]:
        """The query options and path ids of an ApiView."""
        if not isinstance(self.view, ApiView):
            return []
        query = self.view.queries.get(self.method)
        return [*([query] if query else []), *self._path_ids()]

    def _path_ids(self) -> list[OpenApiParameter]:
        names = [
            name for name in ("thread_id", "run_id", "checkpoint_id", "assistant_id") if f"{{{name}}}" in self.path
        ]
        return [OpenApiParameter(name, self._id_schema(name), OpenApiParameter.PATH) for name in names]

    def _id_schema(self, name: str) -> dict[str, str]:
        is_id = isinstance(self.view, ApiView) and name in self.view.path_ids
        return {"type": "string", "format": "uuid"} if is_id else {"type": "string"}

    def get_tags(self) -> list[str]:
        """The resource, which is the last collection of the path."""
        parts = [part for part in self.path.split("/") if part in ("threads", "runs", "assistants")]
        return parts[-1:] or ["system"]

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> dict[str, Any]:
        """Say that unknown members are refused."""
        schema: dict[str, Any] = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]
        return {**schema, "additionalProperties": False} if isinstance(serializer, StrictSerializer) else schema

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        """Add what every operation may answer instead."""
        operation = super().get_operation(*args, **kwargs)
        if operation is not None:
            operation["responses"]["default"] = self._problem()
        return operation

    def _problem(self) -> dict[str, Any]:
        component = self.resolve_serializer(ProblemSerializer, "response")
        return {
            "description": "The request was refused or could not be served.",
            "content": {MEDIA_TYPE: {"schema": component.ref}},
        }
