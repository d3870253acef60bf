"""The only HTTP client: one fresh connection a request, absolute deadlines, caps on everything.

httpx is used only here, and its transport directly: above it there are redirects, cookies and proxies, none of which a
check may have.
"""

from __future__ import annotations

import errno
import json
import shlex
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from orchestrator.checks.errors import TargetTimeout, TargetWrong
from orchestrator.checks.watchdog import Deadline, Watchdog

BODY_LIMIT = 16 * 1024 * 1024
HEADER_COUNT = 200
DEPTH_LIMIT = 64
SHOWN = 300
OURS = {errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM}
"""A connection that failed for one of these failed on our side."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, wholly read. ``elapsed`` in seconds; ``exchange`` is for messages, in the protocol's form."""

    status: int
    headers: httpx.Headers
    content: bytes
    elapsed: float
    exchange: dict[str, object] = field(repr=False)

    @property
    def text(self) -> str:
        """The body as UTF-8, what is not shown by replacement characters."""
        return self.content.decode("utf-8", errors="replace")

    def json(self) -> Any:
        """The body as strict JSON (UTF-8, no NaN, no key twice, not too deep); ``TargetWrong("not-json")``."""
        try:
            return parse_json(self.content)
        except ValueError as error:
            raise self._wrong(f"JSON ({error})") from error

    def _wrong(self, expected: str) -> TargetWrong:
        request = f"{self.exchange['method']} {self.exchange['path']}"
        seen = self.text[:SHOWN] or "nothing"
        wrong = TargetWrong("not-json", f"the body of the answer to {request}", expected, seen)
        wrong.exchange = self.exchange
        return wrong


