"""Names in checks that use PostgreSQL: tables and columns, in whatever is given to the fixture or to a connection."""

from __future__ import annotations

from orchestrator.services.parts import Forbidden, Names, Takes

_SQL = (Takes("sql", 0, "query"),)

NAMES = Names(
    methods={**dict.fromkeys(("rows", "one", "value", "plant", "plant_many", "refused", "admin"), _SQL),
             "insert": (Takes("collection", 0), Takes("document", 1))},
    anywhere={"execute": _SQL, "executemany": _SQL},
    dialect="postgres",
    schemas=("public",),
    # The columns that each table has, and words that stand alone as functions do.
    reserved=("pg_*", "ctid", "tableoid", "xmin", "xmax", "cmin", "cmax", "current_*", "localtime", "localtimestamp",
              "session_user", "system_user", "user"),
    hands=(
        Forbidden("admin", r"\b(from|into|update|join|only|vacuum|analyze|truncate|table|copy|call)\s+\"?public\b"
                           r"|\bpublic\"?\.\"?\w+\"?\s*\(", "hands-touch",
                  "touches what is the learner's, whose code (defaults, triggers, functions) would run in its session",
                  "plant, plant_many, tidy and rows do it with the learner's own rights"),
        Forbidden("admin", r"\bor\s+replace\b|\bif\s+not\s+exists\b", "hands-take-over",
                  "takes what may be there already for its own: the learner may have made it",
                  "CREATE it in a schema whose name is fresh, so that nobody can have made it before"),
    ),
    reasons={
        "schema-missing-table": "PostgreSQL has no such table",
        "schema-missing-column": "PostgreSQL has no such column",
        "schema-wrong-type": "a column has another type",
        "schema-plant-refused": "PostgreSQL refused a row of another client",
        "schema-locked": "a lock on a table was not let go",
    },
)
