"""The fixture ``box`` of checks: straight from the box, as its administrator."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.checks.errors import ServiceLost
from toy_box.wire import Refused, connect


class Box:
    """What is in it. Made from what ``BoxRecipe.admin`` gives."""

    def __init__(self, admin: Mapping[str, str]) -> None:
        self._url = admin["url"]

    def close(self) -> None:
        """There is nothing to let go of."""

    def get(self, key: str) -> str | None:
        """The text under the key, or ``None``."""
        text = self._ask(f"GET {key}")
        return None if text == "-" else text

    def plant(self, key: str, text: str) -> None:
        """Put a text in."""
        self._ask(f"SET {key} {text}")

    def keys(self) -> list[str]:
        """All keys, sorted."""
        return self._ask("KEYS").split()

    def commands(self) -> int:
        """How many commands the learner's server has sent since the space was fresh."""
        return int(self._ask("COUNT"))

    def _ask(self, line: str) -> str:
        try:
            connection = connect(self._url)
            try:
                return connection.ask(line)
            finally:
                connection.close()
        except (OSError, Refused) as error:
            raise ServiceLost("box", str(error)) from error


reader = Box
