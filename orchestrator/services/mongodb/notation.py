"""MongoDB's values and operations as people write them in ``mongosh``."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from orchestrator.services.mongodb.evidence.profile import ProfiledOperation

LONGEST = 200
"""Characters of one text that are shown."""
_PLAIN_KEY = re.compile(r"[A-Za-z_$][\w$]*")
_OWN_WORDS = frozenset({
    "lsid", "txnNumber", "autocommit", "startTransaction", "stmtId", "$db", "$clusterTime", "$readPreference",
    "writeConcern", "readConcern", "ordered", "cursor", "apiVersion", "maxTimeMS",
})
"""What drivers add to every command: nothing that the learner wrote."""


def shown(value: Any) -> str:
    """A value in the notation of the shell; what has none, as a text."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case str():
            return _quoted(value)
        case datetime():
            moment = value if value.tzinfo else value.replace(tzinfo=UTC)
            return f"ISODate('{moment.astimezone(UTC).isoformat(timespec='milliseconds').replace('+00:00', 'Z')}')"
        case uuid.UUID():
            return f"UUID('{value}')"
        case bytes():
            kind = getattr(value, "subtype", 0)
            if kind == 4 and len(value) == 16:
                return f"UUID('{uuid.UUID(bytes=bytes(value))}')"
            return f"BinData({kind}, '{value.hex()[:LONGEST]}')"
        case re.Pattern():
            return f"/{value.pattern}/"
        case Mapping():
            inner = ", ".join(f"{key if _PLAIN_KEY.fullmatch(key) else _quoted(key)}: {shown(one)}"
                              for key, one in value.items())
            return f"{{ {inner} }}" if inner else "{}"
        case Sequence():
            return f"[ {', '.join(map(shown, value))} ]" if value else "[]"
    name = type(value).__name__
    if name == "Regex":
        return f"/{value.pattern}/"
    return f"{name}('{value}')" if name in ("ObjectId", "Decimal128") else str(value)


def line(operation: ProfiledOperation) -> str:
    """An operation as a line of the shell. Where the documents of an insertion are not known, ``…`` stands for them."""
    on, command = f"db.{operation.collection}", operation.command
    match operation.name:
        case "find":
            return _find(on, command)
        case "insert":
            return _insert(on, command.get("documents", ()), operation.changed)
        case "update":
            return _update(on, command)
        case "delete":
            return f"{on}.{'deleteOne' if command.get('limit') == 1 else 'deleteMany'}({shown(command.get('q', {}))})"
        case "findAndModify" | "findandmodify":
            return _find_and_modify(on, command)
        case "aggregate":
            return f"{on}.aggregate({shown(command.get('pipeline', []))})"
        case "count":
            return f"{on}.countDocuments({shown(command['query'])})" if command.get("query") else (
                f"{on}.estimatedDocumentCount()")
        case "distinct":
            return f"{on}.distinct({_arguments(command.get('key', ''), command.get('query') or {})})"
        case "getMore":
            return f"{on}.getMore()"
        case "createIndexes":
            return "; ".join(_create_index(on, one) for one in command.get("indexes", ()))
        case "create":
            options = {key: value for key, value in command.items() if key not in _OWN_WORDS | {"create"}}
            return f"db.createCollection({_arguments(command['create'], options)})"
        case "drop":
            return f"{on}.drop()"
    return f"db.runCommand({shown({key: value for key, value in command.items() if key not in _OWN_WORDS})})"


def _quoted(text: str) -> str:
    cut = text if len(text) <= LONGEST else text[:LONGEST] + "…"
    escaped = cut.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def _arguments(first: Any, *rest: Mapping[str, Any]) -> str:
    """Of the later ones only what is not empty."""
    return ", ".join([shown(first), *(shown(one) for one in rest if one)])


def _find(on: str, command: Mapping[str, Any]) -> str:
    single = command.get("singleBatch") and command.get("limit") == 1
    arguments = _arguments(command.get("filter", {}), command.get("projection", {}))
    text = f"{on}.{'findOne' if single else 'find'}({arguments})"
    for name in ("sort", "skip", "limit"):
        if command.get(name) and not (single and name == "limit"):
            text += f".{name}({shown(command[name])})"
    return text


def _insert(on: str, documents: Sequence[Mapping[str, Any]], count: int) -> str:
    """Without the ids, which drivers make: the fields that somebody wrote."""
    own = [shown({name: value for name, value in one.items() if (name, type(value).__name__) != ("_id", "ObjectId")})
           for one in documents[:1]]
    if count > 1:
        return f"{on}.insertMany([ {own[0]}, … ])" if own else f"{on}.insertMany(…)"
    return f"{on}.insertOne({own[0] if own else '…'})"


def _update(on: str, command: Mapping[str, Any]) -> str:
    change = command.get("u", {})
    many = bool(command.get("multi"))
    name = "replaceOne" if _is_document(change) else "updateMany" if many else "updateOne"
    options = {"upsert": True} if command.get("upsert") else {}
    return f"{on}.{name}({shown(command.get('q', {}))}, {_arguments(change, options)})"


def _find_and_modify(on: str, command: Mapping[str, Any]) -> str:
    query = shown(command.get("query", {}))
    if command.get("remove"):
        return f"{on}.findOneAndDelete({query})"
    change = command.get("update", {})
    options = {name: command[name] for name in ("sort", "upsert") if command.get(name)}
    options |= {"returnDocument": "after"} if command.get("new") else {}
    name = "findOneAndReplace" if _is_document(change) else "findOneAndUpdate"
    return f"{on}.{name}({query}, {_arguments(change, options)})"


def _create_index(on: str, index: Mapping[str, Any]) -> str:
    options = {name: value for name, value in index.items() if name not in ("key", "name", "v")}
    return f"{on}.createIndex({_arguments(index.get('key', {}), options)})"


def _is_document(change: Any) -> bool:
    return isinstance(change, Mapping) and not any(key.startswith("$") for key in change)
