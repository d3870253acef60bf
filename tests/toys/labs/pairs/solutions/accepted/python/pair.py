"""A client for the pair: one connection for each call."""

import os
import socket
from urllib.parse import urlsplit


def call(line, node=0):
    """The answer of a node to one line."""
    url = urlsplit(os.environ["PAIR_URL"])
    user, _, nodes = url.netloc.rpartition("@")
    host, _, port = nodes.split(",")[node].partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(f"AUTH {user.replace(':', ' ')}\n{line}\n".encode())
        with connection.makefile(encoding="utf-8") as answers:
            answers.readline()
            return answers.readline().rstrip("\n")
