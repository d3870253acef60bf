"""What MongoDB itself shows: documents, indexes, validators, operations with their plans, counters, sessions.

Documents are read and planted by the *checker*, a user with the learner's role under a login of its own (see
``mongodb.space``): nothing it does is recorded as the learner's. All else is read by the administrator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from pymongo import errors
from pymongo.database import Database

from orchestrator.checks.errors import SchemaWrong, ServiceLost
from orchestrator.services.mongodb.evidence import counters, moments, operations
from orchestrator.services.mongodb.evidence.connections import (
    SECONDS,
    TIME_OVER,
    Document,
    Logins,
    brief,
    lost,
)

_NO_COLLECTION, _IS_A_VIEW = 26, 166
_CONFLICT = 112
_SYNTAX = frozenset({2, 9, 40, 59, 72, 168, 40324})
"""What a mistake in a check's own query or update looks like: never the learner's fault."""
AWAY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Index:
    """An index as MongoDB has it. ``keys``: fields in order, with 1, -1, ``text``, ``2dsphere``, ``hashed``.

    ``expire_after``: seconds after which documents go; ``partial``: the filter of those that are in it.
    """

    name: str
    keys: tuple[tuple[str, int | str], ...]
    unique: bool = False
    sparse: bool = False
    partial: Mapping[str, Any] | None = None
    expire_after: int | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields alone, in order: what a query must begin with to use it."""
        return tuple(name for name, _ in self.keys)


@dataclass(frozen=True, slots=True)
class MongodbSession:
    """One connection of the learner's server that has logged in. ``driver`` and ``application`` are its own words."""

    id: int
    application: str
    driver: str
    active: bool


