"""A client for the box: one connection for each call."""

import os
import socket
from urllib.parse import urlsplit


def call(line):
    """The answer to one line."""
    url = urlsplit(os.environ["BOX_URL"])
    with socket.create_connection((url.hostname, url.port), timeout=5) as connection:
        connection.sendall(f"AUTH {url.username} {url.password}\n{line}\n".encode())
        with connection.makefile(encoding="utf-8") as answers:
            answers.readline()
            return answers.readline().rstrip("\n")
