"""A run's request as a command for a terminal."""

import json
import shlex
from typing import Any

from runs.admin.json_text import masked
from runs.assistants import registry
from runs.models import Run
from runs.services.chosen import SYSTEM_METADATA

LONGEST_BODY = 16 * 1024
#: Members of the stored request that are sent under their own names, if they say anything.
_SAME = ("input", "command", "config", "context", "checkpoint_id", "stream_mode", "durability")
#: Members of the metadata that admission adds again.
_ADDED = {"graph_id", "assistant_id", *SYSTEM_METADATA}
_RENAMED = {"subgraphs": "stream_subgraphs", "resumable": "stream_resumable"}


def curl_of(run: Run, base: str) -> str:
    """The command that creates such a run again; secrets in the input are masked, and the key is the reader's.

    A body that no terminal would take is left to a file.
    """
    body = json.dumps(_body(run), ensure_ascii=False)
    command = [
        "curl",
        "-X POST",
        shlex.quote(f"{base}/threads/{run.thread_id}/runs"),
        '-H "x-api-key: $RUNYARD_API_KEY"',
        "-H 'content-type: application/json'",
        f"-d {shlex.quote(body)}" if len(body) <= LONGEST_BODY else "-d @request.json",
    ]
    return " \\\n  ".join(command)


def _assistant(run: Run) -> str:
    """By its name, unless somebody has made it of a graph: then it has only an id."""
    chosen = run.assistant_id
    return run.assistant if chosen in (None, registry.assistant_id(run.assistant)) else str(chosen)


def _body(run: Run) -> dict[str, Any]:
    asked = run.kwargs
    body = {
        "assistant_id": _assistant(run),
        **{name: asked[name] for name in _SAME if asked.get(name)},
        **{sent: asked[name] for name, sent in _RENAMED.items() if asked.get(name)},
        "metadata": {name: value for name, value in run.metadata.items() if name not in _ADDED},
        "multitask_strategy": run.multitask_strategy,
        "on_disconnect": run.on_disconnect,
    }
    config, context = dict(body.get("config") or {}), body.get("context")
    if context and config.get("configurable") == context:  # stored under both names, accepted under one
        config.pop("configurable")
        body["config"] = config
    shown: dict[str, Any] = masked({name: value for name, value in body.items() if value or name == "input"})
    return shown
