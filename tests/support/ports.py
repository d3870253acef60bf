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
                taken = held.enter_context(socket.socket())
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with contextlib.suppress(OSError):  # somebody else has it, which serves as well
                    taken.bind(("127.0.0.1", port))
                    taken.listen()
        yield
