"""What a client asks of Elasticsearch, read from the bytes of one connection: ``GET /pages/_search {"query": ...}``."""

from __future__ import annotations

import re

from orchestrator.services.base import Heard

MOST_LETTERS = 120
LONGEST = 64 * 1024 * 1024
MOST_HEADER = 64 * 1024
_REQUEST = re.compile(rb"([A-Z]{3,7}) (\S+) HTTP/1\.[01]$")
_BEGUN = re.compile(rb"[A-Z]{1,7}( [!-~]*( [HTP]{0,4}(/[\d.]{0,3}\r?)?)?)?")
"""The beginning of a first line."""
_END = b"\r\n\r\n"
_NO_ID = r"\1/?"
NUMBER = re.compile(r"(?<=[-_])[^-_/,]*\d[^-_/,]*(?=[/,]|$)")
"""What stands at the end of an index's name, such as the 2f6c of ``events-2f6c``: another in each run."""
_ID = re.compile(r"(?<=/)(_doc|_create|_update|_source|_explain|_termvectors)/[^/?]+")


class HttpEar:
    """See ``Ear``. What it cannot read (a connection that it joins in the middle of a body) it passes over.

    No header is shown: a login would stand there.
    """

    def __init__(self) -> None:
        self._rest = b""

    def hear(self, data: bytes) -> Heard:
        self._rest += data
        requests: list[tuple[str, str, str]] = []
        while self._rest:
            found = request_of(self._rest)
            if found is None:
                break
            request, size = found
            self._rest = self._rest[size:]
            if request is not None:
                requests.append(request)
        if len(self._rest) > LONGEST:
            self._rest = b""
        return Heard("; ".join(_text(*one) for one in requests), "; ".join(_kind(*one) for one in requests),
                     not self._rest, True, _begun(self._rest))


def request_of(data: bytes) -> tuple[tuple[str, str, str] | None, int] | None:
    """Method, target and body of the first request, and its size; no request for bytes that are none.

    ``None`` if its end is not there yet.
    """
    head, found, _ = data.partition(_END)
    first, *lines = head.split(b"\r\n")
    match = _REQUEST.match(first)
    if match is None:
        return None if len(data) < MOST_HEADER and _BEGUN.fullmatch(data) else (None, len(data))
    if not found:
        return None if len(data) < MOST_HEADER else (None, len(data))
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    begin = len(head) + len(_END)
    if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        chunks = _chunks(data, begin)
        if chunks is None:
            return None
        body, end = chunks
    else:
        length = headers.get(b"content-length", b"0")
        end = begin + (int(length) if length.isdigit() else 0)
        if len(data) < end:
            return None
        body = data[begin:end]
    packed = b"content-encoding" in headers
    shown = "(compressed)" if packed and body else body.decode("utf-8", "replace")
    return (match[1].decode(), match[2].decode("latin-1"), shown), end


def _chunks(data: bytes, place: int) -> tuple[bytes, int] | None:
    """The chunks put together and where they end; ``None`` if the last one is not there yet."""
    body = b""
    while True:
        size, found, _ = data[place:place + 64].partition(b"\r\n")
        if not found:
            return None if len(data) - place < 64 else (body, len(data))
        try:
            length = int(size.partition(b";")[0], 16)
        except ValueError:
            return body, len(data)
        begin = place + len(size) + 2
        place = begin + length + 2
        if length == 0:
            return (body, begin + 2) if len(data) >= begin + 2 else None
        if len(data) < place:
            return None
        body += data[begin:begin + length]


def _begun(data: bytes) -> tuple[str, str]:
    """Text and kind of a request of which only the beginning is there; empty ones before its header has ended."""
    head, found, _ = data.partition(_END)
    match = _REQUEST.match(head.split(b"\r\n", 1)[0]) if found else None
    if match is None:
        return "", ""
    first = match[1].decode(), match[2].decode("latin-1"), ""
    return _text(*first), _kind(*first)


def _kind(method: str, target: str, _: str) -> str:
    """Without ids, parameters and numbers of indices, so that the same step has the same kind in each run."""
    path = target.partition("?")[0]
    return f"{method} {NUMBER.sub('?', _ID.sub(_NO_ID, path))}"


def _text(method: str, target: str, body: str) -> str:
    words = " ".join(body.split())
    text = f"{method} {target} {words}".rstrip()
    return text if len(text) <= MOST_LETTERS else text[:MOST_LETTERS - 3] + "..."
