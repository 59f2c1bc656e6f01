"""The directory that `make up` owns: one supervisor at a time, and what stays between two starts."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from project.local.envfile import EnvFile, write_private
from project.local.errors import CannotStart

ROOT = Path(__file__).resolve().parent.parent.parent


class Home:
    """`RUNYARD_HOME`, by default `.runyard` beside manage.py."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.settings = EnvFile(
            self.path / "env",
            purpose="What project/settings.py needs. Written by `make up`; the environment wins.",
        )
        self.credentials = EnvFile(
            self.path / "credentials",
            purpose="Written by `make up` for people and scripts; the processes of Runyard do not read it.",
        )
        self._status, self._lock = self.path / "up.json", self.path / "lock"

    @classmethod
    def from_environment(cls) -> "Home":
        """The directory that RUNYARD_HOME names."""
        return cls(Path(os.environ.get("RUNYARD_HOME") or ROOT / ".runyard"))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory; the kernel lets go of it when the process ends, however that happens."""
        self._create()
        with self._lock.open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                raise CannotStart(
                    f"Runyard is already running from {self.path} (process {lock.read()}). Stop it with Ctrl-C, "
                    "or give the second one its own directory and ports: RUNYARD_HOME=... PORT=0 FLOWER_PORT=0 make up"
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            try:
                yield
            finally:
                self._status.unlink(missing_ok=True)
                lock.truncate(0)

    def announce(self, urls: Mapping[str, str]) -> None:
        """From now on `status` answers with these addresses."""
        write_private(self._status, json.dumps(urls, indent=2))

    def status(self) -> dict[str, str] | None:
        """The addresses of the Runyard that is up in this directory now; None if there is none, or not yet."""
        with suppress(OSError), self._lock.open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                found: dict[str, str] = json.loads(self._status.read_text())
                return found
        return None

    def values(self) -> dict[str, str]:
        """Everything that the last start has written down."""
        return {**self.settings.read(), **self.credentials.read()}

    def _create(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock.touch(mode=0o600)
        except OSError as error:
            raise CannotStart(
                f"{self.path} cannot be used ({error.strerror}). It may belong to another user: remove it, "
                "or name another directory in RUNYARD_HOME."
            ) from error
