"""MySQL turned against a right server, for proofs: what it has written is gone again.

Works with the learner's own rights, from beside the server: checks must notice it from the rows alone. No trigger of
MySQL's can leave out a row without an error, so the rows are removed after each write.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

GONE = "every row of {} is gone after a write"
_WRITE = re.compile(r"\b(?:INSERT(?:\s+IGNORE)?\s+INTO|REPLACE\s+INTO|UPDATE)\s+`?([a-z_][a-z0-9_]*)`?", re.IGNORECASE)
_WORDS = re.compile(GONE.format(r"(\w+)"))


def possible(statements: Iterable[str]) -> list[str]:
    """What can be spoilt for a server that sends these statements."""
    return sorted({GONE.format(name.lower()) for statement in statements for name in _WRITE.findall(statement)})


def begin(environ: Mapping[str, str], what: str) -> None:  # noqa: ARG001 - the form that every service's has
    """Nothing yet: each write is spoilt when it was made."""
    _table(what)


def after_write(environ: Mapping[str, str], what: str) -> None:
    """Spoil it. ``environ`` is the server's; its tables are there. ``what`` is one of ``possible``."""
    import pymysql

    table = _table(what)
    # What cannot be reached has nothing to spoil.
    try:
        with pymysql.connect(
                host=environ["MYSQL_HOST"], port=int(environ["MYSQL_TCP_PORT"]), user=environ["MYSQL_USER"],
                password=environ["MYSQL_PWD"], database=environ["MYSQL_DATABASE"], autocommit=True, connect_timeout=3,
                read_timeout=5) as connection, connection.cursor() as cursor:
            cursor.execute("SET SESSION foreign_key_checks = 0, SESSION innodb_lock_wait_timeout = 2")
            cursor.execute(f"DELETE FROM `{table}`")  # noqa: S608 - a word of letters, by _WORDS
    except pymysql.err.OperationalError:
        pass


def _table(what: str) -> str:
    match = _WORDS.fullmatch(what)
    if match is None:
        raise ValueError(f"not a sabotage of MySQL: {what}")
    return match[1]
