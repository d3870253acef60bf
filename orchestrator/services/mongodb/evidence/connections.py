"""The checker's own connections to MongoDB: opened when needed, found again after an outage, all they send counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pymongo
from pymongo import MongoClient, errors, monitoring

from orchestrator.checks.errors import ServiceLost

Document = dict[str, Any]
Client = MongoClient[Document]

APPLICATION = "labs checks"
SECONDS = 5.0
"""That an answer may take. A write waits as long for a document that a transaction of the learner's holds."""
TIME_OVER = 50

_STATEMENTS = {"insert": "documents", "update": "updates", "delete": "deletes"}


class Ledger(monitoring.CommandListener):
    """What the checker's own clients sent, as MongoDB counts it: commands, and operations of each kind.

    An ``insert`` is as many operations as documents were tried, which the answer tells: after an error MongoDB tries no
    more, unless it was told to.
    """

    def __init__(self) -> None:
        self.commands: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.operations: Counter[str] = Counter()
        self._sent: dict[int, tuple[int, bool]] = {}

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        name = event.command_name
        self.commands[name] += 1
        if name == "getMore":
            self.operations["getmore"] += 1
        elif name in _STATEMENTS:
            self._sent[event.request_id] = (len(event.command.get(_STATEMENTS[name], ())),
                                            bool(event.command.get("ordered", True)))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        count, ordered = self._sent.pop(event.request_id, (0, True))
        wrong = event.reply.get("writeErrors", ())
        self.operations[event.command_name] += wrong[0]["index"] + 1 if wrong and ordered else count

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        self._sent.pop(event.request_id, None)
        self.failures[event.command_name] += 1


class Logins:
    """One client as the administrator and one as the checker, who has the learner's role; both write into ``books``."""

    def __init__(self, admin: Mapping[str, str]) -> None:
        self._urls = {"checker": admin["checker_url"], "admin": admin["url"]}
        self._open: dict[str, Client] = {}
        self.user = admin["user"]
        self.database = admin["database"]
        self.books = Ledger()

    def close(self) -> None:
        for client in self._open.values():
            client.close()
        self._open.clear()

    @property
    def checker(self) -> pymongo.database.Database[Document]:
        """The learner's database, with the learner's rights."""
        return self._client("checker")[self.database]

    @property
    def admin(self) -> Client:
        """Sees everything, and may do everything."""
        return self._client("admin")

    @contextmanager
    def another_checker(self) -> Iterator[pymongo.database.Database[Document]]:
        """One more checker's client, closed at the end."""
        client = self._connect("checker")
        try:
            yield client[self.database]
        finally:
            client.close()

    def _client(self, kind: str) -> Client:
        if kind not in self._open:
            self._open[kind] = self._connect(kind)
        return self._open[kind]

    def _connect(self, kind: str) -> Client:
        limit = round(SECONDS * 1000)
        return MongoClient(self._urls[kind], appname=APPLICATION, event_listeners=[self.books],
                           serverSelectionTimeoutMS=limit, connectTimeoutMS=limit, tz_aware=True)


@contextmanager
def lost() -> Iterator[None]:
    """A lost connection, a service without room or a right that is missing: never the learner's fault.

    Every step within ends after ``SECONDS`` more than the service's own limit.
    """
    try:
        with pymongo.timeout(SECONDS):
            yield
    except errors.OperationFailure as error:
        if error.code in (13, 18, 14031) or (error.code or 0) in _NOT_THERE:
            raise ServiceLost("mongodb", brief(error)) from error
        raise
    except (errors.ConnectionFailure, errors.ConfigurationError) as error:
        raise ServiceLost("mongodb", brief(error)) from error


_NOT_THERE = frozenset({91, 189, 10058, 10107, 11600, 11602, 13435, 13436})
"""It shuts down, or is not primary."""


def brief(error: Exception) -> str:
    """The message without the server's whole answer, which ``pymongo`` appends."""
    return str(error).split(", full error:")[0]