class Mongodb:
    """The fixture ``mongodb`` of checks, from what ``Recipe.admin`` gives. See ``docs/checks-api.md``."""

    def __init__(self, admin: Mapping[str, str]) -> None:
        self._links = Logins(admin)

    def close(self) -> None:
        """Let go of all connections."""
        self._links.close()

    # --- documents -------------------------------------------------------------------------------------------------

    def find(self, collection: str, query: Mapping[str, Any] | None = None, *, fields: Sequence[str] | None = None,
             sort: Sequence[tuple[str, int]] = (), limit: int = 0) -> list[Document]:
        """All documents that match; those of a collection that is not there are none. ``fields``: only these."""
        projection = None if fields is None else {"_id": 0} | dict.fromkeys(fields, 1)
        with self._judged(reading=collection):
            found = self._links.checker[collection].find(query or {}, projection, sort=list(sort) or None, limit=limit)
            return list(found)

    def one(self, collection: str, query: Mapping[str, Any]) -> Document:
        """The only document; ``LookupError`` if there is none or more than one: ask ``find`` where that may be."""
        found = self.find(collection, query, limit=2)
        if len(found) != 1:
            raise LookupError(f"{len(found)} documents where one was asked for: {collection} {query}")
        return found[0]

    def count(self, collection: str, query: Mapping[str, Any] | None = None) -> int:
        """How many documents match."""
        with self._judged(reading=collection):
            return self._links.checker[collection].count_documents(query or {})

    def aggregate(self, collection: str, pipeline: Sequence[Mapping[str, Any]]) -> list[Document]:
        """The answer to a pipeline."""
        with self._judged(reading=collection):
            return list(self._links.checker[collection].aggregate(list(pipeline)))

    def types(self, collection: str, field: str) -> dict[str, int]:
        """How many documents have the field with which BSON type (``int``, ``string``, ``date``, ``missing``, ...)."""
        stages = [{"$group": {"_id": {"$type": f"${field}"}, "n": {"$sum": 1}}}]
        return {str(row["_id"]): int(row["n"]) for row in self.aggregate(collection, stages)}

    def plant(self, collection: str, *documents: Mapping[str, Any]) -> list[Any]:
        """Insert with the learner's rights; their ids. Refused: ``SchemaWrong("schema-plant-refused")``."""
        with self._judged(planting=collection):
            return self._links.checker[collection].insert_many([dict(one) for one in documents]).inserted_ids

    def change(self, collection: str, query: Mapping[str, Any], update: Mapping[str, Any]) -> int:
        """Update all that match with the learner's rights; how many matched. Refused: as ``plant``."""
        with self._judged(planting=collection):
            return self._links.checker[collection].update_many(query, update).matched_count

    def delete(self, collection: str, query: Mapping[str, Any]) -> int:
        """Remove all that match; how many."""
        with self._judged(planting=collection):
            return self._links.checker[collection].delete_many(query).deleted_count

    def refused(self, collection: str, document: Mapping[str, Any]) -> int | None:
        """Try to insert with the learner's rights and undo it: the error's code, or ``None`` if it was accepted.

        11000: an index is unique; 121: a validator refused it.
        """
        with self._judged(planting=collection), self._links.checker.client.start_session() as session:
            session.start_transaction()
            try:
                self._links.checker[collection].insert_one(dict(document), session=session)
            except errors.WriteError as error:
                return error.code
            finally:
                session.abort_transaction()
        return None

    # --- the schema, where there is one ----------------------------------------------------------------------------

    def collections(self) -> list[str]:
        """The learner's collections, views among them."""
        with self._judged():
            found = self._links.checker.list_collection_names()
        return sorted(name for name in found if not name.startswith("system."))

    def indexes(self, collection: str) -> list[Index]:
        """Its indexes, that of ``_id`` among them; without it ``SchemaWrong("schema-missing-collection")``."""
        with self._judged():
            found = list(self._links.checker[collection].list_indexes())
        if not found and collection not in self.collections():
            raise _missing(collection)
        return [index_of(one) for one in found]

    def validator(self, collection: str) -> Document | None:
        """What its documents must be like, ``None`` if nothing is asked of them; without the collection as above."""
        with self._judged():
            found = next(iter(self._links.checker.list_collections(filter={"name": collection})), None)
        if found is None:
            raise _missing(collection)
        validator: Document | None = found.get("options", {}).get("validator")
        return validator or None

    # --- what the server did ---------------------------------------------------------------------------------------

    def operations(self) -> AbstractContextManager[operations.Operations]:
        """What the learner's server sent while the block runs, each with its plan. Filled when the block ends."""
        return operations.recorded(self._links)

    def counters(self) -> AbstractContextManager[counters.Counters]:
        """MongoDB's own counts of all clients but the checker while the block runs. Filled when the block ends."""
        return counters.counted(self._links)

    def sessions(self) -> list[MongodbSession]:
        """The connections of the learner's user now. What drivers open to watch the server does not log in."""
        learner = {"user": self._links.user, "db": self._links.database}
        found = self._current({"idleConnections": True, "idleSessions": False},
                              {"effectiveUsers": learner, "connectionId": {"$exists": True}})
        return [MongodbSession(int(one["connectionId"]), str(one.get("appName", "")),
                        str(one.get("clientMetadata", {}).get("driver", {}).get("name", "")), bool(one["active"]))
                for one in sorted(found, key=lambda one: int(one["connectionId"]))]

    def open_transactions(self) -> int:
        """Transactions of the learner's that have neither been committed nor aborted."""
        mine = moments.under_way(self._links.user, self._links.database)
        return len(self._current({"idleSessions": True}, mine))

    def waiting(self) -> bool:
        """Whether somebody waits for what an open transaction holds, or is refused for it and tries again."""
        with lost():
            return moments.waits(self._links)

    def written(self) -> str:
        """Another value whenever something was written, in a transaction that is still open, too."""
        with lost():
            return moments.written(self._links)

    # --- more ------------------------------------------------------------------------------------------------------

    def admin(self, command: str | dict[str, Any], value: Any = 1, **more: Any) -> Document:
        """Run a command in the learner's database as the administrator; its answer."""
        with self._judged():
            return self._links.admin[self._links.database].command(command, value, **more)

    @contextmanager
    def as_learner(self) -> Iterator[Database[Document]]:
        """The learner's database through a client of its own, with the learner's rights. Not among its sessions."""
        with self._judged(), self._links.another_checker() as database:
            yield database

    @contextmanager
    def without_primary(self) -> Iterator[None]:
        """The only member steps down, as in an election: it refuses writes until the block ends, and keeps its data."""
        with lost():
            self._links.admin.admin.command(
                {"replSetStepDown": AWAY_SECONDS, "secondaryCatchUpPeriodSecs": 0, "force": True})
        try:
            yield
        finally:
            with lost():
                self._links.admin.admin.command("replSetFreeze", 0)
                while not self._links.admin.admin.command("hello").get("isWritablePrimary"):
                    pass

    def _current(self, options: Document, match: Document) -> list[Document]:
        """What MongoDB has going on, of all users."""
        stages: list[Document] = [{"$currentOp": {"allUsers": True, **options}}, {"$match": match}]
        with lost():
            return list(self._links.admin.admin.aggregate(stages))

    def _is_view(self, collection: str) -> bool:
        options = {"name": collection, "type": "view"}
        return bool(list(self._links.checker.list_collections(filter=options)))

    @contextmanager
    def _judged(self, planting: str | None = None, reading: str | None = None) -> Iterator[None]:
        """Whose fault an error of MongoDB's is: the schema's, the service's, or (as it is) the check's own.

        What is read must be a collection: a view may show less than the server reads from what is behind it.
        """
        try:
            with lost():
                try:
                    if reading is not None and self._is_view(reading):
                        raise SchemaWrong("schema-wrong-type", f"what {reading} is in MongoDB", "a collection",
                                          "a view")
                    yield
                except errors.PyMongoError as error:
                    wrong = schema_fault(error, planting)
                    if wrong is None:
                        raise
                    raise wrong from error
        except ServiceLost as gone:
            late = isinstance(gone.__cause__, errors.PyMongoError) and gone.__cause__.timeout
            if planting is None or not late or not self.open_transactions():
                raise
            raise _locked(planting) from gone


