"""``labs connect`` for MongoDB: ``mongosh`` where it is installed, else a part of its language through the driver.

Understood, and nothing else (no variables, no functions; nothing is ever evaluated)::

    show collections
    db.pages.find({ slug: 'a' }, { title: 1 }).sort({ at: -1 }).skip(1).limit(3)     also .count() and .explain()
    db.pages.findOne({})   countDocuments   estimatedDocumentCount   distinct   aggregate   getIndexes
    db.pages.insertOne({})   insertMany   updateOne   updateMany   replaceOne   deleteOne   deleteMany
    db.pages.createIndex({ slug: 1 }, { unique: true })   dropIndex   drop
    db.createCollection('pages', { validator: {} })   db.getCollectionNames()   db.runCommand({})
    { collStats: 'pages' }                                                            any command
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UsageError
from orchestrator.services.clients import ClientProgram
from orchestrator.services.mongodb.clients import brief
from orchestrator.services.mongodb.literals import ShellCall, ShellStatement, parse
from orchestrator.services.mongodb.notation import shown

if TYPE_CHECKING:
    from pymongo.collection import Collection
    from pymongo.database import Database

BATCH = 20
"""Documents that are shown of a longer answer, as ``mongosh`` does."""
URL = "LABS_MONGODB_SHELL_URL"
_OPTIONS = ("expireAfterSeconds", "name", "partialFilterExpression", "sparse", "unique")
_UPDATE = ("upsert",)
_EXPLAIN = ("queryPlanner", "executionStats")


def mongosh(program: str, url: str, statement: str | None) -> ClientProgram:
    """``mongosh`` as the learner. Its arguments are seen by everybody on the machine, so the address is a variable."""
    connect = ("--eval", f"db = connect(process.env.{URL})")
    words = ("--shell",) if statement is None else ("--eval", statement)
    return ClientProgram((program, "--nodb", "--quiet", *connect, *words), {URL: url})


def run(database: Database[Any], text: str) -> str:
    """Carry out one statement; the answer as ``mongosh`` shows it. ``UsageError`` for what is refused, by us or it."""
    from pymongo import errors

    statement = parse(text)
    try:
        return "\n".join(_answer(_result(database, statement), statement))
    except (errors.OperationFailure, errors.InvalidOperation, errors.BulkWriteError) as error:
        raise UsageError(f"MongoDB refused this: {brief(error)}", code="statement-refused") from error
    except (TypeError, ValueError) as error:
        raise UsageError(f"MongoDB's driver refused this: {error}", code="statement-refused") from error


def _result(database: Database[Any], statement: ShellStatement) -> Any:
    """What the first call gives, changed by those after it."""
    first, *chain = statement.calls
    if statement.collection is None:
        return _on_database(database, first)
    if first.name == "find":
        return _find(database[statement.collection], first, chain)
    if chain:
        raise _unknown(f"{chain[0].name} after {first.name}")
    return _on_collection(database, database[statement.collection], first)


def _on_database(database: Database[Any], call: ShellCall) -> Any:
    match call.name:
        case "runCommand":
            return database.command(call.document(0))
        case "getCollectionNames":
            return sorted(name for name in database.list_collection_names() if not name.startswith("system."))
        case "createCollection":
            return database.command({"create": call.text(0), **call.document(1)})
    raise _unknown(f"db.{call.name}")


def _on_collection(database: Database[Any], collection: Collection[Any], call: ShellCall) -> Any:
    def changed(change: Callable[..., Any], value: Callable[[int], Any]) -> dict[str, Any]:
        result = change(call.document(0), value(1), **call.options(2, _UPDATE))
        upserted = {} if result.upserted_id is None else {"upsertedId": result.upserted_id}
        return {"matchedCount": result.matched_count, "modifiedCount": result.modified_count, **upserted}

    known: dict[str, Callable[[], Any]] = {
        "findOne": lambda: collection.find_one(call.document(0), call.document(1) or None),
        "countDocuments": lambda: collection.count_documents(call.document(0)),
        "estimatedDocumentCount": lambda: collection.estimated_document_count(),
        "distinct": lambda: collection.distinct(call.text(0), call.document(1)),
        "aggregate": lambda: _first_of(collection.aggregate(call.documents(0))),
        "getIndexes": lambda: list(collection.list_indexes()),
        "insertOne": lambda: {"insertedId": collection.insert_one(call.document(0)).inserted_id},
        "insertMany": lambda: {"insertedIds": collection.insert_many(call.documents(0)).inserted_ids},
        "updateOne": lambda: changed(collection.update_one, call.change),
        "updateMany": lambda: changed(collection.update_many, call.change),
        "replaceOne": lambda: changed(collection.replace_one, call.document),
        "deleteOne": lambda: {"deletedCount": collection.delete_one(call.document(0)).deleted_count},
        "deleteMany": lambda: {"deletedCount": collection.delete_many(call.document(0)).deleted_count},
        "createIndex": lambda: collection.create_index(
            list(call.document(0).items()), **call.options(1, _OPTIONS)),
        "dropIndex": lambda: database.command("dropIndexes", collection.name, index=call.text(0)),
        "drop": lambda: bool(database.drop_collection(collection.name)["ok"]),
    }
    if call.name not in known:
        raise _unknown(f"db.{collection.name}.{call.name}")
    return known[call.name]()


def _find(collection: Collection[Any], first: ShellCall, chain: list[ShellCall]) -> Any:
    cursor = collection.find(first.document(0), first.document(1) or None)
    for number, call in enumerate(chain, 1):
        match call.name:
            case "sort":
                cursor = cursor.sort(list(call.document(0).items()))
            case "skip":
                cursor = cursor.skip(call.number(0))
            case "limit":
                cursor = cursor.limit(call.number(0))
            case "pretty" | "toArray":
                pass
            case "count" if number == len(chain):
                return collection.count_documents(first.document(0))
            case "explain" if number == len(chain):
                explained = cursor.explain()
                return {part: explained[part] for part in _EXPLAIN if part in explained}
            case _:
                raise _unknown(f"{call.name} after find")
    return _first_of(cursor)


def _first_of(found: Iterator[Mapping[str, Any]]) -> list[Any]:
    """One more than is shown, so that it can be said that there are more."""
    return list(islice(found, BATCH + 1))


def _answer(result: Any, statement: ShellStatement) -> Iterator[str]:
    """One line for each document; MongoDB's notes about its clock are left out."""
    if not isinstance(result, list):
        noise = ("$clusterTime", "operationTime")
        yield shown({name: one for name, one in result.items() if name not in noise}
                    if isinstance(result, Mapping) else result)
        return
    cut = statement.calls[0].name in ("find", "aggregate") and len(result) > BATCH
    for one in result[:BATCH] if cut else result:
        yield one if isinstance(one, str) and statement.collection is None else shown(one)
    if cut:
        yield f"... and more: the first {BATCH} are shown; .skip({BATCH}) shows the next"
    if not result:
        yield "(nothing)"


def _unknown(what: str) -> UsageError:
    return UsageError(f"{what} is not understood here", code="statement-refused",
                      hint="install mongosh, then: labs connect mongodb")
