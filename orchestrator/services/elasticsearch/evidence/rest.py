"""Elasticsearch's HTTP, as `labs` speaks it: JSON in and out, one connection, the calls that 7.10 to 9 share.

Of the standard library alone: the recipe asks through it while `labs` starts, and the reader in the checks' process.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

JSON, LINES = "application/json", "application/x-ndjson"
NOT_HERE = frozenset({400, 404, 405, 410})
"""What the answer to a call is that this version, or this product, does not have."""
LONGEST_PATH = 3000
"""A request line may have 4096 bytes."""


class Refused(Exception):
    """An answer that is an error: its HTTP status, its type (``index_not_found_exception``), its reason in words."""

    def __init__(self, status: int, kind: str, reason: str) -> None:
        super().__init__(f"{kind}: {reason}" if kind else reason)
        self.status = status
        self.kind = kind
        self.reason = reason


class Rest:
    """A client of one node. Each answer has to come within ``seconds``; ``OSError`` if it does not, or nobody is there.

    A connection that the node has ended meanwhile is opened again, once, where the request cannot have been begun.
    """

    def __init__(self, host: str, port: int, seconds: float, accept: str = JSON) -> None:
        self._where = (host, port)
        self._seconds = seconds
        self._accept = accept
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Rest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, path: str, **parameters: object) -> Any:
        return self.ask("GET", path, **parameters)

    def post(self, path: str, body: object = None, **parameters: object) -> Any:
        return self.ask("POST", path, body, **parameters)

    def put(self, path: str, body: object = None, **parameters: object) -> Any:
        return self.ask("PUT", path, body, **parameters)

    def delete(self, path: str, **parameters: object) -> Any:
        return self.ask("DELETE", path, **parameters)

    def ask(self, method: str, path: str, body: object = None, **parameters: object) -> Any:
        """The answer: JSON, or text where it is none. ``Refused`` if it is an error.

        ``body``: anything that JSON has; a list of documents for ``_bulk`` becomes a line for each.
        """
        status, answer = self.exchange(method, path, body, **parameters)
        if status >= 400:
            raise refusal(status, answer)
        return answer

    def exchange(self, method: str, path: str, body: object = None, **parameters: object) -> tuple[int, Any]:
        """The status and the answer, whatever they are."""
        lines = isinstance(body, list)
        text = b"" if body is None else lines_of(body) if isinstance(body, list) else json.dumps(body).encode()
        headers = {"Accept": self._accept} | ({} if body is None else {"Content-Type": LINES if lines else JSON})
        status, kind, data = self._send(method, with_parameters(path, parameters), text, headers)
        if kind.startswith(("application/json", "application/vnd.elasticsearch+json")):
            with suppress(ValueError):
                return status, json.loads(data)
        return status, data.decode("utf-8", "replace")

    def if_known(self, path: str, **parameters: object) -> Any:
        """The answer to a GET; ``None`` where this product does not know the call, or has nothing there."""
        status, answer = self.exchange("GET", path, **parameters)
        if status in NOT_HERE:
            return None
        if status >= 400:
            raise refusal(status, answer)
        return answer

    def _send(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str, bytes]:
        kept = self._connection is not None
        try:
            return self._try(method, target, body, headers)
        except (ConnectionError, http.client.RemoteDisconnected):
            self.close()
            if not kept:
                raise
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise error if isinstance(error, OSError) else OSError(f"no HTTP that can be read: {error!r}") from error
        return self._try(method, target, body, headers)

    def _try(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(*self._where, timeout=self._seconds)
        self._connection.request(method, target, body or None, dict(headers))
        answer = self._connection.getresponse()
        return answer.status, answer.headers.get_content_type(), answer.read()


def part(name: str) -> str:
    """A name, or a list of them with commas, as a part of a path."""
    return quote(name, safe=",*")


def with_parameters(path: str, parameters: Mapping[str, object]) -> str:
    """``/pages/_search?size=3``; truth is ``true``."""
    texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in parameters.items()}
    return f"{path}?{urlencode(texts)}" if texts else path


def lines_of(values: Iterable[object]) -> bytes:
    """A line of JSON for each."""
    return b"".join(json.dumps(one).encode() + b"\n" for one in values)


def refusal(status: int, answer: Any) -> Refused:
    """What an answer that is an error says. Its form differs between calls and versions."""
    error = answer.get("error") if isinstance(answer, Mapping) else None
    if isinstance(error, Mapping):
        # What failed on every shard says so alone; the roots say why.
        root = (error.get("root_cause") or [error])[0]
        return Refused(status, str(root.get("type", "")), _whole_reason(root, error))
    if isinstance(answer, Mapping) and error is None and "result" in answer:
        return Refused(status, "", str(answer["result"]))
    return Refused(status, "", str(error or answer)[:500] or f"status {status}")


def _whole_reason(root: Mapping[str, Any], error: Mapping[str, Any]) -> str:
    """The reason, and what it comes from, which may stand beside the roots or in a shard's own words."""
    said = str(root.get("reason", ""))
    shards = [one.get("reason") for one in error.get("failed_shards", ()) if isinstance(one, Mapping)]
    for one in (root, *shards, error):
        cause = one.get("caused_by") if isinstance(one, Mapping) else None
        if isinstance(cause, Mapping) and (why := str(cause.get("reason", ""))) and why not in said:
            return f"{said}: {why}"
    return said


def groups(names: Iterable[str]) -> list[str]:
    """Names joined with commas, so that each group fits into a path."""
    found: list[str] = []
    for name in map(part, names):
        if found and len(found[-1]) + len(name) < LONGEST_PATH:
            found[-1] += f",{name}"
        else:
            found.append(name)
    return found
