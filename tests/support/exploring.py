"""A toy server that counts, right or wrong, in a toy store behind a real proxy; and who answers the child's calls."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from orchestrator.faults.proxy import Proxy
from orchestrator.judge.exploring import Exploring
from orchestrator.model import Endpoint
from orchestrator.report.timeline import Mark
from orchestrator.services.base import Heard


class Store(socketserver.ThreadingTCPServer):
    """Keeps numbers: ``get K``, ``set K N``, ``incr K``, ``lock K`` (answered when K is free), ``free K``."""

    daemon_threads = True

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self.locks: dict[str, threading.Lock] = {}
        self.guard = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Storing)


class _Storing(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        store: Store = self.server  # type: ignore[assignment]
        with contextlib.suppress(OSError):
            while line := self.rfile.readline().decode().split():
                command, key, *rest = line
                if command in ("lock", "free"):
                    with store.guard:
                        lock = store.locks.setdefault(key, threading.Lock())
                    lock.acquire() if command == "lock" else lock.release()
                with store.guard:
                    if command in ("set", "incr"):
                        store.values[key] = int(rest[0]) if rest else store.values.get(key, 0) + 1
                    answer = store.values.get(key, 0)
                self.wfile.write(f"{answer}\n".encode())


class LineEar:
    def __init__(self, _new: bool) -> None:
        pass

    def hear(self, data: bytes) -> Heard:
        text = data.decode().strip()
        return Heard(text, text.split()[0], True, True)


class Shop(ThreadingHTTPServer):
    """The learner's server: ``POST /WAY/K`` counts K in the store, in one way or another; ``GET /K`` reads it."""

    daemon_threads = True

    def __init__(self, link: Endpoint) -> None:
        self.link = link
        self.looks: dict[str, Future[int]] = {}
        self.died = 0
        self.guard = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Serving)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that was cut is what these tests are about."""


class _Serving(BaseHTTPRequestHandler):
    server: Shop

    def do_GET(self) -> None:
        with self.store() as ask:
            self.say(200, ask(f"get {self.path[1:]}"))

    def do_POST(self) -> None:
        _, way, key = self.path.split("/")
        if way == "shared":
            self.say(200, self.shared(key))
            return
        if way == "beside":
            threading.Thread(target=self.count, args=[key], daemon=True).start()
            died = self.server.died
            time.sleep(0.02)
            if died == self.server.died:
                self.say(200, 0)
            return
        with self.store() as ask:
            if way == "late":
                self.say(200, 0)
                time.sleep(0.01)
            if way in ("naive", "locked"):
                if way == "locked":
                    ask(f"lock {key}")
                ask(f"set {key} {ask(f'get {key}') + 1}")
                if way == "locked":
                    ask(f"free {key}")
            elif way == "retried":
                try:
                    ask(f"incr {key}")
                except OSError:
                    with self.store() as again:
                        again(f"incr {key}")
            elif way == "impatient":
                try:
                    ask(f"set {key} {ask(f'get {key}') + 1}", patience=0.2)
                except OSError:
                    with contextlib.suppress(OSError), self.store() as again:
                        again(f"incr {key}", patience=0.2)
            elif way == "two-keys":
                ask(f"set {key} 1")
                ask(f"set {key}-end 1")
            else:
                ask(f"incr {key}")
        if way != "late":
            self.say(200, 0)

    def count(self, key: str) -> None:
        with contextlib.suppress(OSError), self.store() as ask:
            ask(f"incr {key}")

    def shared(self, key: str) -> int:
        """The number of this key; who asks while somebody else does gets the same answer."""
        with self.server.guard:
            first = key not in self.server.looks
            look = self.server.looks.setdefault(key, Future())
        if first:
            with self.store() as ask:
                look.set_result(ask(f"get {key}"))
            with self.server.guard:
                del self.server.looks[key]
        return look.result()

    @contextlib.contextmanager
    def store(self) -> Iterator[Any]:
        link = self.server.link
        with socket.create_connection((link.host, link.port), timeout=5) as connection, connection.makefile() as file:

            def ask(line: str, patience: float = 5.0) -> int:
                connection.settimeout(patience)
                connection.sendall(f"{line}\n".encode())
                answer = file.readline()
                if not answer:
                    raise ConnectionResetError
                return int(answer)

            yield ask

    def say(self, status: int, count: int) -> None:
        body = json.dumps({"count": count}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


class World:
    """Answers the child's calls: the shop has one replica; a crash is that what it was sending is lost."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self.waited = 0
        self._stack = contextlib.ExitStack()
        self.proxy = self._stack.enter_context(Proxy())
        self._store = self._server(Store())
        threading.Thread(target=self._store.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.shop = self._server(Shop(self.proxy.open("store", Endpoint(self._store.server_address[1]))))
        self.twin = self._server(Shop(self.proxy.branch("replica-1")["store"]))
        self.exploring = Exploring(self.proxy, lambda: {"store": LineEar}, self.marks, self._crash)

    def _crash(self, gone: Callable[[], None]) -> None:
        self.shop.died += 1
        gone()

    def _server(self, server: Any) -> Any:
        self._stack.callback(server.server_close)
        self._stack.callback(server.shutdown)
        return server

    def answer(self, call: str, args: Mapping[str, Any]) -> object:
        if call == "server.replica":
            return {"replica": "replica-1", "url": self.twin.url}
        if call == "replica.ready":
            self.waited += 1
            return None
        if call == "fault.begin":
            assert args == {"kind": "hold", "service": "store"}
            self.proxy.hold("store")
            return {"fault": 7}
        if call == "fault.heal":
            assert args == {"fault": 7}
            return self.proxy.release("store")
        return {"status": 0} if call == "replica.stop" else self.exploring.methods[call](args)

    def close(self) -> None:
        self._stack.close()
