"""/metrics: who may read it, and that it names everything."""

import pytest
from django.test import Client
from pytest_django import Settings

from runs import metrics
from runs.exposition import HEARTBEAT, QUEUE
from runs.metrics import store
from runs.services.gauges import TEXTS
from tests.support.scrape import Scrape


def status(**headers: str) -> int:
    return int(Client(REMOTE_ADDR=headers.pop("address", "127.0.0.1")).get("/metrics", headers=headers).status_code)


def test_without_a_token_only_this_machine_may_read() -> None:
    assert status() == 200
    assert status(address="::1") == 200
    assert status(address="10.0.0.7") == 403
    assert status(**{"x-forwarded-for": "10.0.0.7"}) == 403
    assert status(forwarded="for=10.0.0.7") == 403


def test_with_a_token_whoever_has_it_may_read(settings: Settings) -> None:
    settings.RUNS = {**settings.RUNS, "METRICS_TOKEN": "the token"}

    assert status(address="10.0.0.7", authorization="Bearer the token") == 200
    assert status() == 403
    for wrong in ("Bearer other", "Bearer ", "Basic the token", "Bearer thé token"):
        assert status(authorization=wrong) == 403


def test_a_key_of_the_api_opens_nothing(settings: Settings) -> None:
    from tests.support.api import make_api

    settings.RUNS = {**settings.RUNS, "METRICS_TOKEN": "the token"}
    assert status(authorization=f"Bearer {make_api('ada').key}") == 403


def test_only_reading_is_possible() -> None:
    assert Client().post("/metrics").status_code == 405


def test_everything_is_named() -> None:
    store.begin_anew()  # in the directory of these settings, wherever another test has counted
    found = Scrape.of(Client().get("/metrics").content.decode())

    counted = {instrument.name for instrument in metrics.INSTRUMENTS}
    assert found.families == counted | set(TEXTS) | {QUEUE, HEARTBEAT}
    assert found.value("runyard_database_up") == 1


@pytest.mark.usefixtures("settings")
def test_a_broker_that_is_away_costs_one_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OSError("away")

    monkeypatch.setattr("runs.broker.queue_depths", away)

    assert Scrape.of(Client().get("/metrics").content.decode()).by(QUEUE, "queue") == {}
