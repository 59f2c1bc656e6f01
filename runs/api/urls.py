"""Routes of the REST API. Ids are taken as text, so that a bad one is told what is wrong with it instead of a 404."""

from django.urls import path

from runs.api import (
    assistant_graphs,
    assistant_versions,
    assistants,
    cancel,
    runs,
    stateless,
    streams,
    system,
    thread_states,
    thread_streams,
    threads,
    wait,
)

_ASSISTANT = "assistants/<str:assistant_id>"
_THREAD = "threads/<str:thread_id>"
_RUN = f"{_THREAD}/runs/<str:run_id>"

urlpatterns = [
    # First what is asked for most: Django tries one after the other.
    path(f"{_THREAD}/runs", runs.RunsView.as_view(), name="runs"),
    path(f"{_THREAD}/runs/stream", streams.CreateAndStreamView.as_view(), name="run-create-stream"),
    path(f"{_THREAD}/runs/wait", wait.WaitView.as_view(), name="run-wait"),
    path(_RUN, runs.RunView.as_view(), name="run"),
    path(f"{_RUN}/cancel", cancel.CancelView.as_view(), name="run-cancel"),
    path(f"{_RUN}/stream", streams.StreamView.as_view(), name="run-stream"),
    path(f"{_RUN}/join", wait.JoinView.as_view(), name="run-join"),
    path("ok", system.OkView.as_view(), name="ok"),
    path("info", system.InfoView.as_view(), name="info"),
    path("assistants", assistants.AssistantsView.as_view(), name="assistants"),
    path("health/live", system.LiveView.as_view(), name="health-live"),
    path("health/ready", system.ReadyView.as_view(), name="health-ready"),
    path("assistants/search", assistants.AssistantSearchView.as_view(), name="assistant-search"),
    path("assistants/count", assistants.AssistantCountView.as_view(), name="assistant-count"),
    path(_ASSISTANT, assistants.AssistantView.as_view(), name="assistant"),
    path(f"{_ASSISTANT}/versions", assistant_versions.VersionsView.as_view(), name="assistant-versions"),
    path(f"{_ASSISTANT}/latest", assistant_versions.LatestView.as_view(), name="assistant-latest"),
    path(f"{_ASSISTANT}/graph", assistant_graphs.DrawingView.as_view(), name="assistant-graph"),
    path(f"{_ASSISTANT}/schemas", assistant_graphs.SchemasView.as_view(), name="assistant-schemas"),
    path(f"{_ASSISTANT}/subgraphs", assistant_graphs.SubgraphsView.as_view(), name="assistant-subgraphs"),
    path(
        f"{_ASSISTANT}/subgraphs/<str:namespace>",
        assistant_graphs.SubgraphsOfView.as_view(),
        name="assistant-subgraph",
    ),
    path("threads", threads.ThreadsView.as_view(), name="threads"),
    path("threads/search", threads.ThreadSearchView.as_view(), name="thread-search"),
    path("threads/count", threads.ThreadCountView.as_view(), name="thread-count"),
    path("threads/prune", threads.ThreadPruneView.as_view(), name="thread-prune"),
    path(_THREAD, threads.ThreadView.as_view(), name="thread"),
    path(f"{_THREAD}/copy", threads.ThreadCopyView.as_view(), name="thread-copy"),
    path(f"{_THREAD}/state", thread_states.StateView.as_view(), name="state"),
    path(f"{_THREAD}/state/checkpoint", thread_states.StateAtView.as_view(), name="state-at"),
    path(
        f"{_THREAD}/state/<str:checkpoint_id>", thread_states.StateAtCheckpointView.as_view(), name="state-checkpoint"
    ),
    path(f"{_THREAD}/stream", thread_streams.ThreadStreamView.as_view(), name="thread-stream"),
    path(f"{_THREAD}/history", thread_states.HistoryView.as_view(), name="history"),
    path("runs", stateless.StatelessRunsView.as_view(), name="stateless-runs"),
    path("runs/stream", stateless.StatelessStreamView.as_view(), name="stateless-stream"),
    path("runs/wait", stateless.StatelessWaitView.as_view(), name="stateless-wait"),
    path("runs/batch", stateless.BatchView.as_view(), name="stateless-batch"),
    path("runs/cancel", cancel.BulkCancelView.as_view(), name="bulk-cancel"),
]
