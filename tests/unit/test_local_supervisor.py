"""The supervisor, over small programs: what it starts, what it restarts, and that nothing is left."""

import http.server
import io
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from project.local import supervisor
from project.local.console import Console
from project.local.home import ROOT
from project.local.stack import Process
from project.local.supervisor import Supervisor
from project.local.valkey import Valkey
from tests.support.ledger import wait_until

SLEEP = "import time; time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('I am deaf'); {SLEEP}"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "PAUSES", (0.05, 0.05))


@pytest.fixture
def probe() -> Iterator[str]:
    """A URL that answers 200."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def program(name: str, code: str, **more: float) -> Process:
    return Process(name, ("-c", code), **more)  # type: ignore[arg-type]


def supervise(*processes: Process, probe: str, announce: Callable[[], None], after: str = "") -> tuple[int, str]:
    """Exit status and output; `announce` is called when the probe answers and `after` has been written."""
    output = io.StringIO()

    def once_written() -> None:
        wait_until(lambda: after in output.getvalue(), f"{after!r} to be written")
        announce()

    status = Supervisor(processes, [], dict(os.environ), Console(output)).run({"API": probe}, once_written)
    return status, output.getvalue()


def stop() -> None:
    """What Ctrl-C does."""
    signal.raise_signal(signal.SIGINT)


def children() -> list[psutil.Process]:
    mine = psutil.Process().children(recursive=True)
    return [child for child in mine if child.is_running() and str(SLEEP) in " ".join(child.cmdline())]


def test_it_announces_when_all_answer_and_stops_in_order(probe: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    code = (
        "import signal, sys, time\n"
        "def bye(*_):\n"
        "    open({path!r}, 'a').write({name!r} + ' '); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, bye)\n"
        "open({path!r} + {name!r}, 'w').close()\n"
        "time.sleep(600)"
    )
    names = ("first", "second", "third")

    def once_all_listen() -> None:
        wait_until(lambda: all(Path(f"{ledger}{name}").exists() for name in names), "all to listen")
        stop()

    specs = [program(name, code.format(path=str(ledger), name=name)) for name in names]
    status, _ = supervise(*specs, probe=probe, announce=once_all_listen)

    assert (status, ledger.read_text()) == (0, "first second third ")


def test_nothing_is_announced_while_something_does_not_answer() -> None:
    announced: list[bool] = []
    status, output = supervise(
        program("web", "raise SystemExit(3)"),
        probe="http://127.0.0.1:1/",
        announce=lambda: announced.append(True),
    )

    assert (status, announced) == (1, [])
    assert "web ended with status 3" in output


@pytest.mark.parametrize("nonsense", [b"what?\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 101 + b"\r\n"])
def test_who_answers_something_else_does_not_answer(nonsense: bytes) -> None:
    """A process that is about to end may say anything, and the next on its port has all the time it needs."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(nonsense)

        answering = threading.Thread(target=answer)
        answering.start()
        assert not supervisor._answers(f"http://127.0.0.1:{server.getsockname()[1]}/")
        answering.join()


def test_nobody_asks_any_more_when_it_is_over() -> None:
    """A thread that goes on would keep a process busy that has long stopped what it had started."""
    answering, over = threading.Event(), threading.Event()
    asking = threading.Thread(target=supervisor._wait_for_answers, args=(["http://127.0.0.1:9/"], answering, over))
    asking.start()
    over.set()
    asking.join(20)
    assert not asking.is_alive()
    assert not answering.is_set()


def test_it_waits_for_what_listens_on_no_port(probe: str, tmp_path: Path) -> None:
    written = tmp_path / "written"
    code = f"import time; time.sleep(0.5); open({str(written)!r}, 'w').close(); print('now ready.'); {SLEEP}"
    seen: list[bool] = []

    def announce() -> None:
        seen.append(written.exists())
        stop()

    status, _ = supervise(Process("worker", ("-c", code), ready_when="ready."), probe=probe, announce=announce)

    assert (status, seen) == (0, [True])


