"""The ports that several tests would like to have at the same moment."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

USUAL = (5432, 6379)
"""PostgreSQL's and Redis's."""
NEIGHBOURS = 20
"""`labs` looks at as many ports from the usual one on before it takes one at random."""


@contextlib.contextmanager
def usual_ports_taken() -> Iterator[None]:
    """Nobody gets a service's usual port or a neighbour of it: what starts meanwhile has a port at random.

    That port it keeps when it is stopped. A usual one would be given to whatever another test starts until then, and
    rightly so: the address changes, and a test that compares it fails by its surroundings.
    """
    with contextlib.ExitStack() as held:
        for usual in USUAL:
            for port in range(usual, usual + NEIGHBOURS):
                _take(held, port)
        yield


def _take(held: contextlib.ExitStack, port: int) -> None:
    """Listen there. Where another test's service does, listen on ``::1``: that service may end at any moment."""
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        taken = held.enter_context(socket.socket(family))
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            taken.bind((host, port))
            taken.listen()
            return
