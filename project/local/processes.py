"""Child processes that end with their parent, however the parent ends."""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from project.local.privileges import become

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)  # loaded here: nothing may be imported between fork and exec


def before_exec(death_signal: signal.Signals, account: pwd.struct_passwd | None = None) -> Callable[[], None]:
    """What a child does between fork and exec: become `account`, and ask for `death_signal` when its parent dies.

    Only Linux delivers it, and it goes by the thread that forked: start children from the main thread.
    """
    parent = os.getpid()

    def prepare() -> None:
        if account is not None:
            become(account)  # before the next line: a change of user clears the request
        if sys.platform == "linux":
            _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:  # it died before the request was made
                os.kill(os.getpid(), signal.SIGKILL)

    return prepare


def spawn(
    command: list[str],
    *,
    log: Path,
    death_signal: signal.Signals,
    account: pwd.struct_passwd | None = None,
    environment: dict[str, str] | None = None,
    directory: Path | None = None,
    stdin: bytes = b"",
) -> "subprocess.Popen[bytes]":
    """Start a server in a session of its own (a Ctrl-C on the terminal is for the supervisor), logging to a file."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=directory,
            start_new_session=True,
            preexec_fn=before_exec(death_signal, account),
        )
    assert process.stdin is not None  # noqa: S101 (for the type checker)
    with suppress(BrokenPipeError), process.stdin as pipe:
        pipe.write(stdin)
    return process


def end(process: "subprocess.Popen[bytes]", *signals: signal.Signals, patience: float) -> None:
    """Ask with each signal in turn, waiting `patience` seconds for the end each time, then kill."""
    for number in (*signals, signal.SIGKILL):
        process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            return


def end_former(pid_file: Path, directory: Path, number: signal.Signals, patience: float) -> None:
    """End the server over `directory` that outlives its killed supervisor, if there is one.

    A pid file whose number belongs to another program now, as happens in containers, is removed: a server would take
    that program for its former self. The directory tells them apart: servers work in the one that holds their data.
    """
    try:
        former = psutil.Process(int(pid_file.read_text().split("\n", 1)[0]))
        if not directory.samefile(former.cwd()):
            pid_file.unlink()
            return
        former.send_signal(number)
        former.wait(patience)
    except (OSError, ValueError, psutil.Error):  # there is no file, or no such process any more
        return


def kill_group(leader: int) -> None:
    """Kill whatever a child that led its own session has left behind."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def last_lines(log: Path, count: int = 15) -> str:
    """The end of a server's log, for an error message."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(lines[-count:]) or "(nothing in the log)"
