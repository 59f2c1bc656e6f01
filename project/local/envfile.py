"""A file of variables, as django-environ and a shell read it, for its owner's eyes only."""

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from project.local.errors import CannotStart

_LINE = re.compile(r'^(\w+)="(.*)"$', re.MULTILINE)


class EnvFile:
    """Variables that stay the same between two starts. Those of the environment win over them."""

    def __init__(self, path: Path, *, purpose: str) -> None:
        self.path, self._purpose = path, purpose

    def read(self) -> dict[str, str]:
        """All variables; none if the file does not exist."""
        text = self.path.read_text() if self.path.exists() else ""
        return {name: re.sub(r"\\(.)", r"\1", value) for name, value in _LINE.findall(text)}

    def update(self, values: Mapping[str, str]) -> None:
        """Add or replace variables."""
        for name, value in values.items():
            if not value.isprintable():
                raise CannotStart(f"{name} contains a line break or a control character; choose another value.")
        lines = [f'{name}="{_escape(value)}"\n' for name, value in {**self.read(), **values}.items()]
        write_private(self.path, f"# {self._purpose}\n{''.join(lines)}")

    def get(self, name: str) -> str | None:
        """The variable of the environment, else that of the file."""
        return os.environ.get(name) or self.read().get(name)

    def secret(self, name: str, size: int = 48) -> str:
        """The variable, drawn at random from `size` bytes and kept if there is none yet."""
        value = self.get(name) or secrets.token_urlsafe(size)
        self.update({name: value})
        return value


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step; nobody but its owner can read it at any moment."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def _escape(value: str) -> str:
    return re.sub(r'(["\\$`])', r"\\\1", value)
