"""MySQL's own client program, for ``labs connect``, where it is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.services.clients import ClientProgram, client_programs


def programs(words: Sequence[str], secret: str, statement: str | None) -> list[ClientProgram]:
    """``mysql`` with these words. MariaDB's, which has the same name, is left out: its options are others."""
    own = [program for program in client_programs(("mysql",), None) if "maria" not in Path(program).resolve().name]
    # By the server's public key: nothing is encrypted on this machine.
    told = ("--no-defaults", "--protocol=TCP", "--get-server-public-key", *words)
    ends = () if statement is None else ("--table", "--execute", statement)
    return [ClientProgram((program, *told, *ends), {"MYSQL_PWD": secret}) for program in own]
