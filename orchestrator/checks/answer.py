"""An answer of the server, wholly read, and strict JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

from orchestrator.checks.errors import TargetWrong
from orchestrator.checks.words import short

DEPTH_LIMIT = 64
JSON = re.compile(r"\s*application/([\w.-]+\+)?json\s*(;.*)?", re.IGNORECASE)
"""The media type, perhaps of a JSON format of its own (``application/problem+json``), perhaps with a charset."""


@dataclass(frozen=True, slots=True)
class Response:
    """``elapsed`` in seconds, from before the connection to the end of the body; ``headers`` in any case of letters.

    ``content`` is as it was sent, never decompressed. ``exchange`` is for messages, in the protocol's form. ``url`` is
    what was asked for.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes
    elapsed: float
    exchange: dict[str, object] = field(repr=False)
    depth: int = field(default=DEPTH_LIMIT, repr=False)
    url: str = field(default="", repr=False)

    @property
    def text(self) -> str:
        """The body as UTF-8, what is not shown by replacement characters."""
        return self.content.decode("utf-8", errors="replace")

    @property
    def location(self) -> str | None:
        """The header ``Location`` as a path on this server: relative and absolute are equal (RFC 9110, 10.2.2).

        As it was sent if it leads elsewhere; ``None`` without one.
        """
        said: str | None = self.headers.get("location")
        if said is None:
            return None
        try:
            asked, found = urlsplit(self.url), urlsplit(urljoin(self.url, said))
            here = (found.scheme, found.port) == (asked.scheme, asked.port) and not found.username
        except ValueError:  # not a URL
            return said
        if not here or found.hostname not in (asked.hostname, "localhost"):
            return said
        return urlunsplit(("", "", found.path, found.query, found.fragment))

    def json(self) -> Any:
        """The body as strict JSON (``parse_json``), not compressed, said to be JSON; else ``TargetWrong("not-json")``.

        A browser, a proxy and most clients go by the Content-Type, whatever the body looks like.
        """
        kind = self.headers.get("content-type", "")
        if not JSON.fullmatch(kind):
            raise self._wrong("Content-Type: application/json", f"Content-Type: {kind}" if kind else "no Content-Type")
        coding = self.headers.get("content-encoding", "identity")
        if coding.strip().lower() not in ("", "identity"):
            raise self._wrong("JSON, not compressed: the request did not ask for it", f"Content-Encoding: {coding}")
        try:
            return parse_json(self.content, self.depth)
        except ValueError as error:
            raise self._wrong(f"JSON ({error})", self.text or "nothing") from error

    def _wrong(self, expected: str, seen: str) -> TargetWrong:
        what = f"the body of the answer to {self.exchange['method']} {self.exchange['path']}"
        wrong = TargetWrong("not-json", what, expected, short(seen))
        wrong.exchange = self.exchange
        return wrong


def parse_json(content: bytes, depth: int = DEPTH_LIMIT) -> Any:
    """JSON in UTF-8 without NaN, infinities, a name twice in an object, or half a surrogate pair; at most ``depth``
    objects and lists inside each other. ``ValueError`` with what is wrong."""
    try:
        text = content.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
        _check(value, depth)
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return value


def _object(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) != len(items):
        names = [name for name, _ in items]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {short(repr(twice))} is there twice in an object")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _check(value: Any, depth: int) -> None:
    """No text that cannot be written as UTF-8 (an id that is one could not be asked for), not too deep."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("there is half a surrogate pair in a text") from None
    elif isinstance(value, dict | list):
        if depth == 0:
            raise ValueError("it is nested too deeply")
        if isinstance(value, dict):
            for name, inner in value.items():
                _check(name, depth - 1)
                _check(inner, depth - 1)
        else:
            for inner in value:
                _check(inner, depth - 1)
