"""Connections of a recipe to a server of MySQL's kind, its greeting, and its errors as ours.

Nothing is encrypted: the server is on this machine, and `labs` shows what is asked of it. MySQL takes a password over
such a connection by its own public key, once for each user; then it remembers that user for as long as it runs.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from orchestrator.errors import EnvironmentFault
from orchestrator.model import Credentials, Dead, Endpoint, NotYet, Probe, Ready

if TYPE_CHECKING:
    from pymysql.connections import Connection

MYSQL = "MySQL"
"""The title of whoever says no other."""
ADMIN_DATABASE = "mysql"
ADMIN_SECONDS = 10.0
ACCESS_DENIED, DISK_FULL = 1045, frozenset({1021, 1114, 3})
_ABOUT_CONNECTIONS = range(2000, 2100)
_GONE = frozenset({0, 1040, 1047, 1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 3169, 4031})
"""Too many connections, a node without most of the others, shutting down, killed, cut off."""


@contextmanager
def connected(endpoint: Endpoint, user: str, secret: str, database: str | None, seconds: float,
              **more: Any) -> Iterator[Connection[Any]]:
    """An autocommit connection; ``pymysql``'s errors as they are. No single answer takes longer than ``seconds``."""
    import pymysql

    connection = pymysql.connect(
        host=endpoint.host, port=endpoint.port, user=user, password=secret, database=database, charset="utf8mb4",
        autocommit=True, connect_timeout=seconds, read_timeout=seconds, write_timeout=seconds, program_name="labs",
        ssl_disabled=True, **more)
    try:
        yield connection
    finally:
        if connection.open:
            with suppress(pymysql.err.MySQLError):  # the server may have ended it
                connection.close()


@contextmanager
def admin(endpoint: Endpoint, credentials: Credentials, seconds: float = ADMIN_SECONDS, *,
          title: str = MYSQL) -> Iterator[Connection[Any]]:
    """The administrator's, to its own database: it never reads or writes a table of the learner's.

    ``ConnectionError`` if the service is down or does not answer, ``EnvironmentFault`` if it refuses.
    """
    login = (credentials.admin_user, credentials.admin_password, ADMIN_DATABASE)
    with judged(endpoint, title), connected(endpoint, *login, seconds) as connection:
        yield connection


@contextmanager
def judged(endpoint: Endpoint, title: str = MYSQL) -> Iterator[None]:
    """``pymysql``'s errors as ours. ``title``: the service's, for people."""
    from pymysql.err import MySQLError

    try:
        yield
    except MySQLError as error:
        number, said = number_of(error), brief(error)
        if number in _ABOUT_CONNECTIONS or number in _GONE:
            raise ConnectionError(f"{title} at {endpoint}: {said}") from error
        raise EnvironmentFault(f"{title} refused what labs asked of it: {said}",
                               code="disk-full" if number in DISK_FULL else "service-refused",
                               hint=f"labs logs {title.lower()}") from error
    except OSError as error:
        raise ConnectionError(f"{title} at {endpoint}: {error}") from error


def number_of(error: Exception) -> int:
    """MySQL's number of an error; 0 for one without."""
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def brief(error: Exception) -> str:
    """The message, without the number in front of it."""
    return str(error.args[1] if len(error.args) > 1 else error).strip() or type(error).__name__


def rows(connection: Connection[Any], statement: str, values: Any = None) -> list[tuple[Any, ...]]:
    """Carry out one statement: its rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def greeted(endpoint: Endpoint, seconds: float) -> str:
    """The version in the greeting, before any login. ``OSError`` where nobody greets.

    A connection is taken early, by the engine's proxy or by a server that is still starting; the greeting comes when it
    is ready, and costs it far less than a login.
    """
    with socket.create_connection((endpoint.host, endpoint.port), timeout=seconds) as connection:
        connection.settimeout(seconds)
        data = b""
        while b"\0" not in data[5:]:
            part = connection.recv(256)
            if not part:
                raise ConnectionError("it takes connections and closes them at once")
            data += part
            if len(data) > 4096:
                raise ConnectionError("it does not greet as MySQL does")
    if data[4] == 0xFF:
        raise ConnectionError(data[7:].decode(errors="replace").strip("\0"))
    if data[4] != 10:
        raise ConnectionError("it does not greet as MySQL does")
    return data[5:data.index(b"\0", 5)].decode(errors="replace")


def let_in(endpoint: Endpoint, credentials: Credentials, seconds: float,
           look: Callable[[Connection[Any]], Probe] = lambda _: Ready()) -> Probe:
    """Whether the administrator gets in; then what ``look`` says."""
    from pymysql.err import MySQLError

    try:
        greeted(endpoint, seconds / 2)
        login = (credentials.admin_user, credentials.admin_password, None)
        with connected(endpoint, *login, seconds / 2) as connection:
            return look(connection)
    except OSError as error:
        return NotYet(str(error) or type(error).__name__)
    except MySQLError as error:
        if number_of(error) == ACCESS_DENIED:
            return Dead(f"it refuses the password that labs gave it: {brief(error)}")
        return NotYet(brief(error))


def url(endpoint: Endpoint, user: str, secret: str, database: str) -> str:
    """An address as most clients read it."""
    return f"mysql://{user}:{secret}@{endpoint}/{database}"


VARIABLES: Mapping[str, str] = {
    "MYSQL_PWD": "password", "MYSQL_HOST": "host", "MYSQL_TCP_PORT": "port", "MYSQL_UNIX_PORT": "socket",
    "MYSQL_TEST_LOGIN_FILE": "logins", "MYSQL_HOME": "settings", "MYSQL_GROUP_SUFFIX": "settings",
    "MARIADB_HOME": "settings",
}
"""What MySQL's own clients read from the environment, and what each says. A person may have set it for another."""
