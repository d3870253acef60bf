"""PostgreSQL's contrib modules: whether a server on PATH has them, and which ones the wheel's has not.

Some distributions package them apart from the server. The wheel is built without OpenSSL and libxml.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def has_contrib(programs: Mapping[str, Path], ask: Callable[[Sequence[str]], str]) -> bool:
    """Whether ``pg_stat_statements`` is there, from which checks count statements. Where that cannot be seen: yes.

    ``ask`` runs a program as the service's user and gives what it prints.
    """
    # Only initdb says where its own files are; pg_config comes with yet another package.
    said = ask((str(programs["initdb"]), "--show", "--pgdata", "/none"))
    share = re.search(r"^share_path=(.+)$", said, re.MULTILINE)
    return share is None or (Path(share[1]) / "extension" / "pg_stat_statements.control").is_file()


LACKING = re.compile(r'extension \\?"(pgcrypto|uuid-ossp|sslinfo|xml2)\\?" is not available')
"""PostgreSQL's words, as drivers print them, also inside a text in quotes; only for what the Docker image has."""
UUIDS = ("pgcrypto", "uuid-ossp")
"""Extensions that most servers want for a random UUID only, which PostgreSQL 13 and later makes by itself."""


def lacking(log: str) -> tuple[str, str] | None:
    """What a learner's server wanted of this PostgreSQL in vain, by what it printed, and what helps."""
    found = LACKING.search(log)
    if found is None:
        return None
    name, docker = found[1], "Docker's PostgreSQL has it: labs check --engine docker"
    own = "gen_random_uuid() needs no extension: leave CREATE EXTENSION out; or " if name in UUIDS else ""
    return f"your server asked for the extension {name}, which PostgreSQL has only with Docker here", own + docker
