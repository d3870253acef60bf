"""Whose fault an error of MySQL's is: the schema's, the service's, or (as it is) the check's own."""

from __future__ import annotations

import pymysql

from orchestrator.checks.errors import SchemaWrong
from orchestrator.services.mysql.evidence.connections import message_of, number_of

NO_TABLE, NO_COLUMN = frozenset({1146, 1051}), frozenset({1054})
LOCKED = frozenset({1205, 3572})
WRONG_TYPE = frozenset({1264, 1265, 1292, 1366, 1411, 3140})
"""Too large, cut, no time, no number or no letter that the column can hold, no JSON."""
CONSTRAINTS = frozenset({1048, 1062, 1216, 1217, 1364, 1369, 1406, 1451, 1452, 1644, 3819})
"""NULL, a value that is there already, a foreign key, no default, a view's condition, too long, SIGNAL, CHECK."""
REFUSALS = CONSTRAINTS | WRONG_TYPE
DEADLOCK, NOT_TAKEN_BACK = 1213, 1196
_SIGNALLED = "45"
"""How the SQLSTATE begins that a trigger gives itself; the number can be any then."""
_OF_TRIGGERS = frozenset({1442, 3105})
"""A trigger that changes its own table; a column that MySQL computes."""


def refuses(number: int, state: str) -> bool:
    """Whether an error says that a row is not taken as it is."""
    return number in REFUSALS or state.startswith(_SIGNALLED)


def schema_fault(error: pymysql.Error, state: str, planting: str | None) -> SchemaWrong | None:
    """What of the learner's schema an error tells; ``None`` where it is no matter of the schema.

    ``state``: its SQLSTATE, where it is known. ``planting``: the statement that writes for the checker, if one does.
    """
    number, message = number_of(error), message_of(error)
    if number in NO_TABLE:
        return SchemaWrong("schema-missing-table", "the tables in MySQL", "the table is there", message)
    if number in NO_COLUMN:
        return SchemaWrong("schema-missing-column", "the columns in MySQL", "the column is there", message)
    if number in LOCKED:
        return SchemaWrong("schema-locked", "a table in MySQL, as another client", "an answer within 5 s",
                           "a session holds a lock on it and does not let go: is a transaction left open?")
    if number in WRONG_TYPE:
        return SchemaWrong("schema-wrong-type", "the types of the columns in MySQL", "as in storage.md", message)
    if planting is not None and (refuses(number, state) or number in _OF_TRIGGERS):
        return SchemaWrong("schema-plant-refused", f"whether MySQL takes a row from another client: {planting}",
                           "the row is taken", message)
    return None
