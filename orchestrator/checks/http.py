"""The only HTTP client: one fresh connection a request, absolute deadlines, caps on everything.

httpx is used only here, and its transport directly: above it there are redirects, cookies and proxies, none of which a
check may have. Who closes first keeps its port busy for a while (TIME_WAIT), and that must not be the server's: no
request asks it to close, and a connection that it closes all the same is reset.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import secrets
import select
import socket
import ssl
import struct
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from orchestrator.checks.answer import DEPTH_LIMIT, Response
from orchestrator.checks.errors import TargetTimeout, TargetWrong
from orchestrator.checks.exchange import record
from orchestrator.checks.watchdog import Deadline, Watchdog
from orchestrator.checks.words import short

HEADER_COUNT = 200
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 seconds: closing sends RST instead of FIN."""
PARTING = 0.05
"""Seconds in which a server that says that it closes the connection is awaited to do so."""
OURS = {errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM}
"""A connection that failed for one of these failed on our side."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is accepted of an answer: bytes of body, bytes of all header lines together, levels of JSON."""

    body: int = 8 * 1024 * 1024
    header: int = 64 * 1024
    depth: int = DEPTH_LIMIT


class OpenResponse:
    """An answer of which the body is still to be read. ``close`` ends the connection."""

    def __init__(self, response: httpx.Response, transport: httpx.HTTPTransport, connection: Any, limit: Deadline,
                 exchange: dict[str, object], url: str, began: float) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.connection = connection
        self.exchange = exchange
        self.url = url
        self.limit = limit
        self.began = began
        """When it was sent, as ``time.monotonic()``: the moment that the exchange has as ``at``."""
        self.read = False
        """Whether the whole body was read."""
        self._response = response
        self._transport = transport

    def chunks(self) -> Iterator[bytes]:
        """The body as it comes, never decompressed. Ends early if the deadline strikes."""
        stream = self._response.stream
        assert isinstance(stream, httpx.SyncByteStream)
        for chunk in stream:
            # Bytes that had arrived by then can still be read, and are too late.
            if self.limit.over:
                return
            yield chunk
        self.read = True

    def close(self) -> None:
        """End the connection. Harmless twice."""
        self.limit.disarm()
        self._response.close()
        self._transport.close()

    def part(self) -> None:
        """Before ``close``: if the server hangs up first, reset the connection, so that its port is free at once."""
        if self.connection is None or self.limit.over:
            return
        if _hung_up(self.connection, PARTING if self._closes() else 0.0):
            with contextlib.suppress(OSError):
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    def _closes(self) -> bool:
        """Whether the server is about to close the connection: its body is over, and it keeps none alive."""
        said = str(self.headers.get("connection", "")).lower()
        old = self._response.extensions.get("http_version") == b"HTTP/1.0"
        return self.read and ("close" in said or (old and "keep-alive" not in said))


