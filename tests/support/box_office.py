"""Servers of the lab `databases`: started as a learner would start them, and asked by plain HTTP."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

LAB = Path(__file__).parents[2] / "labs/databases"
TOOLS = {"python": "python3", "go": "go", "node": "npm"}


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    def is_problem(self, status: int, *codes: str) -> None:
        """Asserts an error answer of the contract."""
        assert (self.status, self.json["code"] in codes) == (status, True), self
        assert isinstance(self.json["message"], str)


class Office:
    """A running server and how to ask it."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Answer:
        """One request on a connection of its own. `body` is sent as JSON, `bytes` as they are."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, content, {"Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def buyer(self, balance: int = 100_000) -> str:
        return self.ask("POST", "/buyers", {"name": "Ada", "balance_cents": balance}).json["id"]

    def event(self, **fields: object) -> str:
        answer = self.ask("POST", "/events", new_event(**fields))
        assert answer.status == 201, answer
        return answer.json["id"]

    def order(self, event: str, seat: int, buyer: str, key: str | None = None, **more: object) -> Answer:
        body = {"event": event, "seat": seat, "buyer": buyer, **more}
        return self.ask("POST", "/orders", body, {"Idempotency-Key": key} if key else None)

    def hold(self, event: str, seat: int, buyer: str) -> Answer:
        return self.ask("POST", f"/events/{event}/holds", {"seat": seat, "buyer": buyer})

    def states(self, event: str) -> list[str]:
        items = self.ask("GET", f"/events/{event}/seats").json["items"]
        assert [item["seat"] for item in items] == list(range(1, len(items) + 1))
        return [item["state"] for item in items]

    def pages(self, path: str) -> Iterator[list[Any]]:
        """The pages of a list, until `next` is null."""
        after = None
        while True:
            answer = self.ask("GET", path + ("" if after is None else f"&after={after}"))
            assert answer.status == 200, answer
            yield answer.json["items"]
            after = answer.json["next"]
            if after is None:
                return

    @contextmanager
    def listen(self, event: str) -> Iterator[Callable[[], tuple[str, Any]]]:
        """The live stream of an event; the value waits for the next message."""
        with self.stream(f"/events/{event}/live") as following:

            def message() -> tuple[str, Any]:
                fields = following()
                return fields["event"], json.loads(fields["data"])

            yield message

    @contextmanager
    def stream(self, path: str, last: str | None = None) -> Iterator[Callable[[], dict[str, str]]]:
        """Server-sent events, after the one of the id ``last``; the value waits for the next message and gives its fields."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("GET", path, headers={} if last is None else {"Last-Event-ID": last})
        response = connection.getresponse()
        assert (response.status, response.headers.get_content_type()) == (200, "text/event-stream")

        def following() -> dict[str, str]:
            fields: dict[str, str] = {}
            while (line := response.readline().decode()) != "\n":
                if not line:
                    raise EOFError(f"the stream of {path} ended")
                name, _, value = line.rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
            return fields if "data" in fields else following()

        try:
            yield following
        finally:
            response.close()
            connection.close()


def new_event(**fields: object) -> dict[str, object]:
    event = {"name": "Concert", "venue": f"Hall {uuid4()}", "starts_at": "2027-05-01T19:30:00Z", "seats": 20}
    return {**event, "price_cents": 2500, **fields}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(true: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Waits until `true()` holds; it fails with what was waited for."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what} within {seconds} s"
        time.sleep(0.02)


@contextmanager
def running(argv: list[str], ready: Callable[[], object], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own, until the block ends."""
    process = subprocess.Popen(argv, start_new_session=True, stdin=subprocess.DEVNULL, **options)
    try:
        until(lambda: process.poll() is not None or ready(), f"{argv[0]} is ready")
        assert process.poll() is None, f"{argv} ended with {process.returncode}"
        yield process
    finally:
        process.send_signal(signal.SIGINT)  # which is PostgreSQL's fast shutdown, too
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)


def built(server: str, folder: Path) -> Path:
    """A copy of a server of the lab, in the folder, built as its ``workspace.toml`` says."""
    source = LAB / server
    tool = TOOLS[source.name.removesuffix("-search")]
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    copy = folder / "box-office"
    shutil.copytree(source, copy)
    build = tomllib.loads((copy / "workspace.toml").read_text()).get("build", [])
    for command in [build] if build and isinstance(build[0], str) else build:
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return copy


@contextmanager
def server(workspace: Path, services: dict[str, str]) -> Iterator[Office]:
    port = free_port()
    run = tomllib.loads((workspace / "workspace.toml").read_text())["run"]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    office = Office(port)

    def answers() -> bool:
        try:
            return office.ask("GET", "/health").status > 0
        except OSError:
            return False

    environment = {**kept, "PORT": str(port), "DB_POOL_MAX": "8", **services}
    with (workspace / "log").open("ab") as log:
        with running(run, answers, cwd=workspace, env=environment, stdout=log, stderr=log):
            yield office
