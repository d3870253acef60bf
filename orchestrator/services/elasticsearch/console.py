"""``labs connect`` for Elasticsearch: a request on a line, as its own documentation writes them.

::

    GET /_cat/indices?v
    PUT /pages {"mappings": {"properties": {"title": {"type": "text"}}}}
    POST /pages/_bulk?refresh=true {"index": {}} {"title": "a"}
    /pages/_search                                                       GET, where no method is said
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.services.elasticsearch.evidence.rest import Rest, refusal

EXAMPLE = 'GET /_cat/indices?v   or   POST /pages/_search {"query": {"match_all": {}}}'
METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD")
MOST_CHARACTERS = 20_000
_REQUEST = re.compile(r"\s*(?:([A-Za-z]+)\s+)?(/?[^\s{\[]+)\s*(.*)", re.DOTALL)
_LINES = re.compile(r"/_(?:bulk|msearch)(?:\?|$)")


def run(rest: Rest, statement: str) -> str:
    """Carry out one request; the answer as text. ``UsageError`` for what is refused, by us or by Elasticsearch."""
    method, path, body = parsed(statement)
    status, answer = rest.exchange(method, path, body)
    if isinstance(answer, Mapping) and "error" in answer:
        raise UsageError(f"Elasticsearch refused this ({status}): {refusal(status, answer)}", code="statement-refused")
    return f"({status})" if answer == "" else shown(answer)


def parsed(statement: str) -> tuple[str, str, Any]:
    """Method, path and body of a line. ``UsageError`` for what is no request."""
    match = _REQUEST.fullmatch(statement)
    method = (match[1] or "GET").upper() if match else ""
    if match is None or method not in METHODS or not re.fullmatch(r"[!-~]+", match[2]):
        raise UsageError(f"this is no request: {statement.strip()[:100]}", code="statement-refused",
                         hint=f"a method, a path and perhaps JSON: {EXAMPLE}")
    path, values = f"/{match[2].removeprefix('/')}", _values(match[3])
    if _LINES.search(path):
        return method, path, values
    if len(values) > 1:
        raise UsageError("there is more than one JSON value; only _bulk and _msearch take several",
                         code="statement-refused")
    return method, path, values[0] if values else None


def _values(text: str) -> list[Any]:
    """JSON values one after the other."""
    decoder, place, found = json.JSONDecoder(), 0, []
    text = text.rstrip()
    while place < len(text):
        try:
            value, place = decoder.raw_decode(text, place)
        except ValueError as error:
            raise UsageError(f"this is no JSON: {text[place:place + 100]} ({error})",
                             code="statement-refused") from error
        found.append(value)
        place += len(text[place:]) - len(text[place:].lstrip())
    return found


def shown(answer: Any) -> str:
    """JSON with its structure, tables as they are; the end of a very long answer is left out."""
    text = answer.rstrip("\n") if isinstance(answer, str) else json.dumps(answer, indent=2, ensure_ascii=False)
    if len(text) > MOST_CHARACTERS:
        return f"{text[:MOST_CHARACTERS]}\n... {len(text) - MOST_CHARACTERS} characters more"
    return text
