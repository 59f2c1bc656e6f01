"""A way to the server that breaks: what a deploy, a proxy's limit or a tunnel does to a connection."""

import socket
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

from project.local.ports import LOOPBACK

CHUNK = 65536


class CuttingProxy:
    """Passes bytes both ways until it is told to cut."""

    def __init__(self, url: str) -> None:
        self.lead_to(url)
        self._listener = socket.create_server((LOOPBACK, 0))
        self._sockets: list[socket.socket] = []
        self.url = f"http://{LOOPBACK}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        _close(self._listener)
        self.cut()

    def lead_to(self, url: str) -> None:
        """Where new connections go; those that there are stay where they are."""
        target = urlsplit(url)
        self._target = (str(target.hostname), int(target.port or 80))

    def cut(self) -> int:
        """Break every connection there is, and return how many there were; new ones are served."""
        broken, self._sockets = self._sockets, []
        for one in broken:
            _close(one)
        return len(broken) // 2

    def _accept(self) -> None:
        with suppress(OSError):  # the end
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._target)
                except OSError:  # nobody is there just now
                    _close(client)
                    continue
                self._sockets += [client, server]
                for here, there in ((client, server), (server, client)):
                    threading.Thread(target=_pass_on, args=(here, there), daemon=True).start()


def _pass_on(here: socket.socket, there: socket.socket) -> None:
    with suppress(OSError):
        while chunk := here.recv(CHUNK):
            there.sendall(chunk)
    for one in (here, there):
        _close(one)


def _close(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
