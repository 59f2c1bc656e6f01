"""What Celery sends to Redis for a task, made by Celery once and filled in for every further message.

Celery and kombu take longer to put a message together than Redis does to take it, and all but a few fields are the
same in each. `tests/services/test_filled_messages.py` says what this relies on.
"""

import json
import time
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from celery import current_app, signals
from celery.utils.time import utcoffset

#: Of an event: what differs each time that it is said.
_OF_THE_MOMENT = ("clock", "timestamp")


def are_left_alone() -> bool:
    """Whether nobody in this process is told of messages by Celery, and may change them."""
    before, after, compatible = signals.before_task_publish, signals.after_task_publish, signals.task_sent
    return not (before.receivers or after.receivers or compatible.receivers)


def commands_in(batch: Any) -> Sequence[tuple[Any, ...]]:
    """What kombu is about to send to Redis at once; another broker has no such batch."""
    return () if batch is None else [arguments for arguments, _ in batch.pipeline.command_stack]


@dataclass
class Message:
    """What differs between two messages of the same kind."""

    task_id: str
    args: Sequence[str]
    shown_as: str
    argsrepr: str
    kwargsrepr: str

    @property
    def as_celery_has_it(self) -> dict[str, Any]:
        """Options of Celery's `send_task`."""
        reprs = {"argsrepr": self.argsrepr, "kwargsrepr": self.kwargsrepr}
        return {"task_id": self.task_id, "args": self.args, "shadow": self.shown_as, **reprs}

    @property
    def headers(self) -> dict[str, Any]:
        """Of the message."""
        reprs = {"argsrepr": self.argsrepr, "kwargsrepr": self.kwargsrepr}
        return {"id": self.task_id, "shadow": self.shown_as, **self._parents, **reprs}

    @property
    def properties(self) -> dict[str, Any]:
        """Of the message."""
        own = {"correlation_id": self.task_id, "argsrepr": self.argsrepr, "kwargsrepr": self.kwargsrepr}
        return {**own, "reply_to": current_app.thread_oid, "delivery_tag": str(uuid4())}

    @property
    def event(self) -> dict[str, Any]:
        """What is announced."""
        reprs = {"args": self.argsrepr, "kwargs": self.kwargsrepr}
        app: Any = current_app
        now = {"clock": app.clock.forward(), "timestamp": time.time(), "utcoffset": utcoffset()}
        return {"uuid": self.task_id, "name": self.shown_as, **self._parents, **reprs, **now}

    def __post_init__(self) -> None:
        """A task that sends another is its parent."""
        self._parents: dict[str, Any] = {"root_id": self.task_id, "parent_id": None}
        if (task := current_app.current_worker_task) is not None:
            parent = task.request
            self._parents = {"root_id": parent.root_id or parent.id, "parent_id": parent.id}


class Template:
    """A message and its announcement as Celery has sent them to Redis, to be sent again with other contents."""

    def __init__(self, commands: Sequence[tuple[Any, ...]]) -> None:
        (*self._push, text), *announced = commands
        self._message = json.loads(text)
        self._embedded = _decoded(self._message)[1:]
        self._publish: Sequence[Any] = announced[0][:-1] if announced else ()
        self._announcement = json.loads(announced[0][-1]) if announced else {}
        self._event = _decoded(self._announcement) if announced else {}

    def filled(self, message: Message) -> list[tuple[Any, ...]]:
        """The commands for this message."""
        pushed = {
            **self._message,
            "body": _encoded([message.args, *self._embedded]),
            "headers": {**self._message["headers"], **message.headers},
            "properties": {**self._message["properties"], **message.properties},
        }
        commands = [(*self._push, json.dumps(pushed))]
        return [*commands, (*self._publish, json.dumps(self._announced(message)))] if self._publish else commands

    def _announced(self, message: Message) -> dict[str, Any]:
        properties = {**self._announcement["properties"], "delivery_tag": str(uuid4())}
        body = _encoded({**self._event, **message.event})
        return {**self._announcement, "body": body, "properties": properties}


def template_of(commands: Sequence[tuple[Any, ...]], message: Message) -> Template | None:
    """What Celery has sent for this message as a template; None if it does not tell what is the message's own.

    Filled in with the same it is the same, and filled in with something else it says nothing of this message.
    """
    conf = current_app.conf
    if not are_left_alone() or conf.task_routes or conf.task_inherit_parent_priority:
        return None
    try:
        template = Template(commands)
        is_same = readable(template.filled(message)) == readable(commands)
        others = json.dumps(readable(template.filled(Message("", (), "", "", ""))))
    except (ValueError, TypeError, KeyError):  # another protocol or serializer; compressed
        return None
    own = (message.task_id, message.argsrepr, message.kwargsrepr)
    return template if is_same and not any(json.dumps(value)[1:-1] in others for value in own if value) else None


def readable(commands: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The commands with what they carry, decoded, without what is different each time."""
    return [(*command, _without_moment(json.loads(text))) for *command, text in commands]


def _without_moment(message: dict[str, Any]) -> dict[str, Any]:
    body, properties = _decoded(message), {**message["properties"], "delivery_tag": None}
    if isinstance(body, dict):
        body |= dict.fromkeys(_OF_THE_MOMENT)
    return {**message, "body": body, "properties": properties}


def _decoded(message: dict[str, Any]) -> Any:
    return json.loads(b64decode(message["body"]))


def _encoded(body: Any) -> str:
    return b64encode(json.dumps(body).encode()).decode()
