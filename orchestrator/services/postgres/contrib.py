"""Whether a PostgreSQL on PATH has its contrib modules: some distributions package them apart from the server."""

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
