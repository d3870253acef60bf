"""Names in checks that use MySQL: tables and columns, in whatever is given to the fixture or to a connection."""

from __future__ import annotations

from orchestrator.services.parts import Forbidden, Names, Takes

_SQL = (Takes("sql", 0, "query"),)

NAMES = Names(
    methods=dict.fromkeys(("rows", "one", "value", "plant", "refused", "admin"), _SQL)
    | {"insert": (Takes("collection", 0), Takes("document", 1))},
    anywhere={"execute": _SQL, "executemany": _SQL},
    dialect="mysql",
    schemas=("app",),
    # Words that stand alone as functions do.
    reserved=("_rowid", "current_*", "localtime", "localtimestamp", "utc_date", "utc_time", "utc_timestamp"),
    hands=(
        Forbidden("admin", r"`?\bapp\b`?\s*\.", "hands-touch",
                  "touches what is the learner's, whose code (triggers, views) would run in its session",
                  "plant, insert and rows do it with the learner's own rights"),
        Forbidden("admin", r"\bset\s+(?:global|persist|persist_only)\b|@@(?:global|persist|persist_only)\.",
                  "hands-settings", "changes a setting of the server's, which stays for whoever comes next",
                  "SET SESSION in a connection of the check's own"),
    ),
    reasons={
        "schema-missing-table": "MySQL has no such table",
        "schema-missing-column": "MySQL has no such column",
        "schema-wrong-type": "a column has another type",
        "schema-plant-refused": "MySQL refused a row of another client",
        "schema-locked": "a lock on a table was not let go",
        "schema-not-taken-back": "a table's engine knows no transactions",
    },
)
