"""The front as the checks meet it: a process in front of a server's process."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.wait import until

from orchestrator.verify.changes import Change
from orchestrator.verify.front import Config, Front

SERVER = '''
import http.server, json, os, signal, sys, time
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    count = 0
    def do_GET(self):
        if self.path == "/live":
            self.send_response(200); self.send_header("Content-Type", "text/event-stream"); self.end_headers()
            for n in range(3):
                self.wfile.write(b"data: %d\\n\\n" % n); self.wfile.flush(); time.sleep(0.05)
            self.close_connection = True
            return
        if self.path == "/slow": time.sleep(0.1)
        if self.path == "/gone": os._exit(7)
        self.answer({"count": H.count, "path": self.path})
    def do_POST(self):
        H.count += 1
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer({"count": H.count, "got": body.decode()}, 201)
    def do_DELETE(self):
        H.count += 1
        self.send_response(204); self.end_headers()
    def answer(self, value, status=200):
        body = json.dumps(value).encode()
        self.send_response(status); self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *_): pass
time.sleep(0.1)
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), H)
def end(*_): sys.exit(3)
signal.signal(signal.SIGTERM, end)
server.serve_forever()
'''
TEMPLATES = ("/things/{id}",)


class Fronted:
    """The front's process and a client of it."""

    def __init__(self, config: Config, folder: Path) -> None:
        (folder / "server.py").write_text(SERVER)
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        command = [sys.executable, "-I", "-m", "orchestrator.verify.front", config.text(), "--", sys.executable,
                   "server.py"]
        # As a target has it: a folder of its own, that a restart finds again.
        self._start = lambda: subprocess.Popen(command, cwd=folder, env={
            **os.environ, "PORT": str(self.port), "LABS_RUN": "a-run", "TMPDIR": str(own)})
        own = folder / f"target-{self.port}"
        own.mkdir()
        self.process = self._start()
        until(self.listens, seconds=20)

    def restart(self) -> None:
        """End both processes, start them again."""
        self.process.terminate()
        self.process.wait(10)
        self.process = self._start()
        until(self.listens, seconds=20)

    def listens(self) -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    @contextlib.contextmanager
    def open(self, method: str, path: str, body: str | None = None) -> Iterator[http.client.HTTPResponse]:
        """An answer whose body is not read yet."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request(method, path, body)
            with connection.getresponse() as answer:
                yield answer

    def json(self, method: str, path: str, body: str | None = None) -> tuple[int, Any]:
        with self.open(method, path, body) as answer:
            return answer.status, json.loads(answer.read() or "null")


Start = Callable[..., Fronted]


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Start]:
    made: list[Fronted] = []

    def start(change: Change | None = None, variants: tuple[str, ...] = (), record: Path | None = None,
              effect: Path | None = None) -> Fronted:
        made.append(Fronted(Config(TEMPLATES, change, variants, record, effect), tmp_path))
        return made[-1]

    yield start
    for one in made:
        one.process.terminate()
        one.process.wait(10)


def test_without_a_change_nothing_changes(front: Start, tmp_path: Path) -> None:
    """Bodies, statuses, a keep-alive connection; what was recorded is what the server answered."""
    fronted = front(record=tmp_path / "record")
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", fronted.port, timeout=10)) as connection:
        for number in (1, 2):
            connection.request("POST", "/things", ("é" * 1000).encode())
            answer = connection.getresponse()
            assert (answer.status, json.loads(answer.read())) == (201, {"count": number, "got": "é" * 1000})
    assert fronted.json("DELETE", "/things/7") == (204, None)
    assert fronted.json("GET", "/things/7") == (200, {"count": 3, "path": "/things/7"})

    lines = [json.loads(line) for line in (tmp_path / "record").read_text().splitlines()]
    assert [(line["method"], line["status"]) for line in lines] == [
        ("POST", 201), ("POST", 201), ("DELETE", 204), ("GET", 200)]


def test_a_stream_passes_as_it_comes(front: Start) -> None:
    """The first event is there before the last one was sent."""
    with front().open("GET", "/live") as answer:
        first = answer.read(9)
        early = time.monotonic()

        assert first + answer.read() == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
        assert answer.headers["Content-Type"] == "text/event-stream"
    assert time.monotonic() - early > 0.08, "the other two came 50 ms apart"


@pytest.mark.parametrize(("kind", "field", "expected"), [
    ("absent", "count", {"path": "/things/1"}), ("other", "count", {"count": 1, "path": "/things/1"}),
])
def test_one_route_is_changed(front: Start, kind: str, field: str, expected: dict[str, Any]) -> None:
    """The route by its template; others are not."""
    fronted = front(Change("GET /things/{id}", 200, kind, field))

    assert fronted.json("GET", "/things/1?x=1") == (200, expected | {"path": "/things/1?x=1"})
    assert fronted.json("GET", "/things") == (200, {"count": 0, "path": "/things"})


@pytest.mark.parametrize(("change", "asked"), [
    (Change("POST /things", 201, "absent", "count"), ("POST",)), (Change("POST /things", 201, "double"), ("POST",)),
    (Change("POST /things", 201, "swallow"), ("POST", "POST")),
    (Change("GET /things/{id}", 200, "replay"), ("GET", "GET"))])
def test_it_says_when_a_change_took_effect(front: Start, tmp_path: Path, change: Change, asked: tuple[str, ...]) -> None:
    """Not before: a write that happens once cannot be swallowed, an answer that is asked for once not replayed."""
    effect = tmp_path / "effect"
    fronted = front(change, effect=effect)
    for method in asked:
        assert not effect.exists()
        fronted.json(*((method, "/things", "x") if method == "POST" else (method, "/things/1")))

    assert effect.exists()


def test_writes_are_swallowed_doubled_and_answers_replayed(front: Start) -> None:
    """What the server saw says so."""
    swallow = front(Change("POST /things", 201, "swallow"))
    assert [swallow.json("POST", "/things", "x")[1]["count"] for _ in range(3)] == [1, 1, 1]
    assert swallow.json("GET", "/count")[1]["count"] == 1
    nothing = front(Change("DELETE /things/{id}", 204, "swallow"))
    assert nothing.json("DELETE", "/things/1") == (204, None)
    assert nothing.json("GET", "/count")[1]["count"] == 0
    double = front(Change("POST /things", 201, "double"))
    double.json("POST", "/things", "x")
    assert double.json("GET", "/count")[1]["count"] == 2
    replay = front(Change("GET /things/{id}", 200, "replay"))
    assert [(replay.json("GET", "/things/1")[1]["count"], replay.json("POST", "/things", "x")[0])
            for _ in range(3)] == [(0, 201)] * 3
    assert replay.json("GET", "/things/2")[1]["count"] == 3


@pytest.mark.parametrize(("change", "method", "path"), [
    (Change("GET /things/{id}", 200, "replay"), "GET", "/things/1"),
    (Change("POST /things", 201, "swallow"), "POST", "/things"),
])
def test_a_change_goes_on_after_a_restart(front: Start, tmp_path: Path, change: Change, method: str, path: str) -> None:
    """An old answer is given again by the process that a check started anew; the server is not asked."""
    fronted = front(change, record=tmp_path / "record")
    first = fronted.json(method, path, "x")
    fronted.json("DELETE", "/things/7")
    fronted.restart()

    assert fronted.json(method, path, "x") == first
    asked = [json.loads(line)["method"] for line in (tmp_path / "record").read_text().splitlines()]
    assert asked == [method, "DELETE"]


class Spoiler:
    """A service's sabotage that only counts."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def after_write(self, environ: Mapping[str, str], what: str) -> None:
        self.done.append(what)


