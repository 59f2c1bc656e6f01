"""`make demo`: from nothing to the end of the tour, with the official client unmodified."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from langgraph_sdk.client import SyncLangGraphClient

from examples.demo import README, read_document, take, verdict
from examples.tour import STOPS, Tour
from project.local.home import ROOT

OF_THIS_SESSION = ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "SECRET_KEY", "DJANGO_SETTINGS_MODULE", "FILE")


def demo(home: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run it as a newcomer does: with nothing but a directory of its own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in OF_THIS_SESSION and not name.startswith("RUNYARD_")
    }
    return subprocess.run(
        [sys.executable, "-m", "examples.demo"],
        cwd=ROOT,
        env={**kept, "RUNYARD_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.mark.timeout(300)
def test_the_tour_starts_a_server_and_every_promise_is_kept(tmp_path: Path) -> None:
    done = demo(tmp_path / "home")

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert done.stdout.count("✗") == 0
    promises = done.stdout.count("✓")
    assert promises == 26
    assert done.stdout.splitlines()[-1] == f"All {promises} promises were kept."


def test_a_document_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.md"

    done = demo(tmp_path / "home", FILE=str(missing))

    assert done.returncode == 2
    assert str(missing) in done.stderr


def test_a_document_without_sentences_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.md"
    empty.write_text("# Only a heading\n")

    with pytest.raises(ValueError, match="has no sentences"):
        read_document(empty)


def test_broken_promises_are_counted_and_the_tour_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    broken_server = httpx.MockTransport(lambda _: httpx.Response(500, json={"detail": "out of order"}))
    client = SyncLangGraphClient(httpx.Client(transport=broken_server, base_url="http://runyard.test"))
    tour = Tour(client, read_document(README))

    take(tour)

    assert tour.broken == [f"{stop.__name__}: out of order" for stop in STOPS]
    assert verdict(tour) == 1
    assert f"{len(STOPS)} of {len(STOPS)} promises were broken" in capsys.readouterr().out


def test_a_tour_without_broken_promises_ends_with_zero() -> None:
    tour = Tour(SyncLangGraphClient(httpx.Client(base_url="http://runyard.test")), read_document(README))
    tour.promise("one is one", 1, 1)

    assert (tour.kept, tour.broken, verdict(tour)) == (["one is one"], [], 0)