def test_a_process_that_crashes_later_starts_again(probe: str, tmp_path: Path) -> None:
    lives = tmp_path / "lives"
    code = (
        f"import os, time; open({str(lives)!r}, 'a').write('I')\n"
        f"while open({str(lives)!r}).read() == 'I': time.sleep(0.01)\n"
        f"os.kill(os.getppid(), {int(signal.SIGTERM)}); {SLEEP}"
    )

    def crash() -> None:
        wait_until(lives.exists, "the first life")
        children()[0].kill()

    status, output = supervise(program("worker", code), probe=probe, announce=crash)

    assert (status, lives.read_text()) == (0, "II")
    assert "worker was ended by SIGKILL; it starts again in 0.05 s" in output


def test_a_process_that_keeps_crashing_stops_everything(probe: str, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    code = f"import os, time\nwhile not os.path.exists({str(ready)!r}): time.sleep(0.01)\nraise SystemExit(7)"

    status, output = supervise(program("worker", code), program("web", SLEEP), probe=probe, announce=ready.touch)

    assert status == 1
    assert output.count("it starts again") == 2
    assert "worker ended with status 7; the lines above" in output
    assert children() == []


def test_an_engine_that_ends_stops_everything(probe: str, tmp_path: Path) -> None:
    valkey = Valkey(tmp_path / "redis", log=tmp_path / "redis.log", password="secret")
    valkey.start()
    output = io.StringIO()

    web = program("web", SLEEP)
    status = Supervisor([web], [valkey], dict(os.environ), Console(output)).run({"API": probe}, valkey.kill)

    assert (status, children()) == (1, [])
    assert f"redis was ended by SIGKILL; its log is {valkey.log}. Stopping everything." in output.getvalue()


def test_one_that_ignores_the_request_is_killed_with_what_it_started(probe: str) -> None:
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); {STUBBORN}"

    status, _ = supervise(program("worker", code, patience=0.3), probe=probe, announce=stop, after="deaf")

    assert (status, children()) == (0, [])


def test_a_second_request_does_not_wait(probe: str, tmp_path: Path) -> None:
    """The first has reached the process, which does not heed it."""
    asked = tmp_path / "asked"
    code = (
        "import signal, time\n"
        f"signal.signal(signal.SIGTERM, lambda *_: open({str(asked)!r}, 'w').close())\n"
        f"print('I am deaf', flush=True)\nwhile True: {SLEEP}"
    )

    def stop_again() -> None:
        wait_until(asked.exists, "the first request to be passed on")
        os.kill(os.getpid(), signal.SIGINT)

    def stop_twice() -> None:
        again.start()
        stop()

    again = threading.Thread(target=stop_again)
    status, _ = supervise(program("worker", code, patience=600), probe=probe, announce=stop_twice, after="deaf")
    again.join()

    assert (status, children()) == (0, [])


def test_every_line_says_who_wrote_it(probe: str) -> None:
    code = f"import os; print('hello'); os.write(1, b'\\xff\\n'); {SLEEP}"

    _, output = supervise(program("web", code), probe=probe, announce=stop, after="\N{REPLACEMENT CHARACTER}")

    assert "web       | hello\nweb       | \N{REPLACEMENT CHARACTER}\n" in output


def test_a_killed_supervisor_takes_its_children_with_it(tmp_path: Path) -> None:
    code = (
        "import io, os\n"
        "from project.local.console import Console\n"
        "from project.local.stack import Process\n"
        "from project.local.supervisor import Supervisor\n"
        f"child = Process('web', ('-c', 'import os; print(os.getpid()); ' + {SLEEP!r}))\n"
        "Supervisor([child], [], dict(os.environ), Console()).run({'API': 'http://127.0.0.1:1/'}, lambda: None)\n"
    )
    killed = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    with killed.stdout as lines:
        child = psutil.Process(int(next(lines).rpartition("|")[2]))
        killed.kill()
        killed.wait()

        assert psutil.wait_procs([child], timeout=10)[1] == []
