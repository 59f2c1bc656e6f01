"""The engines of a test session: real ones, in a temporary directory, or those that the caller names."""

import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from project.local.postgres import Postgres
from project.local.valkey import Valkey

PASSWORD = "only-for-tests"


class SessionEngines:
    """PostgreSQL and Redis for one session, and the environment through which settings and child processes find them.

    TEST_DATABASE_URL and TEST_REDIS_URL name engines that run already. Nothing here reads or writes `.runyard`.
    """

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="runyard-tests-"))
        self.postgres: Postgres | None = None
        self.redis: Valkey | None = None

    def start(self) -> None:
        """Return once both answer and os.environ names them."""
        os.environ |= {
            "DATABASE_URL": os.environ.get("TEST_DATABASE_URL") or self._start_postgres(),
            "REDIS_URL": os.environ.get("TEST_REDIS_URL") or self._start_redis(),
            "RUNYARD_HOME": str(self.directory / "home"),
            "SECRET_KEY": "a secret for tests that guards nothing, of the length that a check asks for",
        }
        for name in ("CELERY_BROKER_URL", "DATABASE_POOL_SIZE", "DEBUG", "RUNYARD_ASSISTANTS"):
            os.environ.pop(name, None)

    def stop(self) -> None:
        """Leave no process and no file behind."""
        for engine in (self.postgres, self.redis):
            if engine is not None:
                engine.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start_postgres(self) -> str:
        log = self.directory / "postgres.log"
        self.postgres = Postgres(self.directory / "postgres", log=log, password=PASSWORD, durable=False)
        self.postgres.start()
        return self.postgres.url

    def _start_redis(self) -> str:
        self.redis = Valkey(self.directory / "redis", log=self.directory / "redis.log", password=PASSWORD)
        self.redis.start()
        return self.redis.url


def with_database(url: str, name: str) -> str:
    """The same server, another database."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{name}"))
