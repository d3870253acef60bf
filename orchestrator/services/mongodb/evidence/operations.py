"""Which operations the learner's server sent while a block ran: the profiler's entries between two marks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pymongo.database import Database

from orchestrator.checks.errors import ServiceLost
from orchestrator.services.mongodb.evidence.connections import Document, Logins, lost
from orchestrator.services.mongodb.evidence.profile import ProfiledOperation, operation_of, readable

_PROFILE = "system.profile"
_BYTES = 16 * 2**20


@dataclass(slots=True)
class Operations:
    """What the block saw, in the order in which the operations ended; empty until it has ended."""

    list: list[ProfiledOperation] = field(default_factory=list)

    @property
    def calls(self) -> int:
        """How many trips to MongoDB they were, each ``getMore`` one."""
        return len(self.list)

    def of(self, *names: str, collection: str | None = None) -> Sequence[ProfiledOperation]:
        """Those with one of these names (all, without names), on this collection if one is given."""
        return [one for one in self.list
                if (not names or one.name in names) and collection in (None, one.collection)]


@contextmanager
def recorded(links: Logins) -> Iterator[Operations]:
    """Fill an ``Operations`` with what the learner's user did in its database while the block ran."""
    result = Operations()
    user = f"{links.user}@{links.database}"
    with lost():
        database = links.admin[links.database]
        _switched_on(database, user)
        mark = _last(database)
    yield result
    with lost():
        result.list = [operation_of(entry) for entry in entries_since(database, mark)
                       if entry.get("user") == user and entry.get("ns") != f"{links.database}.{_PROFILE}"]


def entries_since(database: Database[Document], mark: int) -> list[Document]:
    """The entries after the one with this number, oldest first. ``ServiceLost`` if the profiler threw some away."""
    found: list[Document] = []
    complete = mark == 0
    number = 0
    for entry in readable(database[_PROFILE]).find(show_record_id=True).sort("$natural", -1):
        number = entry["$recordId"]
        if number <= mark:
            complete = True
            break
        found.append(entry)
    if found and not (complete and (mark or number == 1)):
        raise ServiceLost("mongodb", "more was recorded of your server than there is room for")
    if not found and number < mark:
        raise ServiceLost("mongodb", "what was recorded of your server was removed during the measurement")
    return found[::-1]


def _switched_on(database: Database[Document], user: str) -> None:
    """Judge instances record from their start; a service that somebody else started has to be told."""
    if database.command("profile", -1)["was"] == 0:
        if _PROFILE not in database.list_collection_names():
            database.create_collection(_PROFILE, capped=True, size=_BYTES)
        database.command("profile", 1, filter={"user": user})


def _last(database: Database[Document]) -> int:
    """The number of the newest entry; 0 without any."""
    newest = database[_PROFILE].find_one({}, {"_id": 1}, sort=[("$natural", -1)], show_record_id=True)
    return newest["$recordId"] if newest else 0
