"""A TCP line to a server that can be cut and mended."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Line:
    """Listens on a port of its own and passes everything on to `address`, until it is cut."""

    def __init__(self, address: str) -> None:
        self._to = address.rsplit(":", 1)
        self._port = 0
        self._sockets: list[socket.socket] = []
        self.mend()

    @property
    def address(self) -> str:
        """Where clients go."""
        return f"127.0.0.1:{self._port}"

    def cut(self) -> None:
        """Break every connection; nobody listens any more."""
        for each in self._sockets:
            # First: a thread that waits in accept or recv is not woken by close.
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._sockets = []

    def mend(self) -> None:
        """Listen, on the same port as before."""
        listener = socket.create_server(("127.0.0.1", self._port), reuse_port=False)
        self._port = listener.getsockname()[1]
        self._sockets.append(listener)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection((self._to[0], int(self._to[1])))
                self._sockets += [near, far]
                for a, b in ((near, far), (far, near)):
                    threading.Thread(target=_copy, args=(a, b), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
