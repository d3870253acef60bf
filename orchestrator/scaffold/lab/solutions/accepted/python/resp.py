"""A client for Redis in thirty lines: one connection for each call."""

import os
import socket
from urllib.parse import unquote, urlsplit


def call(*words):
    """Run one command; its answer as str, int or None. An error of Redis is a RuntimeError."""
    url = urlsplit(os.environ["REDIS_URL"])
    with socket.create_connection((url.hostname, url.port), timeout=5) as connection:
        file = connection.makefile("rwb")
        if url.password:
            ask(file, "AUTH", unquote(url.username or "default"), unquote(url.password))
        return ask(file, *words)


def ask(file, *words):
    parts = [str(word).encode() for word in words]
    file.write(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
    file.flush()
    kind, rest = (line := file.readline())[:1], line[1:].strip()
    if kind == b"-":
        raise RuntimeError(rest.decode())
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return None if rest == b"-1" else file.read(int(rest) + 2)[:-2].decode()
    return rest.decode()