MANNERS: tuple[Mapping[str, str], ...] = (
    {"Accept": "*/*"},
    {"User-Agent": "curl/8.5.0", "Accept": "*/*"},
    {"Accept": "*/*", "User-Agent": "PostmanRuntime/7.43.0", "Cache-Control": "no-cache"},
    {"Accept": "application/json, text/plain, */*", "User-Agent": "axios/1.7.9"},
    {"User-Agent": "Go-http-client/1.1"},
    {"User-Agent": "Wget/1.21.4", "Accept": "*/*", "Accept-Encoding": "identity"},
    {"Accept-Encoding": "identity", "User-Agent": "Python-urllib/3.12"},
    {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Accept": "*/*",
     "Accept-Language": "en-US,en;q=0.5", "DNT": "1"},
)
"""What a request says of who sends it: anew each time, so that no server can tell the checker from anybody else.

None asks for compression. Only clients that do so say ``identity``; the others look as behind a proxy that left their
Accept-Encoding out, which many do.
"""


class Client:
    """Requests to one base URL; safe to use from several threads."""

    def __init__(self, base: str, limits: Limits | None = None) -> None:
        self._base = base
        self._limits = limits or Limits()

    def request(self, method: str, path: str, *, json: Any = None, content: bytes | str | None = None,
                headers: Mapping[str, str] | None = None, params: Mapping[str, str] | None = None,
                deadline: float = 5.0) -> Response:
        """One exchange, wholly read within ``deadline`` seconds, else ``TargetWrong`` or ``TargetTimeout``.

        Of a stream of events, which has no end: what had come by then.
        """
        opened = self.open(method, path, json=json, content=content, headers=headers, params=params, deadline=deadline)
        return self.read(opened, deadline)

    def read(self, opened: OpenResponse, deadline: float) -> Response:
        """The whole of an answer that ``open`` began, within the ``deadline`` it was given. Ends the connection."""
        body = bytearray()
        streams = opened.headers.get("content-type", "").lower().startswith("text/event-stream")
        try:
            for chunk in opened.chunks():
                body += chunk
                if len(body) > self._limits.body:
                    raise _no_answer(opened.exchange, f"more than {self._limits.body} bytes of body")
            # The watchdog's end looks like the end of a body that has no length.
            if opened.limit.over and not streams:
                raise _too_slow(opened.exchange, deadline)
        except (httpx.HTTPError, OSError) as error:
            if not (streams and opened.limit.over):
                raise _failure(error, opened.exchange, opened.limit, deadline) from error
        finally:
            elapsed = time.monotonic() - opened.began
            opened.exchange["seconds"] = elapsed
            text = body[:4096].decode("utf-8", errors="replace")
            opened.exchange["response"] = short(f"and a stream of events that stays open {text}"
                                                if streams and opened.limit.over else text)
            opened.part()
            opened.close()
        return Response(opened.status, opened.headers, bytes(body), elapsed, opened.exchange,
                        self._limits.depth, opened.url)

    def open(self, method: str, path: str, *, json: Any = None, content: bytes | str | None = None,
             headers: Mapping[str, str] | None = None, params: Mapping[str, str] | None = None,
             deadline: float = 5.0) -> OpenResponse:
        """Send a request and read the answer's header within ``deadline`` seconds.

        The deadline goes on for the body, until ``limit.disarm()``.
        """
        body = _encode(json) if json is not None else content.encode() if isinstance(content, str) else content
        sent = {"Content-Type": "application/json"} if json is not None else {}
        sent |= headers or {}
        request = self._prepare(method, path, sent, params, body)
        exchange = record(method, str(request.url), request.url.raw_path.decode("ascii"), sent, body or b"")
        connection: list[Any] = []

        def trace(event: str, info: Mapping[str, Any]) -> None:
            if event == "connection.connect_tcp.complete":
                connection.append(info["return_value"].get_extra_info("socket"))
                limit.watch(connection[0])

        # One transport a request: a shared pool may hand one thread the connection that another has just used.
        transport = httpx.HTTPTransport(verify=_tls(), trust_env=False)
        # What it took us to get here is not the server's time.
        exchange["at"], began = time.time(), time.monotonic()
        limit = _watchdog().start(deadline)
        # The watchdog ends what lasts too long; connecting has no socket yet that it could end.
        request.extensions = {"timeout": {"connect": limit.left}, "trace": trace}
        try:
            response = transport.handle_request(request)
        except (httpx.HTTPError, OSError) as error:
            limit.disarm()
            transport.close()
            raise _failure(error, exchange, limit, deadline) from error
        opened = OpenResponse(response, transport, connection[0] if connection else None, limit, exchange,
                              str(request.url), began)
        exchange["status"] = response.status_code
        if excess := self._too_much(response.headers.raw):
            opened.close()
            raise _no_answer(exchange, excess)
        return opened

    def _prepare(self, method: str, path: str, headers: Mapping[str, str], params: Mapping[str, str] | None,
                 body: bytes | None) -> httpx.Request:
        try:
            url = httpx.URL(self._base + path)
            if params:  # merging nothing would still write the path's own query anew
                url = url.copy_merge_params(params)
        except (httpx.InvalidURL, UnicodeError) as error:
            # A check's own paths are plain; only an id that the server made up can have brought this about.
            raise TargetWrong("no-answer", f"{method} {short(path)}", "ids that can be part of a path",
                              f"one that cannot: {short(str(error))}") from error
        return httpx.Request(method, url, content=body, headers={**secrets.choice(MANNERS), **headers})

    def _too_much(self, lines: list[tuple[bytes, bytes]]) -> str:
        """What of the header is over the caps; empty: nothing."""
        if len(lines) > HEADER_COUNT:
            return f"more than {HEADER_COUNT} header lines"
        if sum(len(name) + len(value) + len(": \r\n") for name, value in lines) > self._limits.header:
            return f"more than {self._limits.header} bytes of header"
        return ""


@functools.cache
def _watchdog() -> Watchdog:
    return Watchdog()


@functools.cache
def _tls() -> ssl.SSLContext:
    """Every transport wants one, though no request here is ever encrypted; making it anew each time is slow."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _hung_up(connection: socket.socket, seconds: float) -> bool:
    """Whether the server has closed its side, now or within ``seconds``. A closed connection of ours is none."""
    try:
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        return bool(poll.poll(seconds * 1000)) and connection.recv(1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):
        return False


def _failure(error: Exception, exchange: dict[str, object], limit: Deadline, seconds: float) -> Exception:
    """Whose fault it is that there is no answer."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in OURS:
            return RuntimeError(f"the checker cannot open a connection: {cause}")
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.LocalProtocolError):
        return RuntimeError(f"the check asked for a request that is not HTTP: {error}")
    if limit.over or isinstance(error, httpx.TimeoutException | TimeoutError):
        return _too_slow(exchange, seconds)
    return _no_answer(exchange, str(error) or type(error).__name__)


def _too_slow(exchange: dict[str, object], seconds: float) -> TargetTimeout:
    seen = "none" if exchange["status"] is None else f"the beginning of one, with status {exchange['status']}"
    expected = f"an answer within {seconds:g} s"
    late = TargetTimeout("too-slow", f"{exchange['method']} {exchange['path']}", expected, seen)
    late.exchange = exchange
    return late


def _no_answer(exchange: dict[str, object], seen: str) -> TargetWrong:
    wrong = TargetWrong("no-answer", f"{exchange['method']} {exchange['path']}", "an HTTP answer", short(seen))
    wrong.exchange = exchange
    return wrong


def _encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
