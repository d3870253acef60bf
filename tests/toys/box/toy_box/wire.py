"""Talking to a box: one line asked, one line answered."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit


class Refused(Exception):
    """The box answered, and said no."""


class Connection:
    """Logged in. Every method raises ``OSError`` if the box does not answer, and ``Refused``."""

    def __init__(self, host: str, port: int, user: str, password: str, *, seconds: float = 5.0) -> None:
        self._socket = socket.create_connection((host, port), timeout=seconds)
        self._lines = self._socket.makefile("r", encoding="utf-8", newline="\n")
        try:
            self.ask(f"AUTH {user} {password}")
        except BaseException:
            self.close()
            raise

    def ask(self, line: str) -> str:
        """The answer."""
        self._socket.sendall(f"{line}\n".encode())
        return self.line()

    def line(self) -> str:
        """One more line of the answer."""
        answer = self._lines.readline()
        if not answer.endswith("\n"):
            raise ConnectionError("the box ended the conversation")
        if answer.startswith("ERR "):
            raise Refused(answer[4:].strip())
        return answer[:-1]

    def close(self) -> None:
        """Let go."""
        self._lines.close()
        self._socket.close()


def connect(url: str, *, seconds: float = 5.0) -> Connection:
    """By ``box://user:password@host:port``."""
    parts = urlsplit(url)
    return Connection(parts.hostname or "", parts.port or 0, parts.username or "", parts.password or "", seconds=seconds)
