"""`make up` as a newcomer types it: from a path with a space, stopped with Ctrl-C, killed, started again."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from project.local.home import ROOT
from project.local.ports import free_port

pytestmark = pytest.mark.timeout(240)


@dataclass
class Up:
    """One `make up` whose banner has been read."""

    make: "subprocess.Popen[str]"
    banner: str
    family: list[psutil.Process]

    def url(self, name: str) -> str:
        found = re.search(rf"{name} +(http\S+)", self.banner)
        assert found is not None
        return found[1].rstrip("/")

    def ctrl_c(self) -> int:
        """The exit status after what a terminal does: SIGINT to everybody in the foreground."""
        os.killpg(self.make.pid, signal.SIGINT)
        self.make.communicate(timeout=90)
        return self.make.returncode

    def survivors(self) -> list[psutil.Process]:
        """Who is left ten seconds later."""
        return psutil.wait_procs(self.family, timeout=10)[1]


class Checkout:
    """A copy of the repository under a path with a space, sharing the virtual environment of this test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        shutil.copytree(ROOT / "project", directory / "project")
        for name in ("runs", "examples"):
            shutil.copytree(ROOT / name, directory / name)
        for name in ("Makefile", "manage.py", "requirements.txt"):
            shutil.copy2(ROOT / name, directory / name)
        (directory / ".venv").symlink_to(sys.prefix)

    def start(self, **variables: str) -> "subprocess.Popen[str]":
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return subprocess.Popen(
            ["make", "--directory", str(self.directory), "up"],
            cwd="/",
            env={**kept, "PORT": "0", "FLOWER_PORT": "0", "WORKERS": "1", **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @contextmanager
    def up(self, **variables: str) -> Iterator[Up]:
        """`make up` from its banner on; whatever the test does with it, nothing is left afterwards."""
        make = self.start(**variables)
        try:
            yield Up(make, _read_banner(make), psutil.Process(make.pid).children(recursive=True))
        finally:
            os.killpg(make.pid, signal.SIGTERM) if make.poll() is None else None
            make.communicate()

    def refused(self, **variables: str) -> str:
        """What `make up` says before it gives up."""
        make = self.start(**variables)
        said, _ = make.communicate(timeout=60)
        assert make.returncode == 2  # make's own status when a recipe fails
        return said


def _read_banner(make: "subprocess.Popen[str]") -> str:
    assert make.stdout is not None
    lines: list[str] = []
    for line in make.stdout:
        lines.append(line)
        if "Ctrl-C stops everything" in line:
            return "".join(lines)
    raise AssertionError("".join(lines))


def get(url: str, **headers: str) -> str:
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    with urllib.request.urlopen(request, timeout=10) as response:
        assert response.status == 200
        text: str = response.read().decode()
        return text


def post(url: str, body: object, **headers: str) -> dict[str, str]:
    headers = {name.replace("_", "-"): value for name, value in headers.items()} | {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        answer: dict[str, str] = json.load(response)
        return answer


def basic(password: str) -> str:
    return "Basic " + b64encode(f"operator:{password}".encode()).decode()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    directory = tmp_path_factory.mktemp("up") / "a path with a space"
    directory.mkdir()
    return Checkout(directory)


def test_a_newcomer_starts_stops_and_continues(checkout: Checkout) -> None:
    with checkout.up() as first:
        key = re.search(r"API key: (\S+)", first.banner)
        password = re.search(r"password (\S+)", first.banner)
        assert key is not None
        assert password is not None

        assert get(f"{first.url('API')}/ok")
        assert "csrfmiddlewaretoken" in get(f"{first.url('admin')}/")
        assert "body" in get(f"{first.url('API')}/static/admin/css/base.css")
        assert get(first.url("docs"))
        assert get(f"{first.url('Flower')}/workers", Authorization=basic(password[1]))
        thread = post(f"{first.url('API')}/threads", {"metadata": {"kept": "yes"}}, x_api_key=key[1])

        first.ctrl_c()
        assert first.survivors() == []
    assert not (checkout.directory / ".runyard" / "postgres" / "postmaster.pid").exists()

    with checkout.up() as second:
        assert "API key:" not in second.banner
        url = f"{second.url('API')}/threads/{thread['thread_id']}"
        assert json.loads(get(url, x_api_key=key[1]))["metadata"] == {"kept": "yes"}

        supervisor = next(process for process in second.family if "project.local.up" in process.cmdline())
        supervisor.kill()
        assert second.survivors() == []

    with checkout.up() as third:
        url = f"{third.url('API')}/threads/{thread['thread_id']}"
        assert json.loads(get(url, x_api_key=key[1]))["metadata"] == {"kept": "yes"}


def test_what_scripts_choose_is_what_they_get(checkout: Checkout, tmp_path: Path) -> None:
    port, flower_port = free_port(), free_port()
    chosen = {
        "PORT": str(port),
        "FLOWER_PORT": str(flower_port),
        "RUNYARD_HOME": str(tmp_path / "elsewhere"),
        "RUNYARD_API_KEY": "a key of my own choice",
        "RUNYARD_ADMIN_PASSWORD": "pass $word: \"quoted\" and 'so'",
        "WORKERS": "2",
    }
    with checkout.up(**chosen) as up:
        assert up.url("API") == f"http://127.0.0.1:{port}"
        assert get(f"http://127.0.0.1:{flower_port}/", Authorization=basic(chosen["RUNYARD_ADMIN_PASSWORD"]))
        assert post(f"{up.url('API')}/threads", {}, x_api_key=chosen["RUNYARD_API_KEY"])["status"] == "idle"
        worker = next(process for process in up.family if "worker" in process.cmdline()[1:])
        assert worker.cmdline()[worker.cmdline().index("--concurrency") + 1] == "2"
        listening = {
            connection.laddr.ip
            for process in up.family
            if process.is_running()
            for connection in process.net_connections()
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening == {"127.0.0.1"}

        said = checkout.refused(RUNYARD_HOME=chosen["RUNYARD_HOME"])
        assert "already running" in said
        assert chosen["RUNYARD_HOME"] in said


def test_a_taken_port_is_refused_before_anything_starts(checkout: Checkout, tmp_path: Path) -> None:
    home = tmp_path / "untouched"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        said = checkout.refused(PORT=str(port), RUNYARD_HOME=str(home))

    assert re.search(rf"port {port} \(API\) is taken; try PORT=\d+ make up", said)
    assert [path.name for path in home.iterdir()] == ["lock"]


@pytest.mark.parametrize(
    ("variables", "explanation"),
    [
        ({"WORKER_POOL": "gevent"}, "WORKER_POOL=gevent is no way to execute runs"),
        ({"WORKERS": "many"}, "WORKERS=many is not a number of worker processes"),
        ({"FLOWER_PORT": "x"}, "FLOWER_PORT=x is not a port"),
        ({"RUNYARD_ADMIN_PASSWORD": "a,b"}, "RUNYARD_ADMIN_PASSWORD contains a comma"),
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, "REDIS_URL does not answer"),
        ({"DATABASE_URL": "postgresql://x@127.0.0.1:1/x"}, "DATABASE_URL does not answer"),
        ({"RUNYARD_API_KEY": "short"}, "RUNYARD_API_KEY: An API key needs at least"),
    ],
)
def test_what_cannot_work_is_explained_in_a_sentence(
    checkout: Checkout, tmp_path: Path, variables: dict[str, str], explanation: str
) -> None:
    said = checkout.refused(RUNYARD_HOME=str(tmp_path / "home"), **variables)

    assert explanation in said
    assert "Traceback" not in said
