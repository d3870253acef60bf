"""Servers that are none: ``python -I -m orchestrator.verify.junk KIND [healthy]``. Standard library only.

``healthy`` answers ``GET /health`` well, so that checks get to meet the rest.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import socketserver
import sys
import time
from collections.abc import Callable, Iterator

HEALTHY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
STEP = 0.2
"""Seconds between two bytes of a slow answer."""


def answer(body: bytes, *, status: str = "200 OK", kind: str = "application/json", more: str = "",
           version: str = "HTTP/1.1") -> bytes:
    """A whole answer; the connection closes after it."""
    lines = (f"{version} {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close")
    return ("\r\n".join(lines) + f"\r\n{more}\r\n").encode() + body


def _endless() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"8000\r\n" + b" " * 0x8000 + b"\r\n"


def _slow() -> Iterator[bytes]:
    for byte in answer(b'{"id": "1", "items": []}'):
        yield bytes([byte])
        time.sleep(STEP)


def _random() -> Iterator[bytes]:
    yield random.Random(7).randbytes(4096)  # noqa: S311 - junk, the same in every run


KINDS: dict[str, tuple[str, Callable[[bytes], Iterator[bytes]] | None]] = {
    "silent": ("takes a connection and never answers", None),
    "closes": ("closes every connection at once", lambda _: iter(())),
    "ok": ("200 and {} to everything", lambda _: iter([answer(b"{}")])),
    "list": ("200 and [] to everything", lambda _: iter([answer(b"[]")])),
    "created": ("201 and an id to everything", lambda _: iter([answer(b'{"id": "1"}', status="201 Created")])),
    "no-content": ("204 to everything", lambda _: iter([b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"])),
    "echo": ("sends back what it was sent", lambda body: iter([answer(body or b"{}")])),
    "error": ("500 to everything", lambda _: iter([answer(b'{"code": "internal", "message": "x"}', status="500 No")])),
    "not-found": ("404 to everything", lambda _: iter([answer(b'{"code": "not_found", "message": "x"}',
                                                              status="404 Not Found")])),
    "random": ("random bytes", lambda _: _random()),
    "endless": ("a body without end", lambda _: _endless()),
    "slow": ("five bytes a second", lambda _: _slow()),
    "redirect": ("a redirect to itself", lambda _: iter([answer(b"", status="302 Found", more="Location: /\r\n")])),
    "not-json": ("JSON that breaks off", lambda _: iter([answer(b'{"id": "1", "items": [')])),
    "deep": ("JSON of a hundred thousand levels", lambda _: iter([answer(b"[" * 100_000 + b"]" * 100_000)])),
    "huge-header": ("a header of a megabyte", lambda _: iter([answer(b"{}", more=f"X-Big: {'x' * 1_000_000}\r\n")])),
    "wrong-type": ("JSON that is said to be HTML", lambda _: iter([answer(b"{}", kind="text/html")])),
    "http-1.0": ("HTTP/1.0", lambda _: iter([answer(b"{}", version="HTTP/1.0")])),
    "wrong-length": ("a Content-Length that is too long", lambda _: iter([
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{}"])),
}
"""Kind -> what it is, and its answer to a body; ``None`` says nothing at all."""


class _Handler(socketserver.BaseRequestHandler):
    kind = ""
    healthy = False

    def handle(self) -> None:
        connection: socket.socket = self.request
        connection.settimeout(30)
        with contextlib.suppress(OSError):
            head, body = _read(connection)
            if self.healthy and head.startswith(b"GET /health "):
                connection.sendall(HEALTHY)
                return
            make = KINDS[self.kind][1]
            if make is None:
                # Until the client has had enough.
                while connection.recv(4096):
                    pass
                return
            for part in make(body):
                connection.sendall(part)


def _read(connection: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data and len(data) < 1 << 20:
        part = connection.recv(65536)
        if not part:
            break
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line.split(b":", 1)[1]) for line in head.split(b"\r\n")
                   if line.lower().startswith(b"content-length:") and line.split(b":", 1)[1].strip().isdigit()), 0)
    while len(body) < min(length, 1 << 20):
        part = connection.recv(65536)
        if not part:
            break
        body += part
    return head, body


class _JunkServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves is no news."""


def main() -> None:
    """The program: serves on ``PORT`` until it is ended."""
    _Handler.kind, _Handler.healthy = sys.argv[1], "healthy" in sys.argv[2:]
    assert _Handler.kind in KINDS
    with _JunkServer(("127.0.0.1", int(os.environ["PORT"])), _Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
