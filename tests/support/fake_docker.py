"""A Docker engine that says what a test wants: a Unix socket with scripted answers, or with none."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any

VERSION = {"Version": "20.10.24", "ApiVersion": "1.41", "Components": [{"Name": "Engine", "Version": "20.10.24"}]}
Answer = tuple[int, Any]
"""Status and JSON; text is sent as it is."""


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    answer: Callable[[str, str], Answer]
    asked: list[str]


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do(self) -> None:
        path = "/" + self.path.partition("?")[0].lstrip("/").removeprefix("v1.41/")
        self.server.asked.append(f"{self.command} {path}")
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, value = self.server.answer(self.command, path)
        body = (value if isinstance(value, str) else json.dumps(value)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = do_HEAD = do  # names of the standard library

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Silent."""

    def address_string(self) -> str:
        return "unix"


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A folder with a short path: a socket's may have 104 characters."""
    with tempfile.TemporaryDirectory(prefix="labs-", dir="/tmp") as folder:
        yield Path(folder)


@contextlib.contextmanager
def fake_docker(answer: Callable[[str, str], Answer]) -> Iterator[tuple[Path, list[str]]]:
    """The socket, and the requests that came (``GET /version``). ``answer(method, path)`` gives status and JSON."""
    with short_folder() as folder:
        path = folder / "docker.sock"
        with _Server(str(path), _Handler) as server:
            server.answer, server.asked = answer, []
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
            thread.start()
            try:
                yield path, server.asked
            finally:
                server.shutdown()
                thread.join(5)


def scripted(answers: dict[str, Answer]) -> Callable[[str, str], Answer]:
    """Answers by ``METHOD /path``; everything else is 404."""
    known = {"GET /version": (200, VERSION), **answers}
    return lambda method, path: known.get(f"{method} {path}", (404, {"message": "No such thing"}))


@contextlib.contextmanager
def silent_docker() -> Iterator[Path]:
    """A socket that accepts and never answers: a daemon that hangs."""
    with short_folder() as folder:
        path = folder / "docker.sock"
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as server:
            server.bind(str(path))
            server.listen(16)
            yield path


@contextlib.contextmanager
def dead_docker() -> Iterator[Path]:
    """A socket's file that nobody listens at: a daemon that was stopped."""
    with short_folder() as folder:
        path = folder / "docker.sock"
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as server:
            server.bind(str(path))
        yield path


def environ_of(path: Path | str) -> dict[str, str]:
    """The environment in which this is the engine."""
    return {"LABS_DOCKER_HOST": f"unix://{os.fspath(path)}"}