def index_of(found: Mapping[str, Any]) -> Index:
    """An index from what ``listIndexes`` says of it. Numbers that stand for directions may be of any type."""
    keys = tuple((name, value if isinstance(value, str) else int(value)) for name, value in found["key"].items())
    if "weights" in found:
        # A text index stores its fields under names of its own.
        keys = tuple(one for one in keys if one[0] not in ("_fts", "_ftsx"))
        keys += tuple((name, "text") for name in found["weights"])
    expire = found.get("expireAfterSeconds")
    return Index(str(found["name"]), keys, bool(found.get("unique", False)), bool(found.get("sparse", False)),
                 found.get("partialFilterExpression"), None if expire is None else int(expire))


def schema_fault(error: errors.PyMongoError, planting: str | None) -> SchemaWrong | None:
    """The learner's part in a refusal; ``None`` where there is none. ``planting``: the collection written to."""
    details = error.details if isinstance(error, errors.OperationFailure) else None
    first = ((details or {}).get("writeErrors") or [{}])[0]
    code = first.get("code", getattr(error, "code", None))
    message = str(first.get("errmsg", "") or brief(error))
    if code == _NO_COLLECTION:
        return SchemaWrong("schema-missing-collection", "the collections in MongoDB", "it is there", message)
    if code == _IS_A_VIEW:
        return SchemaWrong("schema-wrong-type", f"what {planting or 'a name'} is in MongoDB", "a collection", "a view")
    if planting is None or code is None or code in _SYNTAX:
        return None
    if code in (TIME_OVER, _CONFLICT):
        return _locked(planting)
    if isinstance(error, errors.WriteError | errors.BulkWriteError):
        rules = (first.get("errInfo") or (details or {}).get("errInfo") or {}).get("details")
        return SchemaWrong("schema-plant-refused", f"whether MongoDB takes a document of another client in {planting}",
                           "the document is taken", f"{message}{f' ({rules})' if rules else ''} [{code}]")
    return None


def _locked(collection: str) -> SchemaWrong:
    return SchemaWrong("schema-locked", f"the collection {collection} in MongoDB, as another client",
                       f"an answer within {SECONDS:.0f} s",
                       "a transaction holds on to a document and does not end: was it neither committed nor aborted?")


def _missing(collection: str) -> SchemaWrong:
    return SchemaWrong("schema-missing-collection", "the collections in MongoDB", f"{collection} is there", "it is not")
