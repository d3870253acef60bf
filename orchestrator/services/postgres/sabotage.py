"""PostgreSQL turned against a right server, for proofs: writes that are lost though nobody was told.

Works with the learner's own rights, from beside the server: checks must notice it from the rows alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

WRITE = re.compile(r"\b(INSERT)\s+INTO\s+(?:ONLY\s+)?([a-z_][a-z0-9_]*)|\b(UPDATE)\s+(?:ONLY\s+)?([a-z_][a-z0-9_]*)"
                   r"\s+SET|\b(DELETE)\s+FROM\s+(?:ONLY\s+)?([a-z_][a-z0-9_]*)", re.IGNORECASE)
WORDS = re.compile(r"(INSERT|UPDATE|DELETE) on (\w+) changes nothing")


def possible(statements: Iterable[str]) -> list[str]:
    """What can be spoilt for a server that sends these statements."""
    found: dict[str, None] = {}
    for statement in statements:
        for match in WRITE.finditer(statement):
            verb, table = [part for part in match.groups() if part]
            found[f"{verb.upper()} on {table.lower()} changes nothing"] = None
    return sorted(found)


def begin(environ: Mapping[str, str], what: str) -> None:
    """Spoil it. ``environ`` is the server's; its tables are there. ``what`` is one of ``possible``."""
    import psycopg
    from psycopg import sql

    match = WORDS.fullmatch(what)
    if match is None:
        raise ValueError(f"not a sabotage of PostgreSQL: {what}")
    verb, table = match.groups()
    # A server that starts while its database is cut off has been spoilt before.
    try:
        with psycopg.connect(environ["DATABASE_URL"], autocommit=True, connect_timeout=3) as connection:
            connection.execute("CREATE OR REPLACE FUNCTION labs_sabotage() RETURNS trigger LANGUAGE plpgsql AS "
                               "'BEGIN RETURN NULL; END'")
            connection.execute(sql.SQL("CREATE OR REPLACE TRIGGER labs_sabotage BEFORE {} ON {} FOR EACH ROW "
                                       "EXECUTE FUNCTION labs_sabotage()").format(sql.SQL(verb), sql.Identifier(table)))
    except psycopg.OperationalError:
        pass


def after_write(environ: Mapping[str, str], what: str) -> None:
    """Nothing: the trigger is there."""
