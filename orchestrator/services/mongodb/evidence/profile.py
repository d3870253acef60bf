"""What MongoDB's profiler recorded of the learner: one entry for each operation, failed ones among them.

Entries are documents of ``system.profile``, written before the operation is answered. Their names are those of 6.0 to
8.0; a name that some version has not is read as nothing. What is not among them: what MongoDB refuses for a missing
right, and the end of a transaction, which belongs to another database (``counters`` has those).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymongo.collection import Collection

_NAMES = {"query": "find", "remove": "delete", "getmore": "getMore"}
_CHANGED = ("ninserted", "nModified", "nUpserted", "ndeleted")
COLLECTION_SCAN = "COLLSCAN"


@dataclass(frozen=True, slots=True)
class ProfiledOperation:
    """One operation, as MongoDB carried it out.

    ``name``: ``find``, ``insert``, ``update``, ``delete``, ``aggregate``, ``findAndModify``, ``getMore``, ...
    ``command``: as it was sent (an update or delete: ``q``, ``u``); the documents of an ``insert`` are not in it.
    ``plan``: MongoDB's summary, whose words differ between versions: only ``scans`` is sure. ``returned`` and
    ``changed`` are documents. ``error``: the error's name, empty if there was none; an ``insert`` that violates an
    index or a validator has none, and changed nothing. ``transaction``: its number in its session.
    """

    name: str
    collection: str
    command: Mapping[str, Any] = field(default_factory=dict)
    plan: str = ""
    keys_examined: int = 0
    docs_examined: int = 0
    returned: int = 0
    changed: int = 0
    sorted_in_memory: bool = False
    error: str = ""
    message: str = ""
    transaction: int | None = None
    session: str = ""
    application: str = ""
    ended: float = 0.0
    seconds: float = 0.0

    @property
    def scans(self) -> bool:
        """Whether it read a whole collection because no index was of use."""
        return COLLECTION_SCAN in self.plan

    @property
    def examined_for_each(self) -> float:
        """Documents read for each one returned or changed; with a good index about 1. None found counts as one."""
        return self.docs_examined / max(self.returned, self.changed, 1)


def readable(profile: Collection[Any]) -> Collection[Any]:
    """The profiler's collection: MongoDB cuts long texts in its own words, also in the middle of a letter."""
    return profile.with_options(profile.codec_options.with_options(unicode_decode_error_handler="replace"))


def operation_of(entry: Mapping[str, Any]) -> ProfiledOperation:
    """The operation that an entry of ``system.profile`` tells of."""
    command = entry.get("command") or {}
    kind = str(entry.get("op", ""))
    name = next(iter(command), "command") if kind == "command" else _NAMES.get(kind, kind)
    return ProfiledOperation(
        name=str(name),
        collection=str(entry.get("ns", "")).partition(".")[2],
        command=command,
        plan=str(entry.get("planSummary", "")),
        keys_examined=_number(entry, "keysExamined"),
        docs_examined=_number(entry, "docsExamined"),
        returned=_number(entry, "nreturned"),
        changed=sum(_number(entry, name) for name in _CHANGED),
        sorted_in_memory=bool(entry.get("hasSortStage", False)),
        error=str(entry.get("errName", entry.get("errCode", ""))),
        message=str(entry.get("errMsg", "")),
        transaction=_number(command, "txnNumber") if command.get("autocommit") is False else None,
        session=_session(command),
        application=str(entry.get("appName", "")),
        ended=_moment(entry.get("ts")),
        seconds=_number(entry, "millis") / 1000,
    )


def _number(values: Mapping[str, Any], name: str) -> int:
    value = values.get(name, 0)
    return int(value) if isinstance(value, int | float) else 0


def _session(command: Mapping[str, Any]) -> str:
    found = command.get("lsid")
    return bytes(found["id"]).hex()[:8] if isinstance(found, Mapping) and isinstance(found.get("id"), bytes) else ""


def _moment(value: object) -> float:
    if not isinstance(value, datetime):
        return 0.0
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