def parse_json(content: bytes) -> Any:
    """Strict JSON; ``ValueError`` with what is wrong."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in items]
        if len(set(names)) != len(names):
            raise ValueError("a name is there twice in an object")
        return dict(items)

    def constant(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    try:
        value = json.loads(content.decode("utf-8"), object_pairs_hook=pairs, parse_constant=constant)
        _check_depth(value, DEPTH_LIMIT)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return value


def _check_depth(value: Any, left: int) -> None:
    if left == 0:
        raise ValueError("it is nested too deeply")
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_depth(inner, left - 1)


class OpenResponse:
    """An answer of which the body is still to be read. ``close`` ends the connection."""

    def __init__(self, response: httpx.Response, transport: httpx.HTTPTransport, connection: Any, deadline: Deadline,
                 exchange: dict[str, object]) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self.connection = connection
        self.exchange = exchange
        self._response = response
        self._transport = transport
        self._deadline = deadline

    def disarm(self) -> None:
        """From now on the answer may last."""
        self._deadline.disarm()

    def chunks(self) -> Iterator[bytes]:
        """The body as it comes, never decompressed."""
        stream = self._response.stream
        assert isinstance(stream, httpx.SyncByteStream)
        yield from stream

    def close(self) -> None:
        """End the connection. Harmless twice."""
        self._response.close()
        self._transport.close()


class Client:
    """Requests to one base URL; safe to use from several threads."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._watchdog = Watchdog()
        # Made once: every transport wants one, though no request here is ever encrypted.
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    def request(self, method: str, path: str, *, json: Any = None, content: bytes | str | None = None,
                headers: Mapping[str, str] | None = None, params: Mapping[str, str] | None = None,
                deadline: float = 5.0) -> Response:
        """One exchange, wholly read within ``deadline`` seconds, else ``TargetWrong`` or ``TargetTimeout``."""
        began = time.monotonic()
        opened = self.open(method, path, json=json, content=content, headers=headers, params=params, deadline=deadline)
        body = bytearray()
        try:
            for chunk in opened.chunks():
                body += chunk
                if len(body) > BODY_LIMIT:
                    raise self._no_answer(opened.exchange, f"more than {BODY_LIMIT} bytes of body")
        except (httpx.HTTPError, OSError) as error:
            raise self._failure(error, opened.exchange, opened._deadline, deadline) from error
        finally:
            opened.disarm()
            opened.close()
        text = bytes(body[: SHOWN * 4]).decode("utf-8", errors="replace")
        opened.exchange["response"] = text[:SHOWN] + (" ..." if len(text) > SHOWN or len(body) > SHOWN * 4 else "")
        return Response(opened.status, opened.headers, bytes(body), time.monotonic() - began, opened.exchange)

    def open(self, method: str, path: str, *, json: Any = None, content: bytes | str | None = None,
             headers: Mapping[str, str] | None = None, params: Mapping[str, str] | None = None,
             deadline: float = 5.0) -> OpenResponse:
        """Send a request and read the answer's header within ``deadline`` seconds."""
        body = _encode(json) if json is not None else content.encode() if isinstance(content, str) else content
        sent = httpx.Headers({"Accept": "*/*", "Accept-Encoding": "identity"})
        if json is not None:
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        request = httpx.Request(method, self._base + path, params=params, headers=sent, content=body)
        exchange = _exchange(request, body, headers)
        limit = self._watchdog.start(deadline)
        connection: list[Any] = []

        def trace(event: str, info: Mapping[str, Any]) -> None:
            if event == "connection.connect_tcp.complete":
                connection.append(info["return_value"].get_extra_info("socket"))
                limit.watch(connection[0])

        # The watchdog ends what lasts too long; connecting has no socket yet that it could end.
        request.extensions = {"timeout": {"connect": limit.left}, "trace": trace}
        # One transport a request: a shared pool may hand one thread the connection that another has just used.
        transport = httpx.HTTPTransport(verify=self._tls, trust_env=False)
        try:
            response = transport.handle_request(request)
        except (httpx.HTTPError, OSError) as error:
            transport.close()
            raise self._failure(error, exchange, limit, deadline) from error
        exchange["status"] = response.status_code
        if len(response.headers.raw) > HEADER_COUNT:
            response.close()
            transport.close()
            raise self._no_answer(exchange, f"more than {HEADER_COUNT} header lines")
        return OpenResponse(response, transport, connection[0] if connection else None, limit, exchange)

    def _failure(self, error: Exception, exchange: dict[str, object], limit: Deadline, seconds: float) -> Exception:
        """Whose fault it is that there is no answer."""
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, OSError) and cause.errno in OURS:
                return RuntimeError(f"the checker cannot open a connection: {cause}")
            cause = cause.__cause__ or cause.__context__
        if limit.over or isinstance(error, httpx.TimeoutException | TimeoutError):
            late = TargetTimeout("too-slow", f"{exchange['method']} {exchange['path']}",
                                 f"an answer within {seconds:g} s", "none")
            late.exchange = exchange
            return late
        return self._no_answer(exchange, str(error) or type(error).__name__)

    @staticmethod
    def _no_answer(exchange: dict[str, object], seen: str) -> TargetWrong:
        wrong = TargetWrong("no-answer", f"{exchange['method']} {exchange['path']}", "an HTTP answer", seen[:SHOWN])
        wrong.exchange = exchange
        return wrong


def _encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _exchange(request: httpx.Request, body: bytes | None, headers: Mapping[str, str] | None) -> dict[str, object]:
    """What the failure text shows of a request; ``curl`` repeats it as it was."""
    text = (body or b"").decode("utf-8", errors="replace")
    path = request.url.raw_path.decode("ascii")
    words = ["curl", "-i"] + ([] if request.method == "GET" else ["-X", request.method]) + [str(request.url)]
    for name, value in (headers or {}).items():
        words += ["-H", f"{name}: {value}"]
    if body:
        words += ["-H", "Content-Type: application/json", "-d", text]
    return {"method": request.method, "path": path, "request": text[:SHOWN], "status": None, "response": "",
            "curl": shlex.join(words)[:2000]}
