"""/assistants/{assistant_id}/versions and /latest: what an assistant has said, and which of it is in force."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from runs.api.assistant_requests import LatestVersion, VersionSearch
from runs.api.presenters import present_assistant, present_version
from runs.api.responses import AssistantSerializer, AssistantVersionSerializer
from runs.api.view import ApiView
from runs.services.assistant_search import list_versions
from runs.services.assistants import set_latest_version


class VersionsView(ApiView):
    """All versions of an assistant."""

    @extend_schema(
        operation_id="list_assistant_versions",
        request=VersionSearch,
        responses=AssistantVersionSerializer(many=True),
    )
    def post(self, request: Request, assistant_id: UUID) -> Response:
        """Return the versions, the newest first."""
        asked = self.body(VersionSearch)
        found = list_versions(
            assistant_id=assistant_id,
            owner=self.owner,
            limit=asked["limit"],
            offset=asked["offset"],
            metadata=asked.get("metadata"),
        )
        return Response([present_version(version) for version in found])


class LatestView(ApiView):
    """The version in force."""

    @extend_schema(operation_id="set_latest_version", request=LatestVersion, responses=AssistantSerializer)
    def post(self, request: Request, assistant_id: UUID) -> Response:
        """Put a former version in force again."""
        version = self.body(LatestVersion)["version"]
        return Response(
            present_assistant(set_latest_version(actor=self.actor, assistant_id=assistant_id, version=version))
        )
