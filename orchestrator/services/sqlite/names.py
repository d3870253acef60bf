"""Names in checks that use SQLite: tables and columns, in whatever is given to the fixture or to a connection."""

from __future__ import annotations

from orchestrator.services.parts import Names, Takes

_SQL = (Takes("sql", 0, "query"),)

NAMES = Names(
    methods={**dict.fromkeys(("rows", "one", "value", "plant", "refused"), _SQL),
             "make": (Takes("sql", 0, "script"),)},
    anywhere={"execute": _SQL, "executemany": _SQL},
    dialect="sqlite",
    schemas=("main",),
    reserved=("sqlite_*", "pragma_*", "rowid", "_rowid_", "oid", "current_*"),
    reasons={
        "schema-missing-file": "there is no file at SQLITE_PATH",
        "schema-not-a-database": "the file is not an SQLite database",
        "schema-damaged": "the file is damaged",
        "schema-missing-table": "the file has no such table",
        "schema-missing-column": "the file has no such column",
        "schema-wrong-type": "a table is a view, or a column has another type",
        "schema-plant-refused": "the file's rules refused a row of another program",
        "schema-locked": "a lock on the file was not let go",
    },
)
