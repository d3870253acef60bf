"""What MongoDB counts of all its clients together, before and after; what the checker sent itself is taken off.

Only the difference counts. A count that ran backwards, or another process than before, is ``ServiceLost``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from orchestrator.checks.errors import ServiceLost
from orchestrator.services.mongodb.evidence.connections import Logins, lost

_NOBODYS = frozenset({
    "hello", "isMaster", "ping", "saslStart", "saslContinue", "authenticate", "endSessions", "buildInfo",
    "serverStatus", "find",
})
"""What drivers and probes send by themselves, and what MongoDB asks itself (the first write of a session is a ``find``
among its own): nobody can say whose they were. The learner's reads are exact in ``operations``."""
_OPERATIONS = ("insert", "update", "delete", "getmore")


@dataclass(slots=True)
class Counters:
    """What others than the checker did while the block ran; zero and empty until it has ended.

    ``operations``: documents inserted (``insert``), ``update``, ``delete``, ``getmore``; an aggregation and
    ``findAndModify`` are in none of them. ``commands``: by name, without greetings and ``find``; ``failed``: those that
    ended in an error (a document that an index or a validator refuses is none). ``committed``, ``aborted``:
    transactions.
    """

    operations: dict[str, int] = field(default_factory=dict)
    commands: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    committed: int = 0
    aborted: int = 0


@contextmanager
def counted(links: Logins) -> Iterator[Counters]:
    """Fill a ``Counters`` with what came on top while the block ran."""
    result = Counters()
    with lost():
        before, own_before = _status(links), _own(links)
    yield result
    with lost():
        own_after, after = _own(links), _status(links)
    if before["process"] != after["process"]:
        raise ServiceLost("mongodb", "it was started again during the measurement")
    own = {kind: own_after[kind] - own_before[kind] for kind in own_after}
    operations = {name: _on_top(before, after, "opcounters", name) - own["operations"][name] for name in _OPERATIONS}
    result.operations = {name: count for name, count in operations.items() if count > 0}
    for name, now in after["metrics"]["commands"].items():
        if name in _NOBODYS or not isinstance(now, Mapping) or "total" not in now:
            continue
        then = before["metrics"]["commands"].get(name, {})
        total = _difference(then, now, "total") - own["commands"][name]
        failed = _difference(then, now, "failed") - own["failures"][name]
        result.commands |= {name: total} if total > 0 else {}
        result.failed |= {name: failed} if failed > 0 else {}
    result.committed = _on_top(before, after, "transactions", "totalCommitted") - own["commands"]["commitTransaction"]
    result.aborted = _on_top(before, after, "transactions", "totalAborted") - own["commands"]["abortTransaction"]


def _own(links: Logins) -> dict[str, Any]:
    books = links.books
    return {"operations": +books.operations, "commands": +books.commands, "failures": +books.failures}


def _status(links: Logins) -> dict[str, Any]:
    status = links.admin.admin.command("serverStatus", repl=0, locks=0, wiredTiger=0, tcmalloc=0)
    process = links.admin.admin.command("hello")["topologyVersion"]["processId"]
    return {**status, "process": process}


def _on_top(before: Mapping[str, Any], after: Mapping[str, Any], group: str, name: str) -> int:
    return _difference(before[group], after[group], name)


def _difference(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> int:
    difference = int(after.get(name, 0)) - int(before.get(name, 0))
    if difference < 0:
        raise ServiceLost("mongodb", "its counters were reset during the measurement")
    return difference
