"""Talking to a node: one line asked, one line answered."""

from __future__ import annotations

import socket


def ask(host: str, port: int, user: str, password: str, line: str, *, seconds: float = 1.0) -> str:
    """What it answers. ``ConnectionError`` (an ``OSError``) if it does not, or refuses."""
    with socket.create_connection((host, port), timeout=seconds) as connection:
        connection.sendall(f"AUTH {user} {password}\n{line}\n".encode())
        with connection.makefile(encoding="utf-8") as answers:
            greeting, answer = answers.readline().strip(), answers.readline().strip()
    if greeting != "OK" or not answer or answer.startswith("ERR"):
        raise ConnectionError(f"the node at {host}:{port}: {answer or greeting or 'no answer'}")
    return answer
