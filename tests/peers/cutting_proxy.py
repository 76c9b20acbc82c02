"""A network between a gate and its PostgreSQL that can be cut at the moment of a COMMIT."""

import socket
import threading
from contextlib import suppress
from enum import Enum
from pathlib import Path

SOCKET = ".s.PGSQL.5432"


class Cut(Enum):
    """What becomes of the next COMMIT."""

    NONE = "passed on"
    BEFORE = "lost before it reaches the server; both sides see the connection end"
    AFTER = "carried out; its answer is lost, and both sides see the connection end"
    STUCK = "lost; the gate sees the connection end, and the server goes on waiting for it"


class CuttingProxy:
    """Listens on a Unix socket of its own in `home` and passes everything on to the server's."""

    def __init__(self, home: Path, server: Path) -> None:
        self.home = home
        self.cut = Cut.NONE
        self.stuck: list[Link] = []
        self._server = str(server / SOCKET)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(home / SOCKET))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                Link(self, client, server)

    def taken(self, link: "Link") -> Cut:
        """What becomes of this COMMIT; whatever it is, it happens once."""
        cut, self.cut = self.cut, Cut.NONE
        if cut is Cut.STUCK:
            self.stuck.append(link)
        return cut

    def close(self) -> None:
        """Take no more connections, and let the stuck ones go."""
        self._listener.close()
        for link in self.stuck:
            link.end()


class Link:
    """One connection, passed on both ways by a thread each."""

    def __init__(self, proxy: CuttingProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._cut = Cut.NONE
        self.held = b""
        self.said = b""
        """What the server said after the cut."""
        self.ended = threading.Event()
        """The server has closed its side."""
        threading.Thread(target=self._upward, daemon=True).start()
        threading.Thread(target=self._downward, daemon=True).start()

    def _upward(self) -> None:
        with suppress(OSError):
            while raw := self._client.recv(65_536):
                if b"COMMIT" in raw and self._proxy.cut is not Cut.NONE:
                    self._cut = self._proxy.taken(self)
                    if self._cut is Cut.AFTER:
                        self._server.sendall(raw)
                        return
                    self.held = raw
                    break
                self._server.sendall(raw)
        if self._cut is Cut.STUCK:
            _end(self._client)
        else:
            self.end()

    def _downward(self) -> None:
        with suppress(OSError):
            while raw := self._server.recv(65_536):
                if self._cut is Cut.AFTER:
                    break
                if self._cut is Cut.STUCK:
                    self.said += raw
                else:
                    self._client.sendall(raw)
        self.ended.set()
        self.end()

    def release(self) -> None:
        """Send the server what was held back. Raises OSError if it no longer listens."""
        self._server.sendall(self.held)

    def end(self) -> None:
        """End both sides."""
        _end(self._client)
        _end(self._server)


def _end(side: socket.socket) -> None:
    with suppress(OSError):
        side.shutdown(socket.SHUT_RDWR)
    side.close()
