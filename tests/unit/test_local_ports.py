"""Ports: a taken one is refused by name, with a command that works."""

import re
import socket

import pytest

from project.local.errors import CannotStart
from project.local.ports import free_port, port_from_environment


def test_a_taken_port_is_named_with_one_that_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("PORT", str(port))

        with pytest.raises(CannotStart) as refusal:
            port_from_environment("PORT", 8000, "API")

    advice = re.fullmatch(rf"port {port} \(API\) is taken; try PORT=(\d+) make up", str(refusal.value))
    assert advice is not None
    monkeypatch.setenv("PORT", advice[1])
    assert port_from_environment("PORT", 8000, "API") == int(advice[1])


def test_zero_asks_for_any_free_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "0")

    assert port_from_environment("PORT", 8000, "API") > 1023


def test_an_empty_variable_is_no_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "")
    default = free_port()

    assert port_from_environment("PORT", default, "API") == default


@pytest.mark.parametrize("text", ["eighty", "-1", "65536", "80.5"])
def test_what_is_no_port_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("PORT", text)

    with pytest.raises(CannotStart, match=f"PORT={text} is not a port"):
        port_from_environment("PORT", 8000, "API")