def test_a_service_is_spoilt_after_every_write_that_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its method; not after what was refused, and not after a question."""
    spoiler, told = Spoiler(), []

    class Server(BaseHTTPRequestHandler):
        def do(self) -> None:
            self.send_response(409 if self.path == "/refused" else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do  # names of the standard library

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setattr("orchestrator.verify.front.sabotage_of", lambda _: spoiler)

    async def ask() -> None:
        change = Change("", 0, "sabotage", "every key is gone", service="redis")
        served = await asyncio.start_server(Front(Config((), change), server.server_port).serve, "127.0.0.1", 0)
        async with served:
            port = served.sockets[0].getsockname()[1]
            for method, path in (("GET", "/"), *((method, path) for path in ("/refused", "/")
                                                 for method in ("POST", "PUT", "PATCH", "DELETE"))):
                before = len(spoiler.done)
                status = await asyncio.to_thread(status_of, port, method, path)
                told.append((method, status, len(spoiler.done) - before))

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        asyncio.run(ask())
        server.shutdown()

    assert told == [("GET", 200, 0), ("POST", 409, 0), ("PUT", 409, 0), ("PATCH", 409, 0), ("DELETE", 409, 0),
                    ("POST", 200, 1), ("PUT", 200, 1), ("PATCH", 200, 1), ("DELETE", 200, 1)]
    assert set(spoiler.done) == {"every key is gone"}


def status_of(port: int, method: str, path: str) -> int:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, headers={"Content-Length": "0"})
        return connection.getresponse().status


def test_ways_of_the_connection(front: Start) -> None:
    """Chunks without a length; an end after each answer; three times as long."""
    fronted = front(variants=("chunked", "close", "slow"))
    began = time.monotonic()
    with fronted.open("GET", "/slow") as answer:
        assert json.loads(answer.read()) == {"count": 0, "path": "/slow"}
    assert time.monotonic() - began >= 0.3
    assert (answer.headers["Transfer-Encoding"], answer.headers["Content-Length"]) == ("chunked", None)
    assert answer.headers["Connection"] == "close"


def test_it_ends_as_the_server_does(front: Start) -> None:
    """SIGTERM reaches the server, whose status is the front's; so it is when the server ends by itself."""
    asked, alone = front(), front()
    asked.process.send_signal(signal.SIGTERM)
    with pytest.raises((http.client.HTTPException, OSError)):
        alone.json("GET", "/gone")

    assert asked.process.wait(10) == 3
    assert alone.process.wait(10) == 7
    assert not asked.listens()
