"""The probes of workers and schedulers: a file that is fresh, of a process that lives."""

import os
import time
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from runs.heartbeats import Heart, beats
from runs.state_dir import state_directory


@pytest.fixture(autouse=True)
def own_directory(settings: Settings, tmp_path: Path) -> None:
    settings.RUNYARD_STATE_DIR = tmp_path / "state"


def test_a_living_process_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    Heart("worker").beat(lease=False)

    call_command("health", "worker")

    assert f"worker {os.getpid()}: last went round 0.0 s ago, lease: false" in capsys.readouterr().out


def test_nobody_is_not_well() -> None:
    Heart("worker").beat()

    with pytest.raises(CommandError, match="no scheduler of this machine and user is alive") as refused:
        call_command("health", "scheduler")
    assert refused.value.returncode == 1


def test_a_process_that_stands_still_is_not_well() -> None:
    heart = Heart("scheduler")
    heart.beat()
    long_ago = time.time() - 3600
    os.utime(state_directory("heartbeats") / f"scheduler-{os.getpid()}.json", (long_ago, long_ago))

    with pytest.raises(CommandError):
        call_command("health", "scheduler")
    heart.beat()
    call_command("health", "scheduler")


def test_the_signs_of_the_dead_are_removed() -> None:
    pid = os.fork()
    if pid == 0:
        Heart("worker").beat()
        os._exit(0)
    os.waitpid(pid, 0)
    file = state_directory("heartbeats") / f"worker-{pid}.json"
    assert file.exists()

    assert beats("worker") == []
    assert not file.exists()


def test_who_ends_in_good_order_leaves_no_sign() -> None:
    heart = Heart("worker")
    heart.beat()
    heart.stop()

    assert beats("worker") == []


def test_a_directory_that_cannot_be_written_harms_nobody(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    settings.RUNYARD_STATE_DIR = tmp_path / "file"
    heart = Heart("worker")

    heart.beat()
    heart.beat()

    assert [record.message[:29] for record in caplog.records] == ["no heartbeat can be written, "]
    assert beats("worker") == []
