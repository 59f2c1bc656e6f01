"""Ports on the loopback interface: find a free one, or say who asked for a taken one."""

import os
import socket

from project.local.errors import CannotStart

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A port that nobody listens on at this moment; somebody may take it before its user does."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def port_from_environment(variable: str, default: int, purpose: str) -> int:
    """The port that `variable` asks for (0: any free one), refused by name if it is taken."""
    text = os.environ.get(variable) or str(default)
    if not text.isdigit() or int(text) > 65535:  # noqa: PLR2004 (the highest port there is)
        raise CannotStart(f"{variable}={text} is not a port; give a number from 0 (any free port) to 65535.")
    port = int(text)
    if port == 0:
        return free_port()
    if not _is_free(port):
        raise CannotStart(f"port {port} ({purpose}) is taken; try {variable}={_next_free(port)} make up")
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def _next_free(port: int) -> int:
    return next((candidate for candidate in range(port + 1, min(port + 100, 65536)) if _is_free(candidate)), 0)
