"""``labs connect`` for a server of MySQL's kind: statements through the driver, and what its answers look like."""

from __future__ import annotations

from typing import Any

from orchestrator.errors import UsageError
from orchestrator.model import Credentials, Endpoint
from orchestrator.services.clients import table
from orchestrator.services.mysql_kin.clients import ADMIN_SECONDS, MYSQL, brief, connected, judged, number_of

_OWN_COMMANDS = ("\\", "source ", "system ", "delimiter ", "pager ", "tee ")


def run(endpoint: Endpoint, credentials: Credentials, statement: str, title: str = MYSQL) -> str:
    """One or more statements as the learner; the answers as text. ``UsageError`` for what ``title`` refuses."""
    from pymysql.constants import CLIENT
    from pymysql.err import MySQLError

    if statement.lstrip().lower().startswith(_OWN_COMMANDS):
        raise UsageError(f"this is a command of the client program, not of {title}", code="statement-refused",
                         hint=f"labs connect {title.lower()}")
    login = (credentials.user, credentials.password, credentials.database)
    # Without converters values stay as the server writes them.
    more: dict[str, Any] = {"conv": {}, "client_flag": CLIENT.MULTI_STATEMENTS}
    with judged(endpoint, title), connected(endpoint, *login, ADMIN_SECONDS, **more) as connection:
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                answers = [_as_text(cursor)]
                while cursor.nextset():
                    answers.append(_as_text(cursor))
        except MySQLError as error:
            if 2000 <= number_of(error) < 2100:
                raise
            raise UsageError(f"{title} refused this: {brief(error)}", code="statement-refused") from error
    return "\n".join(answers)


def _as_text(cursor: Any) -> str:
    """One statement's answer."""
    if cursor.description is None:
        return f"OK, {'1 row' if cursor.rowcount == 1 else f'{cursor.rowcount} rows'} affected"
    return table([column[0] for column in cursor.description], [[_shown(value) for value in row] for row in cursor])


def _shown(value: Any) -> Any:
    """Text as it is, NULL as NULL, and bytes that are no text as MySQL's own client shows them."""
    if value is None:
        return "NULL"
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return f"0x{value.hex().upper()}"
