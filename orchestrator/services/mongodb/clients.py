"""Connections of the recipe to MongoDB: one server, no discovery, and its errors as ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orchestrator.errors import EnvironmentFault
from orchestrator.model import Credentials, Endpoint
from orchestrator.services.mongodb.settings import key_of

if TYPE_CHECKING:
    from pymongo import MongoClient

ADMIN_SECONDS = 10.0
ADMIN_DATABASE = "admin"
SYSTEM = ("__system", "local")
"""The server's own user, whose password is the text of the key file; it is there before any other."""
AUTHENTICATION_FAILED, DISK_FULL = 18, 14031


@contextmanager
def connected(endpoint: Endpoint, user: str, secret: str, database: str, seconds: float) -> Iterator[MongoClient[Any]]:
    """A client that has logged in; ``pymongo``'s errors as they are. Every step ends within ``seconds``."""
    from pymongo import MongoClient

    limit = round(seconds * 1000)
    client: MongoClient[Any] = MongoClient(
        endpoint.host, endpoint.port, username=user, password=secret, authSource=database,
        authMechanism="SCRAM-SHA-256", directConnection=True, serverSelectionTimeoutMS=limit, connectTimeoutMS=limit,
        socketTimeoutMS=limit,
        maxPoolSize=1, retryReads=False, retryWrites=False, appname="labs")
    try:
        client.admin.command("ping")  # logs in, which a client otherwise does at its first use
        yield client
    finally:
        client.close()


@contextmanager
def admin(endpoint: Endpoint, credentials: Credentials, seconds: float = ADMIN_SECONDS) -> Iterator[MongoClient[Any]]:
    """By the key, else as the administrator (a server that somebody else started has another key).

    ``ConnectionError`` if the service is down or does not answer, ``EnvironmentFault`` if it refuses.
    """
    from pymongo import errors

    with judged(endpoint):
        try:
            logged_in = connected(endpoint, SYSTEM[0], key_of(credentials), SYSTEM[1], seconds)
            client = logged_in.__enter__()
        except errors.OperationFailure as error:
            if error.code != AUTHENTICATION_FAILED:
                raise
            logged_in = connected(endpoint, credentials.admin_user, credentials.admin_password, ADMIN_DATABASE, seconds)
            client = logged_in.__enter__()
        try:
            yield client
        finally:
            client.close()


@contextmanager
def judged(endpoint: Endpoint) -> Iterator[None]:
    """``pymongo``'s errors as ours."""
    from pymongo import errors

    try:
        yield
    except errors.ConnectionFailure as error:
        raise ConnectionError(f"MongoDB at {endpoint}: {error}") from error
    except errors.PyMongoError as error:
        full = isinstance(error, errors.OperationFailure) and error.code == DISK_FULL
        raise EnvironmentFault(f"MongoDB refused what labs asked of it: {brief(error)}",
                               code="disk-full" if full else "service-refused", hint="labs logs mongodb") from error


def brief(error: Exception) -> str:
    """The message without the server's whole answer, which ``pymongo`` appends, and without what drivers add."""
    wrong = (getattr(error, "details", None) or {}).get("writeErrors")
    if wrong:
        return str(wrong[0].get("errmsg", ""))
    return re.sub(r", lsid: \{ id: UUID.* \}$", " }", str(error).split(", full error:")[0])
