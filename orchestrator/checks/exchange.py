"""The record of one HTTP exchange, as failures show it and as a person repeats it by hand. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from orchestrator.checks.words import short

CURL_LIMIT = 8000
"""Characters. A line that is longer is left out: cut short it could not be pasted."""


def record(method: str, url: str, path: str, headers: Mapping[str, str], body: bytes) -> dict[str, object]:
    """An exchange before its answer, in the protocol's form. ``headers``: those that matter for repeating it."""
    text = body.decode("utf-8", errors="replace")
    return {"method": method, "path": short(path), "request": short(text), "status": None, "response": "",
            "curl": curl(method, url, headers, body)}


def curl(method: str, url: str, headers: Mapping[str, str], body: bytes) -> str:
    """A line for a POSIX shell that sends this request again; empty if there is no such line of reasonable length."""
    words = ["curl", "-i"]
    if method == "HEAD":
        words.append("-I")
    elif method != "GET" or body:
        words += ["-X", method]
    if set(url) & set("[]{}"):
        words.append("-g")
    words.append(url)
    for name, value in headers.items():
        # An empty header: a semicolon is curl's way to say so.
        words += ["-H", f"{name}: {value}" if value else f"{name};"]
    if body:
        text = _printable(body)
        if text is None:
            return ""
        words += ["--data-raw", text]
        if not any(name.lower() == "content-type" for name in headers):
            words += ["-H", "Content-Type:"]
    line = shlex.join(words)
    return line if line.isprintable() and len(line) <= CURL_LIMIT else ""


def _printable(body: bytes) -> str | None:
    """The body as text that a terminal shows as it is. JSON has escapes for what it would not."""
    try:
        text = body.decode()
        return text if text.isprintable() else json.dumps(json.loads(text))
    except ValueError:
        return None
