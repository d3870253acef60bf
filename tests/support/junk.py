"""Servers that answer as no server should, each at a path of its own, and what a check must make of each."""

from __future__ import annotations

import contextlib
import gzip
import random
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.model import Verdict

TYPE = b"Content-Type: application/json\r\n"
OK = b"HTTP/1.1 200 OK\r\n" + TYPE
BODY_LIMIT = 1024 * 1024
"""What the tests accept of a body, in bytes."""


class Connection:
    """One connection of a client, whose request is read already."""

    def __init__(self, connection: socket.socket, ended: threading.Event) -> None:
        self.socket = connection
        self._ended = ended

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def json(self, body: bytes, headers: bytes = b"") -> None:
        self.send(OK + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def wait(self, seconds: float = 60.0) -> bool:
        """Until the test ends; whether it has."""
        return self._ended.wait(seconds)

    def drip(self, data: bytes) -> None:
        """One byte after the other, slowly, for ever."""
        while True:
            for byte in data:
                self.send(bytes([byte]))
                if self.wait(0.05):
                    return

    def flood(self, data: bytes) -> None:
        """The same again and again, as fast as it goes."""
        while not self.wait(0):
            self.send(data)


@dataclass(frozen=True)
class Junk:
    """A way to answer ``GET /NAME``, and the verdict and reason of a check that wants JSON of it."""

    answer: Callable[[Connection], None]
    verdict: Verdict
    reason: str = ""


def reset(connection: Connection) -> None:
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def random_bytes(connection: Connection) -> None:
    connection.send(random.Random(5).randbytes(4096))


def drip_header(connection: Connection) -> None:
    connection.send(OK)
    connection.drip(b"X-Slow: yes\r\n")


def drip_body(headers: bytes) -> Callable[[Connection], None]:
    def answer(connection: Connection) -> None:
        connection.send(OK + headers + b"\r\n")
        connection.drip(b"1")

    return answer


def drip_chunks(connection: Connection) -> None:
    connection.send(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    connection.drip(b"1\r\n1\r\n")


def endless(headers: bytes, data: bytes) -> Callable[[Connection], None]:
    def answer(connection: Connection) -> None:
        connection.send(OK + headers + b"\r\n")
        connection.flood(data)

    return answer


def endless_header(connection: Connection) -> None:
    connection.send(OK + b"X-Long: ")
    connection.flood(b"x" * 8192)


def endless_informational(connection: Connection) -> None:
    while not connection.wait(0.01):
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")


def raw(data: bytes) -> Callable[[Connection], None]:
    return lambda connection: connection.send(data)


def body(data: bytes, headers: bytes = b"") -> Callable[[Connection], None]:
    return lambda connection: connection.json(data, headers)


FAIL, TIMEOUT, PASS = Verdict.FAIL, Verdict.TIMEOUT, Verdict.PASS

JUNK = {
    # no answer, or not HTTP
    "never": Junk(lambda connection: connection.wait() and None, TIMEOUT, "too-slow"),
    "closes": Junk(lambda connection: None, FAIL, "no-answer"),
    "resets": Junk(reset, FAIL, "no-answer"),
    "random": Junk(random_bytes, FAIL, "no-answer"),
    "http_09": Junk(raw(b"hello\n"), FAIL, "no-answer"),
    "bad_status": Junk(raw(b"HTTP/1.1 2x0 OK\r\n\r\n"), FAIL, "no-answer"),
    "status_099": Junk(raw(b"HTTP/1.1 099 Low\r\nContent-Length: 2\r\n\r\n{}"), FAIL, "no-answer"),
    "half_header": Junk(raw(b"HTTP/1.1 200 OK\r\nContent-Le"), FAIL, "no-answer"),
    "informational": Junk(endless_informational, TIMEOUT, "too-slow"),
    # headers
    "drip_header": Junk(drip_header, TIMEOUT, "too-slow"),
    "endless_header": Junk(endless_header, FAIL, "no-answer"),
    "many_headers": Junk(body(b"{}", b"".join(b"X-%d: 1\r\n" % n for n in range(1000))), FAIL, "no-answer"),
    "big_headers": Junk(body(b"{}", b"".join(b"X-%d: %s\r\n" % (n, b"x" * 4000) for n in range(20))), FAIL, "no-answer"),
    # bodies
    "drip_length": Junk(drip_body(b"Content-Length: 100000\r\n"), TIMEOUT, "too-slow"),
    "drip_no_length": Junk(drip_body(b"Connection: close\r\n"), TIMEOUT, "too-slow"),
    "drip_chunks": Junk(drip_chunks, TIMEOUT, "too-slow"),
    "endless_chunks": Junk(endless(b"Transfer-Encoding: chunked\r\n", b"1000\r\n" + b"x" * 4096 + b"\r\n"),
                           FAIL, "no-answer"),
    "endless_tiny_chunks": Junk(endless(b"Transfer-Encoding: chunked\r\n", b"1\r\n1\r\n" * 4096), TIMEOUT, "too-slow"),
    "endless_no_length": Junk(endless(b"Connection: close\r\n", b"x" * 65536), FAIL, "no-answer"),
    "length_too_long": Junk(raw(OK + b"Content-Length: 100\r\n\r\n{}"), FAIL, "no-answer"),
    "length_too_short": Junk(raw(OK + b'Content-Length: 4\r\n\r\n{"a": 1}'), FAIL, "not-json"),
    "length_twice": Junk(raw(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} "), FAIL, "no-answer"),
    "length_negative": Junk(raw(OK + b"Content-Length: -1\r\n\r\n{}"), FAIL, "no-answer"),
    "bad_chunks": Junk(raw(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}"), FAIL, "no-answer"),
    "gzip_bomb": Junk(body(gzip.compress(b"0" * 50_000_000), b"Content-Encoding: gzip\r\n"), FAIL, "not-json"),
    # JSON
    "no_type": Junk(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), FAIL, "not-json"),
    "html_type": Junk(raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\n{}"), FAIL, "not-json"),
    "empty": Junk(body(b""), FAIL, "not-json"),
    "nan": Junk(body(b'{"a": NaN}'), FAIL, "not-json"),
    "infinity": Junk(body(b"[-Infinity]"), FAIL, "not-json"),
    "names_twice": Junk(body(b'{"a": 1, "a": 2}'), FAIL, "not-json"),
    "deep": Junk(body(b"[" * 200_000 + b"]" * 200_000), FAIL, "not-json"),
    "not_so_deep": Junk(body(b'{"a":' * 65 + b"1" + b"}" * 65), FAIL, "not-json"),
    "latin_1": Junk(body('{"a": "é"}'.encode("latin-1")), FAIL, "not-json"),
    "half_surrogate": Junk(body(b'{"a": "\\ud800"}'), FAIL, "not-json"),
    "long_number": Junk(body(b"1" * 5000), FAIL, "not-json"),
    "two_values": Junk(body(b"{} {}"), FAIL, "not-json"),
    # odd, and right
    "http_10": Junk(raw(b"HTTP/1.0 200 OK\r\n" + TYPE + b'\r\n{"a": 1}'), PASS),
    "chunked": Junk(raw(OK + b"transfer-encoding: CHUNKED\r\n\r\n3\r\n{\"a\r\n5;x=y\r\n\": 1}\r\n0\r\nX-Trailer: 1\r\n\r\n"), PASS),
    "no_reason": Junk(raw(b'HTTP/1.1 200\r\nCONTENT-TYPE:application/json; charset=UTF-8\r\nCONTENT-LENGTH:8\r\n\r\n{"a": 1}'), PASS),
    "continue_first": Junk(raw(b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b'Content-Length: 8\r\n\r\n{"a": 1}'), PASS),
    "deep_enough": Junk(body(b"[" * 64 + b"]" * 64), PASS),
    "redirect": Junk(raw(b"HTTP/1.1 302 Found\r\nLocation: /redirect\r\n" + TYPE + b"Content-Length: 2\r\n\r\n{}"), PASS),
    "cookie": Junk(body(b"{}", b"Set-Cookie: a=b\r\n"), PASS),
}


class JunkServer:
    """Answers ``GET /NAME`` as ``JUNK[NAME]`` (or ``answers[NAME]``) does. A context manager."""

    def __init__(self, answers: dict[str, Callable[[Connection], None]] | None = None) -> None:
        self._answers = {name: junk.answer for name, junk in JUNK.items()} | (answers or {})
        self.requests: list[bytes] = []
        """The requests as they came, without bodies."""
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> JunkServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        # A client that has seen enough goes away in the middle.
        with connection, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                data = connection.recv(65536)
                if not data:
                    return
                head += data
            head = head.partition(b"\r\n\r\n")[0]
            self.requests.append(head)
            name = head.split(b" ")[1].decode().strip("/").partition("?")[0]
            self._answers[name](Connection(connection, self._ended))

    def asked(self, name: str) -> list[bytes]:
        """The requests for one path."""
        return [head for head in self.requests if head.split(b" ")[1] == b"/" + name.encode()]
