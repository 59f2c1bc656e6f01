"""The two engines: those that DATABASE_URL and REDIS_URL name, else embedded ones in the home directory."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from project.local.errors import CannotStart
from project.local.home import Home
from project.local.postgres import Postgres
from project.local.valkey import Valkey, ping

Engine = Postgres | Valkey


@dataclass
class Engines:
    """The engines of one stack. `values` are the variables that settings need to find them."""

    values: dict[str, str]
    embedded: list[Engine] = field(default_factory=list)


@contextmanager
def started_engines(home: Home) -> Iterator[Engines]:
    """Both engines answer inside the block; those that were started here are stopped after it."""
    engines = Engines(values={})
    with ExitStack() as stack:
        if url := os.environ.get("DATABASE_URL"):
            engines.values["DATABASE_URL"] = url  # prepare.py is the first to connect, with Django's reading of it
        else:
            password = home.credentials.secret("EMBEDDED_POSTGRES_PASSWORD")
            postgres = Postgres(home.path / "postgres", log=home.path / "postgres.log", password=password)
            engines.values["DATABASE_URL"] = _start(postgres, engines, stack)
        if url := os.environ.get("REDIS_URL"):
            _require_redis(url)
            engines.values["REDIS_URL"] = url
        else:
            password = home.credentials.secret("EMBEDDED_REDIS_PASSWORD")
            valkey = Valkey(home.path / "redis", log=home.path / "redis.log", password=password)
            engines.values["REDIS_URL"] = _start(valkey, engines, stack)
        yield engines


def _start(engine: Engine, engines: Engines, stack: ExitStack) -> str:
    stack.callback(engine.stop)
    try:
        engine.start()
    except (PermissionError, subprocess.SubprocessError) as error:  # root without the rights of root, for instance
        raise CannotStart(
            f"{engine.name} cannot be started with the rights of this user: {error}. "
            "Run as an ordinary user, or give DATABASE_URL and REDIS_URL."
        ) from error
    engines.embedded.append(engine)
    return engine.url


def _require_redis(url: str) -> None:
    if not ping(url):
        raise CannotStart("the server of REDIS_URL does not answer. Start it, or unset REDIS_URL for the embedded one.")
