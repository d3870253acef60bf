"""A toy service of lines, an ear for what it is asked, and a client that may be cut off."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from typing import ClassVar

from orchestrator.model import Endpoint
from orchestrator.services.base import Heard


class Shop(socketserver.ThreadingTCPServer):
    """Answers each line with ``ok LINE``, and remembers the lines; ``later`` only when it is told that it is time."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.now = threading.Event()
        super().__init__(("127.0.0.1", 0), _Clerk)


class _Clerk(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server: Shop = self.server  # type: ignore[assignment]
        with contextlib.suppress(OSError):
            while line := self.rfile.readline():
                server.lines.append(line.decode().strip())
                if line == b"later\n":
                    server.now.wait(5.0)
                self.wfile.write(b"ok " + line)


class WordEar:
    """Reads lines; the kind is the first word. ``bye`` asks nothing."""

    def __init__(self, _new: bool) -> None:
        self._rest = b""

    def hear(self, data: bytes) -> Heard:
        *lines, self._rest = (self._rest + data).split(b"\n")
        text = "; ".join(line.decode() for line in lines)
        begun = f"{self._rest.decode()}..." if self._rest else ""
        kind = "; ".join(line.decode().split()[0] for line in lines)
        return Heard(text, kind, not self._rest, text != "bye", (begun, begun))


class Client:
    """A connection of the target; all of them are closed when the test ends."""

    open: ClassVar[list[Client]] = []

    def __init__(self, endpoint: Endpoint) -> None:
        self.socket = socket.create_connection((endpoint.host, endpoint.port), timeout=5)
        self._file = self.socket.makefile("rb")
        self.open.append(self)

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def send(self, *lines: str) -> None:
        self.socket.sendall("".join(f"{line}\n" for line in lines).encode())

    def hear(self) -> str:
        return self._file.readline().decode().strip()

    def ask(self, line: str) -> str:
        self.send(line)
        return self.hear()

    def hears_nothing(self, seconds: float = 0.1) -> bool:
        self.socket.settimeout(seconds)
        try:
            self.socket.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(5)
        return False

    def is_cut(self) -> bool:
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
