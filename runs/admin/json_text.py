"""JSON for people: sorted, indented, without secrets, and not more of it than a page should have."""

import json
import re
from dataclasses import dataclass
from typing import Any

MOST_SHOWN = 64 * 1024
MASK = "••••••"
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)|secret|token$|api[-_ ]?key|authorization|credential|cookie|private[-_ ]?key|bearer", re.I
)
#: What is a secret wherever it stands: keys of ours and of others in their usual forms.
_SECRET_TEXT = re.compile(
    r"\b(ry_[\w-]{20,}|sk-[\w-]{16,}|gh[pousr]_\w{20,}|xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}"
    r"|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]+)|(?<=Bearer )\S+|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)


@dataclass(frozen=True)
class JsonText:
    """A value as text; `cut`: there is more, which can be downloaded. `size` is of all of it, in characters."""

    text: str
    size: int

    @property
    def cut(self) -> bool:
        return self.size > len(self.text)


def readable(value: Any) -> JsonText:
    """The value as a page shows it: whole lines up to MOST_SHOWN characters."""
    text = complete(value)
    if len(text) <= MOST_SHOWN:
        return JsonText(text, len(text))
    shown = text[:MOST_SHOWN]
    return JsonText(shown[: shown.rfind("\n") + 1] or shown, len(text))


def complete(value: Any) -> str:
    """All of it, without secrets."""
    return json.dumps(masked(value), indent=2, sort_keys=True, ensure_ascii=False)


def masked(value: Any) -> Any:
    """The value with MASK in the place of what is called a secret or looks like one."""
    if isinstance(value, dict):
        return {key: MASK if _is_secret(key, item) else masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return _SECRET_TEXT.sub(MASK, value) if isinstance(value, str) else value


def _is_secret(key: str, item: Any) -> bool:
    """Numbers and flags are none: `max_tokens`, `has_password`."""
    return bool(item) and isinstance(item, str | dict | list) and _SECRET_NAME.search(key) is not None
