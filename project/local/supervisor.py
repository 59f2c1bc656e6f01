"""Runs the processes of one Runyard, restarts the crashed, stops all of them in order.

Honcho was considered: it stops everything at once with one signal, restarts nothing, and knows neither readiness nor a
supervisor that is killed; what would remain of it is the coloured prefix.
"""

import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from types import FrameType

from project.local.console import Console
from project.local.engines import Engine
from project.local.home import ROOT
from project.local.processes import before_exec, kill_group
from project.local.stack import Process

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)  # before each restart in a row; after the last one, everything stops
STEADY_SECONDS = 60.0  # a process that lived this long starts the row anew
_TICK = 0.1
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Child:
    """One supervised process through all its lives."""

    def __init__(self, spec: Process, environment: Mapping[str, str], console: Console) -> None:
        self.spec, self._console = spec, console
        named = {"PGAPPNAME": f"runyard {spec.name}"}  # whose a session of PostgreSQL is
        self._environment = {**environment, **named, **spec.environment, "PYTHONUNBUFFERED": "1"}
        self._started_at = self._due = 0.0
        self._crashes = 0
        self._reader: threading.Thread | None = None
        self.is_ready = not spec.ready_when
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start a life. Killed with the supervisor, whatever kills that."""
        self._started_at = time.monotonic()
        self.process = subprocess.Popen(
            self.spec.command,
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=before_exec(signal.SIGKILL),
        )
        self._reader = threading.Thread(target=self._repeat_output, args=(self.process,), daemon=True)
        self._reader.start()

    def ended(self) -> int | None:
        """The exit status if the present life is over; then nothing that it started is left either."""
        if self.process is None or self.process.poll() is None:
            return None
        kill_group(self.process.pid)
        return self.process.returncode

    def restart_after(self) -> float | None:
        """Plan the next life and return the pause before it; None if too many ended too soon."""
        self._crashes = 0 if time.monotonic() - self._started_at > STEADY_SECONDS else self._crashes
        if self._crashes == len(PAUSES):
            return None
        pause = PAUSES[self._crashes]
        self._crashes += 1
        self.process, self._due = None, time.monotonic() + pause
        return pause

    def start_if_due(self) -> None:
        """Begin a planned life whose time has come."""
        if self.process is None and time.monotonic() >= self._due:
            self.start()

    def stop(self, *, patient: Callable[[], bool]) -> None:
        """Ask it to end, wait while that is worth it, then kill it and everything it has started."""
        if self.process is None:
            return
        self.process.send_signal(self.spec.stop_signal)
        deadline = time.monotonic() + self.spec.patience
        while self.process.poll() is None and time.monotonic() < deadline and patient():
            time.sleep(_TICK)
        kill_group(self.process.pid)
        self.process.wait()
        if self._reader is not None:
            self._reader.join(_TICK)  # for its last words

    def _repeat_output(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None  # noqa: S101 (for the type checker)
        with process.stdout as lines:
            for line in lines:
                self._console.line(self.spec.name, line.rstrip())
                self.is_ready = self.is_ready or self.spec.ready_when in line


class Supervisor:
    """Owns the children from their start to their end; `run` returns the exit status of `make up`."""

    def __init__(
        self, processes: Sequence[Process], engines: Sequence[Engine], environment: Mapping[str, str], console: Console
    ) -> None:
        self._children = [Child(spec, environment, console) for spec in processes]
        self._engines, self._console = engines, console
        self._requests_to_stop = 0
        self._failure: str | None = None
        self._ready = False

    def run(self, probes: Mapping[str, str], announce: Callable[[], None]) -> int:
        """Run until asked to stop (0) or until something that is not restarted has ended (1).

        `announce` is called once, when every probe has answered and every child is ready.
        """
        with self._signals():
            over = threading.Event()
            try:
                self._watch(probes, announce, over)
            finally:
                over.set()
                self._stop_all()
        return 1 if self._failure else 0

    def _watch(self, probes: Mapping[str, str], announce: Callable[[], None], over: threading.Event) -> None:
        answering = threading.Event()
        threading.Thread(target=_wait_for_answers, args=(probes.values(), answering, over), daemon=True).start()
        for child in self._children:
            child.start()
        while not self._requests_to_stop and not self._failure:
            self._check()
            if not self._ready and answering.is_set() and all(child.is_ready for child in self._children):
                self._ready = True
                announce()
            time.sleep(_TICK)

    def _check(self) -> None:
        for engine in self._engines:
            if engine.process is not None and engine.process.poll() is not None:
                self._failure = f"{engine.name} {_describe(engine.process.returncode)}; its log is {engine.log}"
        for child in self._children:
            status = child.ended()
            if status is not None:
                self._restart(child, status)
            child.start_if_due()

    def _restart(self, child: Child, status: int) -> None:
        """Restart what has worked before; a process that fails from the start would only fail again."""
        what = f"{child.spec.name} {_describe(status)}"
        pause = child.restart_after() if self._ready else None
        if pause is None:
            self._failure = f"{what}; the lines above that begin with its name say why"
        else:
            self._console.say(f"{what}; it starts again in {pause:g} s")

    def _stop_all(self) -> None:
        if self._failure:
            self._console.say(f"{self._failure}. Stopping everything.")
        else:
            self._console.say("stopping (once more to stop at once, without waiting for runs)")
        enough = self._requests_to_stop + 1
        for child in self._children:
            child.stop(patient=lambda: self._requests_to_stop < enough)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Count requests to stop instead of being interrupted by them."""

        def count(_number: int, _frame: FrameType | None) -> None:
            self._requests_to_stop += 1

        heeded = [number for number in _STOP_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        former = {number: signal.signal(number, count) for number in heeded}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)


def _wait_for_answers(urls: Iterable[str], answering: threading.Event, over: threading.Event) -> None:
    """Set `answering` when all have answered, unless it is `over` before."""
    for url in urls:
        while not _answers(url):
            if over.wait(_TICK):
                return
    answering.set()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 (our own addresses)
            return bool(response.status == 200)  # noqa: PLR2004
    except (OSError, HTTPException):  # whoever is about to end, or to begin, may say anything
        return False


def _describe(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
