"""`make up`: everything that Runyard needs on one machine, from an empty directory to four URLs that answer.

Nothing listens beyond the loopback interface. Everything that must survive is under RUNYARD_HOME.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from types import FrameType

from project.local.console import Console
from project.local.engines import started_engines
from project.local.errors import CannotStart
from project.local.home import ROOT, Home
from project.local.ports import port_from_environment
from project.local.processes import before_exec
from project.local.stack import POOLS, Addresses, processes
from project.local.supervisor import Supervisor

_CREDENTIALS = ("RUNYARD_ADMIN_PASSWORD", "RUNYARD_API_KEY")  # none of the business of assistants
#: Runs at the same time; with prefork each has a process.
DEFAULT_WORKERS = {"prefork": "4", "async": "256"}
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run until Ctrl-C; 1 and a sentence if that is not possible."""
    console = Console()
    _stop_on_signals()
    try:
        home = Home.from_environment()
        with home.locked():
            return _up(home, console)
    except CannotStart as reason:
        console.say(str(reason))
        return 1
    except KeyboardInterrupt:
        console.say("stopped before it was up")
        return 1


def _up(home: Home, console: Console) -> int:
    ports = Addresses(port_from_environment("PORT", 8000, "API"), port_from_environment("FLOWER_PORT", 5555, "Flower"))
    pool, password = _pool(), _operator_password(home)
    workers = _number_of_workers(pool)
    console.say(f"data is in {home.path}")
    with started_engines(home) as engines:
        found = {**engines.values, "SECRET_KEY": home.settings.secret("SECRET_KEY")}
        home.settings.update(found)
        environment = {**os.environ, **found, "RUNYARD_HOME": str(home.path)}
        accounts = _prepare(home, environment, password, console)
        home.credentials.update({"RUNYARD_API_KEY": accounts["api_key"], "RUNYARD_URL": ports.urls["API"]})

        def announce() -> None:
            home.announce(ports.urls)
            console.say(_welcome(ports, accounts, password))

        stack = processes(ports, workers=workers, pool=pool, password=password, home=home.path)
        without_credentials = {name: value for name, value in environment.items() if name not in _CREDENTIALS}
        status = Supervisor(stack, engines.embedded, without_credentials, console).run(ports.probes, announce)
        _ignore_signals()  # what is left to do is short and must be done
    console.say("everything has stopped")
    return status


def _prepare(home: Home, environment: Mapping[str, str], password: str, console: Console) -> dict[str, str]:
    """Migrate, register the assistants and create the accounts, in a program of its own."""
    given = {
        "RUNYARD_ADMIN_PASSWORD": password,
        "RUNYARD_ADMIN_PASSWORD_CHOSEN": "yes" if os.environ.get("RUNYARD_ADMIN_PASSWORD") else "no",
        "RUNYARD_API_KEY": home.credentials.get("RUNYARD_API_KEY") or "",
    }
    done = subprocess.run(
        [sys.executable, "-m", "project.local.prepare"],
        cwd=ROOT,
        env={**environment, **given},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
        preexec_fn=before_exec(signal.SIGKILL),
    )
    if done.returncode != 0:
        raise CannotStart(done.stderr.strip())
    prepared = json.loads(done.stdout)
    for problem in prepared["problems"].values():
        console.say(problem)
    return {name: prepared[name] for name in ("api_key", "operator")}


def _welcome(ports: Addresses, accounts: Mapping[str, str], password: str) -> str:
    lines = ["", "Runyard is up.", *(f"  {name:<7} {url}" for name, url in ports.urls.items())]
    if accounts["operator"] == "created":
        lines.append(f"  Log in as 'operator' with the password {password} (admin and Flower).")
        lines.append(f"  API key: {accounts['api_key']} (send it as the header x-api-key)")
    else:
        lines.append("  The password of 'operator' and the API key are in the file 'credentials' beside the data.")
    return "\n".join([*lines, "  Ctrl-C stops everything.", ""])


def _operator_password(home: Home) -> str:
    password = home.credentials.secret("RUNYARD_ADMIN_PASSWORD", size=12)
    if "," in password:
        raise CannotStart("RUNYARD_ADMIN_PASSWORD contains a comma, which Flower takes as the end of a password.")
    return password


def _pool() -> str:
    pool = os.environ.get("WORKER_POOL") or "prefork"
    if pool not in POOLS:
        raise CannotStart(f"WORKER_POOL={pool} is no way to execute runs; give {' or '.join(POOLS)}.")
    return pool


def _number_of_workers(pool: str) -> int:
    text = os.environ.get("WORKERS") or DEFAULT_WORKERS[pool]
    if not text.isdigit() or int(text) == 0:
        raise CannotStart(f"WORKERS={text} is not a number of worker processes; give 1 or more.")
    return int(text)


def _stop_on_signals() -> None:
    """Until the supervisor takes over, a request to stop unwinds what has been started so far."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in _STOP_SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # else under nohup
            signal.signal(number, stop)


def _ignore_signals() -> None:
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
