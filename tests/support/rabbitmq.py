"""A RabbitMQ of the session's own, on free loopback ports, with its data in one directory."""

import os
import shutil
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from kombu import Connection

from project.local.ports import LOOPBACK, free_port
from project.local.processes import end, kill_group, last_lines, spawn
from tests.support.ledger import wait_until

START_SECONDS = 120.0
STOP_SECONDS = 30.0
#: What Debian installs as /usr/sbin/rabbitmq-server runs only under the package's own account and directories.
_PLACES = ("/usr/lib/rabbitmq/bin", "/opt/rabbitmq/sbin")


def program() -> str:
    """Where RabbitMQ's server is: RABBITMQ_SERVER, or where packages put it, or on PATH."""
    known = os.environ.get("RABBITMQ_SERVER") or shutil.which("rabbitmq-server", path=os.pathsep.join(_PLACES))
    found = known or shutil.which("rabbitmq-server")
    assert found, "rabbitmq-server is not installed; RABBITMQ_SERVER can name it"
    return found


class RabbitMQ:
    """One node. It can be killed and started again under the same address, with what it had written down."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port, self._epmd_port = free_port(), free_port()
        self.url = f"amqp://guest:guest@{LOOPBACK}:{self._port}//"
        self._exit = ExitStack()
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._exit:
            self._start_names()
            self._exit.callback(self.kill)
            self.start()
            self._exit = self._exit.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def _start_names(self) -> None:
        """Erlang's port mapper: a node would start one that outlives it."""
        command = ["epmd", "-port", str(self._epmd_port), "-address", LOOPBACK]
        names = spawn(command, log=self._directory / "epmd.log", death_signal=signal.SIGKILL)
        self._exit.callback(end, names, signal.SIGTERM, patience=STOP_SECONDS)

    def start(self) -> None:
        """Return when it answers."""
        log = self._directory / "rabbitmq.log"
        self.process = spawn(
            [program()],
            log=log,
            death_signal=signal.SIGTERM,
            environment=self._environment(),
            directory=self._directory,
        )
        try:
            wait_until(self.answers, "RabbitMQ to answer", START_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}; its log:\n{last_lines(log, 50)}") from None

    def answers(self) -> bool:
        """Whether a client can connect."""
        assert self.process is not None
        assert self.process.poll() is None, "RabbitMQ has ended"
        try:
            with Connection(self.url, connect_timeout=5, transport_options={"max_retries": 0}) as connection:
                connection.connect()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """What a power cut does to it."""
        if self.process is not None:
            kill_group(self.process.pid)
            self.process.wait(STOP_SECONDS)

    def _environment(self) -> dict[str, str]:
        directory = str(self._directory)
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("RABBITMQ_")},
            "HOME": directory,
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "RABBITMQ_NODENAME": f"runyard-{self._port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": f"{directory}/data",
            "RABBITMQ_LOG_BASE": f"{directory}/logs",
            "RABBITMQ_PID_FILE": f"{directory}/pid",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{directory}/enabled_plugins",
            "RABBITMQ_CONFIG_FILE": f"{directory}/rabbitmq",
        }
