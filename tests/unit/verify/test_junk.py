"""Servers that are none, as processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from support.wait import until

from orchestrator.verify.junk import KINDS


@pytest.fixture
def port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def junk(request: pytest.FixtureRequest, port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-I", "-m", "orchestrator.verify.junk", *request.param.split()]
    process = subprocess.Popen(command, env={**os.environ, "PORT": str(port)})
    yield process
    process.kill()
    process.wait(10)


def listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def said(port: int, path: str, most: int = 200) -> bytes:
    """The beginning of the answer to a POST with a small body."""
    with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n".encode() + b'{"a":1}')
        data = b""
        try:
            while len(data) < most and (part := connection.recv(4096)):
                data += part
        except OSError:
            pass
        return data


@pytest.mark.parametrize("junk", KINDS, indirect=True)
@pytest.mark.usefixtures("junk")
def test_it_answers_in_its_way(port: int, request: pytest.FixtureRequest) -> None:
    """Each kind in its own way: nothing, something that is not HTTP, or HTTP with the wrong thing in it."""
    kind = request.node.callspec.params["junk"]
    until(lambda: listens(port), seconds=20)
    began = time.monotonic()
    data = said(port, "/x", 5 if kind == "slow" else 200)
    begins = {"silent": b"", "closes": b"", "http-1.0": b"HTTP/1.0 200", "created": b"HTTP/1.1 201", "error": b"HTTP/1.1 500",
              "no-content": b"HTTP/1.1 204", "redirect": b"HTTP/1.1 302", "not-found": b"HTTP/1.1 404"}

    if kind == "random":
        assert len(data) >= 200
        assert not data.startswith(b"HTTP")
    elif kind == "slow":
        assert data == b"HTTP/"
        assert time.monotonic() - began > 0.7
    else:
        assert data.startswith(begins.get(kind, b"HTTP/1.1 200"))
        assert bool(data) == (kind not in ("silent", "closes"))
    if kind == "echo":
        assert data.endswith(b'{"a":1}')


@pytest.mark.parametrize("junk", ["silent healthy"], indirect=True)
@pytest.mark.usefixtures("junk")
def test_a_healthy_one_gets_past_the_start(port: int) -> None:
    """GET /health is answered well, nothing else is."""
    until(lambda: listens(port), seconds=20)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    assert said(port, "/health") == b""
