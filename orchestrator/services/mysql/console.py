"""``labs connect`` for MySQL: its own client where it is installed, else statements through the driver."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.model import Credentials, Endpoint
from orchestrator.services.clients import ClientProgram, client_programs, table
from orchestrator.services.mysql.clients import ADMIN_SECONDS, brief, connected, judged, number_of

_OWN_COMMANDS = ("\\", "source ", "system ", "delimiter ", "pager ", "tee ")


def programs(words: Sequence[str], secret: str, statement: str | None) -> list[ClientProgram]:
    """``mysql`` with these words. MariaDB's, which has the same name, is left out: its options are others."""
    own = [program for program in client_programs(("mysql",), None) if "maria" not in Path(program).resolve().name]
    # By the server's public key: nothing is encrypted on this machine.
    told = ("--no-defaults", "--protocol=TCP", "--get-server-public-key", *words)
    ends = () if statement is None else ("--table", "--execute", statement)
    return [ClientProgram((program, *told, *ends), {"MYSQL_PWD": secret}) for program in own]


def run(endpoint: Endpoint, credentials: Credentials, statement: str) -> str:
    """One or more statements as the learner; the answers as text. ``UsageError`` for what MySQL refuses."""
    from pymysql.constants import CLIENT
    from pymysql.err import MySQLError

    if statement.lstrip().lower().startswith(_OWN_COMMANDS):
        raise UsageError("this is a command of the program mysql, not of MySQL", code="statement-refused",
                         hint="labs connect mysql")
    login = (credentials.user, credentials.password, credentials.database)
    # Without converters values stay as MySQL writes them.
    more: dict[str, Any] = {"conv": {}, "client_flag": CLIENT.MULTI_STATEMENTS}
    with judged(endpoint), connected(endpoint, *login, ADMIN_SECONDS, **more) as connection:
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                answers = [_as_text(cursor)]
                while cursor.nextset():
                    answers.append(_as_text(cursor))
        except MySQLError as error:
            if 2000 <= number_of(error) < 2100:
                raise
            raise UsageError(f"MySQL refused this: {brief(error)}", code="statement-refused") from error
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
