"""The box turned against a right server, for proofs: what is put in does not stay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from toy_box.wire import Refused, connect

GONE = "every key is gone after a write"


def possible(commands: Iterable[str]) -> list[str]:
    """What can be spoilt for a server that sends these commands."""
    return [GONE] if list(commands) else []


def begin(environ: Mapping[str, str], what: str) -> None:
    """Nothing: it is done again after every write."""


def after_write(environ: Mapping[str, str], what: str) -> None:
    """Spoil it, with the learner's own rights."""
    try:
        connection = connect(environ["BOX_URL"])
        for key in connection.ask("KEYS").split():
            connection.ask(f"DEL {key}")
        connection.close()
    except (OSError, Refused):
        pass  # what cannot be reached has nothing to spoil
