"""The fixture ``pair`` of checks: each node straight, as the administrator."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.checks.errors import ServiceLost
from toy_pair.wire import ask


class Pair:
    """Made from what ``PairRecipe.admin`` gives."""

    def __init__(self, admin: Mapping[str, str]) -> None:
        self._ports = [int(port) for port in admin["ports"].split()]
        self._keeper = int(admin["keeper"])
        self._password = admin["password"]

    def close(self) -> None:
        """There is nothing to let go of."""

    def get(self, key: str) -> list[str]:
        """What is under the key, on each node."""
        return [self._ask(port, f"GET {key}") for port in self._ports]

    def count(self) -> int:
        """How many keys there are, on the first node."""
        return int(self._ask(self._ports[0], "COUNT"))

    def nodes(self) -> int:
        """How many nodes answer each other."""
        return len(self._ask(self._keeper, "NODES").split())

    def _ask(self, port: int, line: str) -> str:
        try:
            return ask("127.0.0.1", port, "admin", self._password, line, seconds=5)
        except OSError as error:
            raise ServiceLost("pair", str(error)) from error


reader = Pair
