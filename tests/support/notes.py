"""A service in memory behind real sockets, which keeps words; its recipe, and an engine that runs it in threads."""

from __future__ import annotations

import contextlib
import itertools
import socket
import socketserver
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.engines.base import EngineInfo
from orchestrator.errors import EnvironmentFault
from orchestrator.model import (
    Credentials,
    Endpoint,
    Fidelity,
    Instance,
    InstanceSpec,
    NotYet,
    Offer,
    Probe,
    Product,
    Ready,
    Record,
    State,
)
from orchestrator.services.base import Recipe, Recorded


class _Notes(socketserver.StreamRequestHandler):
    """``ping`` -> the incarnation; ``put WORD``; ``all`` -> the words; ``flush``; ``die`` ends the service."""

    def handle(self) -> None:
        server: Any = self.server
        server.open.add(self.connection)
        with contextlib.suppress(OSError):
            while line := self.rfile.readline().decode().split():
                if line[0] == "put":
                    server.words.append(line[1])
                elif line[0] == "flush":
                    server.words.clear()
                answer = server.incarnation if line[0] == "ping" else " ".join(server.words)
                self.wfile.write(f"{answer}\n".encode())


class NotesService(socketserver.ThreadingTCPServer):
    """A service that keeps words."""

    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False
    numbers = itertools.count(1)

    def __init__(self, port: int, words: list[str]) -> None:
        super().__init__(("127.0.0.1", port), _Notes)
        self.words = words
        self.open: set[socket.socket] = set()
        self.incarnation = f"run-{next(self.numbers)}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def end(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in self.open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


def ask(endpoint: Endpoint, line: str) -> str:
    """One line to a ``NotesService`` and its answer; ``OSError`` if it is not there."""
    with socket.create_connection((endpoint.host, endpoint.port), 1) as connection:
        connection.sendall(line.encode() + b"\n")
        answer = connection.makefile().readline()
        if not answer:
            raise ConnectionError("no answer")
        return answer.strip()


class NotesRecipe(Recipe):
    """What there is to know about ``NotesService``; only what the judging side uses."""

    log_source = "engine"
    port = 7007
    nodes = 1
    memory = 1000
    compose = ""
    more_ports: Mapping[str, int] = {}

    def __init__(self, name: str = "notes", version: str = "1.4") -> None:
        self.name = name
        self.title = name.capitalize()
        self.version = version
        self.broken_fresh = 0

    def credentials(self) -> Credentials:
        return Credentials("admin", "secret-of-admin", "user", "pw", "db")

    def probe(self, endpoint: Endpoint, credentials: Credentials) -> Probe:
        try:
            ask(endpoint, "ping")
        except OSError as error:
            return NotYet(str(error))
        return Ready()

    def prepare(self, endpoint: Endpoint, credentials: Credentials) -> None:
        pass

    def fresh(self, endpoint: Endpoint, credentials: Credentials) -> None:
        if self.broken_fresh:
            self.broken_fresh -= 1
            raise RuntimeError("cannot be emptied")
        ask(endpoint, "flush")

    def product(self, endpoint: Endpoint, credentials: Credentials) -> Product:
        return Product(self.title, self.version, Fidelity.GENUINE)

    def incarnation(self, endpoint: Endpoint, credentials: Credentials) -> str:
        return ask(endpoint, "ping")

    def environment(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, str]:
        return {f"{self.name.upper()}_PORT": str(endpoint.port)}

    def admin(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, str]:
        return {"port": str(endpoint.port), "password": credentials.admin_password}

    def log_tail(self, endpoint: Endpoint, credentials: Credentials, lines: int) -> str:
        return ""

    def record(self, endpoint: Endpoint, credentials: Credentials) -> Any:
        return NotesRecorder(self.name, endpoint)

    def advice(self, exit_code: int | None, log: str) -> str | None:
        return None


class NotesRecorder:
    """Recorded is whether the service answered when the recording began and when it ended."""

    def __init__(self, name: str, endpoint: Endpoint) -> None:
        self.name, self.endpoint = name, endpoint
        self.records = [Record(name, time.time(), f"begin {ask(endpoint, 'ping')}", "Notes' word")]

    def stop(self) -> Recorded:
        try:
            self.records.append(Record(self.name, time.time(), f"end {ask(self.endpoint, 'ping')}", "Notes' word"))
        except OSError as error:
            return Recorded(tuple(self.records), str(error))
        return Recorded(tuple(self.records))


@dataclass
class Entry:
    spec: InstanceSpec
    words: list[str] = field(default_factory=list)
    service: NotesService | None = None
    incarnation: str = ""
    oom: bool = False
    paused: bool = False


class NotesEngine:
    """Runs ``NotesService`` in threads. ``made`` counts creates; ``refuse`` are ports that somebody else has."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.made: list[InstanceSpec] = []
        self.refuse_next: list[str] = []
        self.unavailable: dict[str, Offer] = {}
        self._starts = itertools.count(1)
        self._lock = threading.Lock()

    def info(self) -> EngineInfo:
        return EngineInfo("memory", "1", "here", "memory")

    def offer(self, recipe: Any) -> Offer:
        return self.unavailable.get(recipe.name, Offer(recipe.name, available=True))

    def create(self, spec: InstanceSpec, recipe: Any) -> None:
        with self._lock:
            if spec.name in self.entries:
                raise EnvironmentFault("it is there", code="exists")
            self.entries[spec.name] = Entry(spec)
            self.made.append(spec)

    def start(self, name: str) -> None:
        with self._lock:
            if self.refuse_next:
                raise EnvironmentFault("refused", code=self.refuse_next.pop(0))
            entry = self.entries[name]
            entry.service = NotesService(entry.spec.port, entry.words)
            entry.incarnation = f"start-{next(self._starts)}"

    def stop(self, name: str) -> None:
        with self._lock:
            entry = self.entries[name]
            if entry.service is not None:
                entry.service.end()
                entry.service = None

    kill = stop

    def pause(self, name: str) -> None:
        self.entries[name].paused = True

    def unpause(self, name: str) -> None:
        self.entries[name].paused = False

    def remove(self, name: str, *, data: bool) -> None:
        with self._lock:
            entry = self.entries.pop(name, None)
        if entry is not None and entry.service is not None:
            entry.service.end()

    def inspect(self, name: str) -> Instance | None:
        entry = self.entries.get(name)
        if entry is None:
            return None
        state = State.PAUSED if entry.paused else State.RUNNING if entry.service else State.EXITED
        return Instance(entry.spec, state, None if entry.service else 137, entry.oom, entry.incarnation)

    def list(self, *, user: str, installation: str, environment: str | None = None,
             lease: str | None = None) -> Iterator[Instance]:
        """Everybody's: all is made by one user."""
        for name, entry in [*self.entries.items()]:
            if environment in (None, entry.spec.owner.environment) and lease in (None, entry.spec.owner.lease):
                found = self.inspect(name)
                if found is not None:
                    yield found

    def logs(self, name: str, *, tail: int | None = None, since_start: bool = False) -> str:
        return f"log of {name}"
