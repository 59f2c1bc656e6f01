"""The differences that are on purpose: what they look like, and where the page on compatibility has them."""

_OURS = (
    "on_disconnect|queue_position|attempt|max_attempts|timeout_seconds|stopping|error|reason|cancel_action|cancelled_by|"
    "cancelled_at|displaced_by|displaced|rolled_back_at|not_before|started_at|finished_at|model_name|usage|"
    "message_count|first_message|last_message"
)
_THEIRS = r"(langgraph_\w+|__\w+|user_id|run_id|thread_id|graph_id|assistant_id|metadata|checkpoint_\w+)"

#: pattern of "name of the request | where: theirs / ours" -> what the page says, in short.
EXPECTED: dict[str, str] = {
    r"body\.(type|title|status|instance|code|errors|run_status): absent": "Errors: a problem document",
    r"body\.detail: ": "Errors: in our words",
    rf"^(run|error|human|cancel|strategy \w+): .* body(\[\d+\])?\.({_OURS}): absent": "a run has members of our own",
    r"^(thread|supersteps): .*\.(config\.configurable|error|interrupts): absent": "they are always there",
    rf"kwargs\.config\.{_THEIRS}": "what the server adds is not shown",
    rf"kwargs\.config\.configurable\.{_THEIRS}": "what the server adds is not shown",
    r"kwargs\.checkpoint_during: True / absent": "`checkpoint_during` is ignored",
    r"kwargs\.durability: 'async' / 'sync'": "`sync` unless said otherwise",
    r"copy a deleted one \| status: 409 / 404": "a missing thread is a 404",
    r"\.(input_schema|output_schema): None / ": "a schema is null only if it cannot be said",
    r"state_schema\.title": "the name of a state's schema",
    r"(change the config|versions) \| .*config\.configurable: absent": "both stay",
    r"cancel what has succeeded \| status: 404 / 409": "Cancel",
    r"(metadata|messages\[1\])\.(langgraph_\w+|user_id|run_attempt): .* / absent": "what the server adds is not shown",
    r"config\.configurable\.(langgraph_\w+|__\w+): .* / absent": "what the server adds is not shown",
    r"^subgraph of .*metadata\.checkpoint_map: .* / absent": "what the server adds is not shown",
    r"^supersteps: no graph \| status: 201 / 422": "if they cannot be there is no thread",
    r"^cancel: the thread \| body\.error: \{'error': 'UserInterrupt'.* / None": "a cancel leaves no error",
    r"config\.configurable\.user_id: '' / ": "`user_id` is the owner's",
    r"checkpoints\.(parent_)?checkpoint: absent": "`checkpoint` is shown as in `debug`",
    r"^stream: .* header location: .*cancel_on_disconnect": "`Location` says what a disconnect means",
    r"^stream: .* header content-location: '/runs/<id>' / ": "`Content-Location` of a stateless run names its thread",
    r"^stream: .* events: .*, 'end'\]$": "last event",
    r"^human: copy \| body\.(status|values|interrupts|config\.configurable): ": "a copy shows what it waits for",
    r"^(breakpoint|supersteps): .*metadata\.(run_\w+|created_by|assistant_id): absent": "an update is a hidden run",
    r"^(breakpoint|supersteps): (an unknown node|no object) \| status: 400 / 422": "what is wrong is a 422",
    r"^breakpoint: former \| body\.checkpoint\.checkpoint_ns: absent": "`checkpoint_ns` is always there",
    r"^strategy interrupt: the thread \| body\[0\]\.status: 'idle' / 'busy'": "the status follows from the runs",
    r"^cancel: again, wait=\d \| (status|body|header )": "Cancel: repeated",
    r"^cancel: wait=1 \| (status: 200 / 204|body: )": "Cancel: wait=1",
}
