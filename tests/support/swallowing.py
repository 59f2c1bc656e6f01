"""A way to a server that goes dead without a word: connections stay open, and what is sent on them is swallowed."""

import socket
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from project.local.ports import LOOPBACK

CHUNK = 65536


class _Link:
    """One connection, both ways."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.ends = (client, server)
        self.is_dead = False
        for here, there in ((client, server), (server, client)):
            threading.Thread(target=self._pass_on, args=(here, there), daemon=True).start()

    def _pass_on(self, here: socket.socket, there: socket.socket) -> None:
        with suppress(OSError):
            while chunk := here.recv(CHUNK):
                if not self.is_dead:
                    there.sendall(chunk)
        if not self.is_dead:
            self.close()

    def close(self) -> None:
        """End it for both sides."""
        for end in self.ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class SwallowingProxy:
    """Passes bytes both ways until it is told to swallow them."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (str(target.hostname), int(target.port or 0))
        self._listener = socket.create_server((LOOPBACK, 0), backlog=256)
        self._links: list[_Link] = []
        user, _, _ = target.netloc.rpartition("@")
        self.url = urlunsplit(target._replace(netloc=f"{user}@{LOOPBACK}:{self._listener.getsockname()[1]}"))

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for link in self._links:
            link.close()

    def swallow(self) -> int:
        """From now on nothing comes through on the connections there are. Returns how many; new ones are served."""
        living = [link for link in self._links if not link.is_dead]
        for link in living:
            link.is_dead = True
        return len(living)

    def _accept(self) -> None:
        with suppress(OSError):  # the end
            while True:
                client, _ = self._listener.accept()
                try:
                    self._links.append(_Link(client, socket.create_connection(self._target)))
                except OSError:
                    client.close()
