"""The directory of `make up`: one owner at a time, secrets that stay and that nobody else can read."""

import os
import subprocess
import sys
from pathlib import Path

import environ
import pytest

from project.local.errors import CannotStart
from project.local.home import ROOT, Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    path = tmp_path / "a home"
    path.mkdir()
    return Home(path)


def test_a_second_owner_is_told_who_the_first_is(home: Home) -> None:
    with home.locked(), pytest.raises(CannotStart, match=rf"already running from .*\(process {os.getpid()}\)"):
        home.locked().__enter__()


def test_the_lock_of_a_killed_owner_is_free(home: Home) -> None:
    hold_and_die = f"import os; home.locked().__enter__(); os.kill(os.getpid(), {9})"
    program = (
        f"from pathlib import Path; from project.local.home import Home; home = Home(Path({str(home.path)!r})); "
        + hold_and_die
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == -9

    with home.locked():
        assert home.status() is None


def test_status_answers_only_between_the_announcement_and_the_end(home: Home) -> None:
    seen = []
    with home.locked():
        seen.append(home.status())
        home.announce({"API": "http://127.0.0.1:8000"})
        seen.append(home.status())
    seen.append(home.status())

    assert seen == [None, {"API": "http://127.0.0.1:8000"}, None]


def test_a_directory_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(CannotStart, match="RUNYARD_HOME"), Home(tmp_path / "file" / "home").locked():
        pass


def test_a_secret_is_drawn_once_and_the_environment_wins(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = home.settings.secret("A_SECRET")
    again = home.settings.secret("A_SECRET")
    monkeypatch.setenv("A_SECRET", "chosen")

    assert drawn == again
    assert len(drawn) > 50
    assert home.settings.secret("A_SECRET") == "chosen"


@pytest.mark.parametrize(
    "value", ['with "quotes" and spaces', r"back\slash \n", "#hash", "it's", "a=b=c", "$HOME `id`", "  ", ""]
)
def test_settings_and_shells_read_exactly_what_was_written(home: Home, value: str) -> None:
    class Elsewhere(environ.Env):  # type: ignore[misc]
        ENVIRON: dict[str, str] = {}

    home.settings.update({"VALUE": value, "OTHER": "untouched"})
    Elsewhere.read_env(str(home.settings.path))

    shell = subprocess.run(
        ["sh", "-c", '. "$0" && printf %s "$VALUE"', home.settings.path], capture_output=True, text=True, check=True
    )

    assert Elsewhere.ENVIRON == home.settings.read() == {"VALUE": value, "OTHER": "untouched"}
    assert shell.stdout == value


def test_a_value_that_no_line_can_hold_is_refused_by_name(home: Home) -> None:
    with pytest.raises(CannotStart, match="RUNYARD_ADMIN_PASSWORD"):
        home.credentials.update({"RUNYARD_ADMIN_PASSWORD": "two\nlines"})


def test_only_the_owner_can_read_secrets(home: Home) -> None:
    home.settings.secret("ONE")
    home.credentials.secret("TWO")

    assert {path.name: path.stat().st_mode & 0o777 for path in home.path.iterdir()} == {
        "env": 0o600,
        "credentials": 0o600,
    }
