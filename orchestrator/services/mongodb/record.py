"""What MongoDB's profiler says of the learner's user, from a mark on: operations as lines of ``mongosh``.

A judge instance records from its start, so that nothing is switched on here and no counter moves. Not recorded: what
was refused for a missing right, and the end of transactions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from orchestrator.errors import EnvironmentFault
from orchestrator.model import Credentials, Record
from orchestrator.services.base import Recorded
from orchestrator.services.mongodb import space
from orchestrator.services.mongodb.evidence.profile import ProfiledOperation, operation_of, readable
from orchestrator.services.mongodb.notation import line
from orchestrator.services.mongodb.settings import learner_login

if TYPE_CHECKING:
    from pymongo import MongoClient

SOURCE = "profiler"
MOST_RECORDS = 3000
READ_MUCH = 1000
"""Documents that were read for nothing, from which on it is worth a word."""

_SUMMING = frozenset({"$group", "$count", "$sortByCount", "$bucket", "$bucketAuto", "$facet"})


class MongodbRecorder:
    """See ``Recorder``. ``connect`` logs in as the administrator."""

    def __init__(
        self, connect: Callable[[], AbstractContextManager[MongoClient[Any]]], credentials: Credentials
    ) -> None:
        self._connect = connect
        self._credentials = credentials
        with connect() as client:
            newest = client[credentials.database][space.PROFILE].find_one(
                {}, {"_id": 1}, sort=[("$natural", -1)], show_record_id=True)
            # A service in a virtual machine has a clock of its own.
            self._ahead = client.admin.command("hello")["localTime"].timestamp() - _now()
        self._from = int(newest["$recordId"]) if newest else 0

    def stop(self) -> Recorded:
        try:
            with self._connect() as client:
                profile = readable(client[self._credentials.database][space.PROFILE])
                entries = list(profile.find({"user": learner_login(self._credentials)}, show_record_id=True)
                               .sort("$natural", 1).limit(MOST_RECORDS + 1))
                oldest = profile.find_one({}, {"_id": 1}, show_record_id=True)
        except (ConnectionError, EnvironmentFault) as error:
            return Recorded(gap=f"what MongoDB recorded could not be read: {error}")
        entries = [entry for entry in entries if entry["$recordId"] > self._from]
        records = tuple(records_of(entries, self._ahead))
        if len(entries) > MOST_RECORDS:
            return Recorded(records[:MOST_RECORDS], "only the beginning: there was more than can be shown")
        missed = oldest is not None and oldest["$recordId"] > self._from + 1
        return Recorded(records, "only the end: there was more than MongoDB keeps" if missed else "")


def records_of(entries: Iterable[Mapping[str, Any]], ahead: float = 0.0) -> Iterator[Record]:
    """The records in the profiler's entries; ``ahead``: seconds by which the service's clock is before ours."""
    for entry in entries:
        one = operation_of(entry)
        if one.collection == space.PROFILE:
            continue
        yield Record(
            "mongodb", one.ended - one.seconds - ahead, line(one), SOURCE, one.seconds, _rows(one), one.session,
            note_of(one), refused=_refused(one))


def note_of(one: ProfiledOperation) -> str:
    """A refusal's words, or what matters of the plan; empty for an operation that needs no word."""
    notes = []
    if one.error:
        notes.append(f"{one.error}: {one.message}" if one.message else one.error)
    elif _refused(one):
        notes.append("nothing was inserted: an index or a validator refused it")
    elif one.docs_examined - max(one.returned, one.changed) >= READ_MUCH and not _sums_up(one):
        how = "the whole collection" if one.scans else one.plan
        notes.append(f"{how}: read {one.docs_examined} documents for {max(one.returned, one.changed)}")
    if one.transaction is not None:
        notes.append(f"in transaction {one.transaction}")
    return "; ".join(notes)


def _refused(one: ProfiledOperation) -> bool:
    return bool(one.error) or (one.name == "insert" and one.changed == 0)


def _sums_up(one: ProfiledOperation) -> bool:
    """Whether one document stands for many that had to be read."""
    stages = one.command.get("pipeline", ())
    return any(name in _SUMMING for stage in stages if isinstance(stage, Mapping) for name in stage)


def _rows(one: ProfiledOperation) -> int | None:
    """Documents that it returned or changed; nothing for commands that do neither."""
    if one.name in ("find", "aggregate", "getMore", "insert", "update", "delete", "findAndModify", "findandmodify"):
        return max(one.returned, one.changed)
    return None


def _now() -> float:
    return time.time()
