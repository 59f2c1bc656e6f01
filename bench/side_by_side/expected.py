"""The differences that are on purpose: what they look like, and the words that the page on compatibility has for them.

`tests/unit/test_side_by_side.py` holds the two against each other.
"""

_OURS = (
    "on_disconnect|queue_position|attempt|max_attempts|timeout_seconds|stopping|error|reason|cancel_action|cancelled_by|"
    "cancelled_at|displaced_by|displaced|rolled_back_at|not_before|started_at|finished_at|model_name|usage|"
    "message_count|first_message|last_message"
)
_THEIRS = r"(langgraph_\w+|__\w+|user_id|run_id|thread_id|graph_id|assistant_id|metadata|checkpoint_\w+)"
_ADDED = "are without what its server adds of its own"
_ALWAYS_THERE = "`values`, `error`, `interrupts` and `config.configurable` are always there"

#: pattern of "name of the request | where: theirs / ours" -> a part of the page that says so.
EXPECTED: dict[str, str] = {
    r"body\.(type|title|status|instance|code|errors|run_status): absent": "A problem document whose `detail` is always",
    r"body\.detail: ": "A `detail` is in our words.",
    rf"^(?!.*thread \|)(run|error|human|cancel|strategy \w+): .* body(\[\d+\])?\.({_OURS}): absent": (
        "A run has members of our own beside LangGraph's."
    ),
    r"^(thread|supersteps): .*\.(config\.configurable|error|interrupts): absent": _ALWAYS_THERE,
    rf"kwargs\.config\.{_THEIRS}": _ADDED,
    rf"kwargs\.config\.configurable\.{_THEIRS}": _ADDED,
    r"kwargs\.checkpoint_during: True / absent": "| `checkpoint_during` | ignored | deprecated |",
    r"kwargs\.durability: 'async' / 'sync'": "`durability` is `sync` unless the request says otherwise.",
    r"copy a deleted one \| status: 409 / 404": "a missing thread is a 404, not a 409",
    r"\.(input_schema|output_schema): None / ": "a schema is null only if it cannot be said",
    r"state_schema\.title": "| the name of a state's schema | the graph's | LangGraph's own |",
    r"(change the config|versions) \| .*config\.configurable: absent": "`config` does not show it | both stay |",
    r"cancel what has succeeded \| status: 404 / 409": "| 404 | 409 `not_cancellable` with `run_status` |",
    r"(metadata|messages\[1\])\.(langgraph_\w+|user_id|run_attempt): .* / absent": _ADDED,
    r"config\.configurable\.(langgraph_\w+|__\w+): .* / absent": _ADDED,
    r"^subgraph of .*metadata\.checkpoint_map: .* / absent": _ADDED,
    r"^subgraph of .*(checkpoint|metadata): None / \{": "of a subgraph that has not begun only `checkpoint` is there",
    r"^supersteps: no graph \| status: 201 / 422": "if they cannot be there is no thread",
    r"^cancel: the thread \| body\.error: \{'error': 'UserInt.* / None": "one has ended; a cancel leaves none.",
    r"config\.configurable\.user_id: '' / ": "`config.configurable.user_id` is the owner's.",
    r"checkpoints\.(parent_)?checkpoint: absent": "`parent_checkpoint` are in the frames of `checkpoints`, too",
    r"^stream: .* header location: .*cancel_on_disconnect": "leaving the stream it leads to cancels nothing",
    r"^stream: .* header content-location: '/runs/<id>' / ": "a run without a thread names the thread that it got",
    r"^stream: .* events: .*, 'end'\]$": "| last event | none: the connection closes | `end`,",
    r"^human: copy \| body\.(status|values|interrupts|config\.configurable): ": "`values` and what the copy waits for",
    r"^(breakpoint|supersteps): .*metadata\.(run_\w+|created_by|assistant_id): absent": "in its metadata the run that",
    r"^(breakpoint|supersteps): (an unknown node|no object) \| status: 400 / 422": "wrong with it is a 422, not a 400",
    r"^breakpoint: former \| body\.checkpoint\.checkpoint_ns: absent": "`checkpoint.checkpoint_ns` is in every state.",
    r"^strategy interrupt: the thread \| body\[0\]\.status: 'idle' / 'busy'": "thread's status follows from its runs",
    r"^cancel: again, wait=\d \| (status|body|header )": "| repeated | 404 | the same answer again;",
    r"^cancel: wait=1 \| (status: 200 / 204|body: )": "| accepted, `wait=1` | 200 `{}` | 204",
}
