"""The shapes of answers, for the OpenAPI document; `presenters` make them, and the tests hold one against the other."""

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from runs.api.fields import AnyField, ObjectField
from runs.states import CancelAction, DisconnectMode, MultitaskStrategy, RunStatus, ThreadStatus


class _Shape(serializers.Serializer[Any]):
    """Only described, never used to convert anything."""


class UsageSerializer(_Shape):
    """What the run's model calls used; a member is absent until it was reported."""

    input_tokens = serializers.IntegerField(required=False)
    output_tokens = serializers.IntegerField(required=False)
    total_tokens = serializers.IntegerField(required=False)
    calls = serializers.IntegerField(required=False)
    by_model = ObjectField(required=False)
    by_caller = ObjectField(required=False)


class FailureSerializer(_Shape):
    """Why a run failed."""

    error = serializers.CharField(allow_null=True, help_text="The class of the exception.")
    message = serializers.CharField(allow_null=True)


class RunSerializer(_Shape):
    """A run: LangGraph's members first, then ours."""

    run_id = serializers.UUIDField()
    thread_id = serializers.UUIDField()
    assistant_id = serializers.UUIDField()
    metadata = ObjectField()
    status = serializers.ChoiceField(RunStatus.choices)
    kwargs = ObjectField(help_text="The request as it was accepted.")
    multitask_strategy = serializers.ChoiceField(MultitaskStrategy.choices)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    langsmith_session_name = serializers.CharField(allow_null=True)
    on_disconnect = serializers.ChoiceField(DisconnectMode.choices)
    queue_position = serializers.IntegerField(allow_null=True, help_text="Runs before it; null unless pending.")
    attempt = serializers.IntegerField(help_text="Number of the latest execution; 0 before the first.")
    max_attempts = serializers.IntegerField()
    timeout_seconds = serializers.FloatField(help_text="Time limit of one attempt.")
    stopping = serializers.BooleanField(help_text="The status is final, but its executor has not been seen to leave.")
    error = FailureSerializer(allow_null=True)
    reason = serializers.CharField()
    cancel_action = serializers.ChoiceField(CancelAction.choices, allow_null=True)
    cancelled_by = serializers.CharField(allow_null=True)
    cancelled_at = serializers.DateTimeField(allow_null=True)
    displaced_by = serializers.UUIDField(allow_null=True, help_text="The run that took this one's place.")
    rolled_back_at = serializers.DateTimeField(allow_null=True, help_text="When its steps were undone.")
    not_before = serializers.DateTimeField(allow_null=True)
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    model_name = serializers.CharField(allow_null=True)
    usage = UsageSerializer()
    message_count = serializers.IntegerField()
    first_message = serializers.CharField()
    last_message = serializers.CharField()


class CreatedRunSerializer(RunSerializer):
    """A run that was accepted."""

    displaced = serializers.ListField(
        child=serializers.UUIDField(), help_text="The runs that were interrupted or rolled back to make room."
    )


#: What `select` of a list of runs may name.
RUN_MEMBERS = tuple(RunSerializer().fields)


class ThreadSerializer(_Shape):
    """A thread; its values and interrupts are its latest checkpoint's."""

    thread_id = serializers.UUIDField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    state_updated_at = serializers.DateTimeField()
    metadata = ObjectField()
    status = serializers.ChoiceField(ThreadStatus.choices)
    config = ObjectField()
    values = ObjectField(allow_null=True, help_text="Null while the thread is empty.")
    error = FailureSerializer(allow_null=True)
    interrupts = ObjectField(help_text="Task id -> what waits for a `command.resume`.")


THREAD_MEMBERS = tuple(ThreadSerializer().fields)


class FoundThreadSerializer(ThreadSerializer):
    """A thread as a search shows it: `select` leaves members out, `extract` adds values."""

    extracted = ObjectField(required=False)


class PrunedSerializer(_Shape):
    """How many threads were deleted."""

    pruned_count = serializers.IntegerField()


class CheckpointReferenceSerializer(_Shape):
    """Which checkpoint."""

    checkpoint_id = serializers.UUIDField()
    thread_id = serializers.UUIDField()
    checkpoint_ns = serializers.CharField()


class ThreadStateSerializer(_Shape):
    """The state of a thread at one checkpoint."""

    values = ObjectField()
    next = serializers.ListField(child=serializers.CharField())
    tasks = serializers.ListField(child=ObjectField())
    metadata = ObjectField(allow_null=True)
    created_at = serializers.DateTimeField(allow_null=True)
    checkpoint = CheckpointReferenceSerializer(allow_null=True)
    parent_checkpoint = CheckpointReferenceSerializer(allow_null=True)
    interrupts = serializers.ListField(child=AnyField())
    checkpoint_id = serializers.UUIDField(allow_null=True)
    parent_checkpoint_id = serializers.UUIDField(allow_null=True)


class UpdatedStateSerializer(_Shape):
    """The checkpoint that holds the changed state."""

    checkpoint = CheckpointReferenceSerializer()
    configurable = CheckpointReferenceSerializer()
    checkpoint_id = serializers.UUIDField()


STATE_MEMBERS = tuple(ThreadStateSerializer().fields)


class AssistantSerializer(_Shape):
    """An assistant of this server."""

    assistant_id = serializers.UUIDField()
    graph_id = serializers.CharField()
    config = ObjectField()
    context = ObjectField()  # type: ignore[assignment] # a member of the JSON, not DRF's context
    metadata = ObjectField()
    name = serializers.CharField()
    description = serializers.CharField(allow_null=True)
    version = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


ASSISTANT_MEMBERS = tuple(AssistantSerializer().fields)


class HealthSerializer(_Shape):
    """The web process answers; `/ok` asks no other service."""

    ok = serializers.BooleanField()
    services = ObjectField()


class LiveSerializer(_Shape):
    """The web process answers."""

    status = serializers.ChoiceField(["alive"])


class ChecksSerializer(_Shape):
    """What a web process needs, in a word each."""

    database = serializers.ChoiceField(["up", "down"])
    migrations = serializers.ChoiceField(["up", "unapplied", "down"])
    redis = serializers.ChoiceField(["up", "down"])


class ReadySerializer(_Shape):
    """`degraded`: only Redis is away."""

    status = serializers.ChoiceField(["ready", "degraded", "unavailable"])
    checks = ChecksSerializer()


class InfoSerializer(_Shape):
    """Which server this is, and what it can do."""

    version = serializers.CharField()
    flags = serializers.DictField(child=serializers.BooleanField())


class PlaceSerializer(_Shape):
    """One thing that is wrong with a request."""

    field = serializers.CharField()
    message = serializers.CharField()


@extend_schema_serializer(component_name="Problem")
class ProblemSerializer(_Shape):
    """RFC 9457: `detail` says what to change, `code` is for programs; some codes come with more members."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    instance = serializers.CharField()
    code = serializers.CharField()
    errors = PlaceSerializer(  # type: ignore[assignment] # a member of the JSON, not DRF's errors
        many=True, required=False, help_text="With 422: each place that is wrong."
    )
    run_status = serializers.ChoiceField(
        RunStatus.choices, required=False, help_text="With `not_cancellable`: how the run ended."
    )
