"""One loop process as the main process sees it: what it executes, what it is told, what it says."""

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

CHUNK = 1 << 16


class Child:
    """A loop process with a range of slots. `alone`: it executes one run at a time, one whose process has crashed."""

    def __init__(self, slots: range, *, alone: bool = False) -> None:
        self.slots, self.alone = slots, alone
        #: slot -> what is executed there.
        self.jobs: dict[int, Any] = {}
        self.pid = 0
        self.is_leaving = False
        self._socket: socket.socket | None = None
        self._received = b""

    def fork(self, serve: Callable[[socket.socket], None]) -> None:
        """Begin its life; `serve` is called in the new process, which ends with it."""
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            _serve_and_end(lambda: serve(theirs))
        theirs.close()
        ours.setblocking(False)
        self._socket, self.pid, self._received, self.is_leaving = ours, pid, b"", False

    @property
    def socket(self) -> socket.socket:
        """What it is talked to over."""
        if self._socket is None:
            raise OSError("this process is talked to no more")
        return self._socket

    @property
    def is_closed(self) -> bool:
        """Whether it is talked to no more, or not yet."""
        return self._socket is None

    @property
    def is_usable(self) -> bool:
        """Whether it can be given a run; one that is for single runs is started when there is one."""
        return not self.is_leaving and (not self.is_closed or (self.alone and not self.pid))

    @property
    def free(self) -> Iterator[int]:
        """Slots in which nothing is executed."""
        return (slot for slot in self.slots if slot not in self.jobs)

    def send(self, **what: Any) -> bool:
        """Tell it something; False: it does not listen any more."""
        try:
            self.socket.sendall(json.dumps(what).encode() + b"\n")
        except OSError:
            return False
        return True

    def receive(self) -> Iterator[dict[str, Any]]:
        """What it has said since."""
        if self.is_closed:
            return
        with suppress(OSError):
            while chunk := self.socket.recv(CHUNK):
                self._received += chunk
        *lines, self._received = self._received.split(b"\n")
        for line in lines:
            yield json.loads(line)

    def has_ended(self) -> bool:
        """Whether the process has ended; it is no zombie then."""
        with suppress(ChildProcessError):
            return os.waitpid(self.pid, os.WNOHANG)[0] != 0
        return True

    def close(self) -> None:
        """Let it end, when it has nothing to do."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def kill(self, signum: int = signal.SIGKILL) -> None:
        """Send it a signal."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signum)


def _serve_and_end(serve: Callable[[], None]) -> None:
    """Nothing of the parent's may be executed or cleaned up by its child."""
    status = 1
    try:
        serve()
        status = 0
    except BaseException:
        import logging

        logging.getLogger(__name__).exception("this loop process cannot go on")
    finally:
        os._exit(status)
