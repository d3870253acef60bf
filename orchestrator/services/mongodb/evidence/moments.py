"""What MongoDB says of the present moment, for explorations: whether anybody waits, and what a killed server left."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from orchestrator.services.mongodb.evidence.connections import Document, Logins

_PROFILE = "system.profile"
_CONFLICT = 112
_LATEST = 50
"""Entries of the profiler that are looked at: since the last look there are fewer."""


def under_way(user: str, database: str) -> Document:
    """What ``$currentOp`` says of this user's transactions that were neither committed nor aborted, as a match.

    An idle one has no connection, so MongoDB knows its user only by a hash.
    """
    uid = hashlib.sha256(f"{user}@{database}".encode()).digest()
    return {"lsid.uid": uid, "transaction.parameters.autocommit": False}


def waits(links: Logins) -> bool:
    """Whether an operation in the learner's database waits for what an open transaction holds.

    A plain write waits inside MongoDB. One in a transaction is refused at once, and its driver tries again until the
    other transaction has ended: so a refusal since that began counts, too.
    """
    here = {"ns": {"$regex": f"^{links.database}\\."}}
    stuck = {**here, "$or": [{"waitingForLock": True}, {"writeConflicts": {"$gt": 0}}]}
    stages: list[Document] = [
        {"$currentOp": {"allUsers": True, "idleConnections": False, "idleSessions": True}},
        {"$match": {"$or": [stuck, {"transaction.parameters.autocommit": False}]}},
        {"$project": {"ns": 1, "waitingForLock": 1, "writeConflicts": 1, "began": "$transaction.startWallClockTime"}},
    ]
    found = list(links.admin.admin.aggregate(stages))
    if any(one.get("waitingForLock") or one.get("writeConflicts") for one in found):
        return True
    began = [datetime.fromisoformat(one["began"]) for one in found if "began" in one]
    if not began:
        return False
    entries = links.admin[links.database][_PROFILE].find({}, {"errCode": 1, "ts": 1}).sort("$natural", -1)
    return any(one.get("errCode") == _CONFLICT and one["ts"] >= min(began) for one in entries.limit(_LATEST))


def written(links: Logins) -> str:
    """Another value whenever something was written that outlives its connection.

    What a transaction has done so far does: MongoDB ends it only a minute later.
    """
    status: dict[str, Any] = links.admin.admin.command("serverStatus", locks=0, wiredTiger=0, tcmalloc=0)
    documents = status["metrics"]["document"]
    counts = (*(documents[name] for name in ("inserted", "updated", "deleted")), status["transactions"]["currentOpen"])
    return f"{status['repl']['lastWrite']['opTime']['ts']} {' '.join(map(str, counts))}"
