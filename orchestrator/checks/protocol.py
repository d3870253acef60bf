"""The channel between the supervisor and the pytest child: newline JSON over one inherited socketpair.

Supervisor -> child, once, first::

    {"v": 1, "nonce": str, "seed": int, "milestone": "redis/hold",
     "target": {"url": "http://127.0.0.1:PORT", "log_hint": str},
     "services": {"postgres": {"url": ..., ...}, "redis": {...}},       # Recipe.admin of each, straight to the service
     "control": {"port": int},                                          # the supervisor's echo server, for `expect.within`
     "limits": {"body": bytes, "header": bytes, "depth": int},
     "shuffle": bool,                                                   # the checks in an order that the seed draws
     "only": [id, ...],                                                 # where not all of the file's checks are wanted
     "show": {"step": int}}                                             # only for `labs explore`: told and not judged

The child answers, in this order; every message carries the nonce, so that nothing but the child can speak::

    {"event": "hello", "v": 1}                                 sent before the first message arrives, without nonce: imports are done
    {"event": "collected", "checks": ["redis/hold/test_x", ...]}
    {"event": "started", "check": id, "title": str}
    {"event": "phase", "check": id, "phase": "setup"|"call"|"teardown", "outcome": "passed"|"failed"|"skipped",
     "seconds": float, "failure": Failure?}
    {"event": "exchange", "check": id, "exchange": {..., "at": float, "seconds": float?}}   an answer came, or did not
    {"event": "explored", "check": id, "told": {...}}          only with "show": an exploration is over (``checks/showing.py``)
    {"event": "finished", "check": id, "evidence": [str, ...], "exchange": {...}?}
    {"event": "pending", "what": "POST /orders"} / {"event": "idle"}      first open call to the target / none open any more
    {"event": "bye", "count": int}

    Failure = {"kind": "failed"|"wrong"|"timeout"|"schema"|"unjudged"|"machine"|"lost"|"bug", "reason": str, "what": str,
               "expected": str, "seen": str, "where": "file:line", "exchange": {"method", "path", "request", "status", "response", "curl"}?}

Calls of the child, answered in any order (a check may call from several threads)::

    {"call": "server.restart", "id": int, "args": {...}} -> {"id": int, "ok": value} | {"id": int, "failure": Failure}

    server.restart {} · server.kill {} · server.stop {"grace"} -> {"status": int} · server.start {}
    server.replica {"wait"?: bool, "env"?: {name: value}} -> {"replica": str, "url": str}; with ``wait`` false it may
        still be starting
    check.failed {}: a check blames the server, and what the logs say now belongs to that
    replica.ready {}: wait until all have started · replica.stop {"replica"} · server.log {"lines"} -> str
    machine.lost {"seconds"} -> float: of the last so many seconds, in which the server waited for a processor
    fault.begin {"kind": "down"|"shut"|"hold"|"stop"|"pause"|"kill", "service"} -> {"fault": str} · fault.heal {"fault"}
    fault.cut {"service"} -> {"count"} · fault.connections {"service"} -> {"open", "opened"}
    service.admin {"service"} -> {...}: as in the first message, of a service that slept when that was said

    explore.listen {}: look at the steps of every connection from now on, before anything else of ``explore``
    explore.learn {"seconds"}: what the server sends by itself meanwhile is no step
    explore.arm {"do"?: "hold"|"cut"|"lose"|"late"|"mute"|"delay", "service"?, "kind"?, "nth"?, "times"?, "seconds"?, "where"?}: count
        the server's steps from 1 again, and do that at the named one; ``nth`` 0: at each
    explore.acted {"seconds"} -> {"step": Step, "before": Step?} | null: wait until it was done; null after explore.wake
    explore.wake {} · explore.release {"drop"?}: what was held goes on, or (``drop``) is lost with its connection
    explore.crash {}: SIGKILL, what was held is lost, start again
    explore.settle {"seconds", "patience"} -> [Step]: wait until no step begins for that long · explore.still {} -> seconds
    explore.end {}

    Step = {"number", "service", "text", "kind", "nth", "connection"}

A failure of a call is raised in the check with the kind it carries. On EOF every fault is healed and the target stopped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

VERSION = 1
CHANNEL_VARIABLE = "LABS_CHANNEL"
"""Environment variable of the child: the number of the inherited socket's descriptor."""

READERS_VARIABLE = "LABS_READERS"
"""Environment variable of the child, JSON: fixture -> the module of its evidence reader, for each service of the lab."""

ROLES_VARIABLE = "LABS_ROLES"
"""Environment variable of the child, JSON: fixture -> the service whose evidence it is in this milestone."""

Message = dict[str, Any]
LINE_LIMIT = 4 * 1024 * 1024


class ProtocolBroken(Exception):
    """The other side sent something that is not a message of this protocol."""


def encode(message: Message) -> bytes:
    """One message as one line."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"


class Decoder:
    """Bytes in, messages out: keeps the unfinished rest of a line."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Message]:
        """All messages that are complete with this data; raises ``ProtocolBroken``."""
        self._rest += data
        *lines, self._rest = self._rest.split(b"\n")
        if len(self._rest) > LINE_LIMIT:
            raise ProtocolBroken("a line is too long")
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError as error:
                raise ProtocolBroken("not JSON") from error
            if not isinstance(message, dict):
                raise ProtocolBroken("not an object")
            yield message
