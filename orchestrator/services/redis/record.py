"""What Redis says of the learner's commands: ``MONITOR``, over a connection of its own, which sends nothing else.

It is opened before the target connects, so that no counter moves while a check measures. ``MONITOR`` shows everybody's
commands; connections of ours give themselves a name, and are left out from that command on. It ends with a mark that
this connection itself sends: all that Redis did before stands before it. It ends as well when Redis is stopped, and is
not opened again: a new connection would move the counters.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.model import Record
from orchestrator.services.base import Recorded

if TYPE_CHECKING:
    from redis import Connection

OURS = "labs-"
"""How the names of our own connections begin."""
MOST_RECORDS = 3000
STOP_BUDGET = 2.0
SOURCE = "monitor"
_LINE = re.compile(r"^(\d+\.\d+) \[(\d+) ([^\]]*)\] (.*)$", re.DOTALL)
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)


class RedisRecorder:
    """See ``Recorder``. ``connection`` is the administrator's, connected, and closed by ``stop``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._mark = f"{OURS}end-{secrets.token_hex(8)}"
        self._lines: list[str] = []
        self._stopped = False
        self._gap = ""
        connection.send_command("TIME")  # type: ignore[no-untyped-call]
        seconds, micros = connection.read_response()
        # A service in a virtual machine has a clock of its own.
        self._ahead = int(seconds) + int(micros) / 1e6 - time.time()
        connection.send_command("MONITOR")  # type: ignore[no-untyped-call]
        connection.read_response()
        self._thread = threading.Thread(target=self._listen, name="labs-monitor", daemon=True)
        self._thread.start()

    def stop(self) -> Recorded:
        import redis

        self._stopped = True
        with contextlib.suppress(redis.RedisError, OSError):
            self._connection.send_command("ECHO", self._mark)  # type: ignore[no-untyped-call]
            self._thread.join(STOP_BUDGET)
        # Wakes a listener that waits still: Redis is stopped or paused, or there was more than can be shown.
        sock = getattr(self._connection, "_sock", None)
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(2)
        self._thread.join(STOP_BUDGET)
        self._connection.disconnect()  # type: ignore[no-untyped-call]
        records = (replace(record, at=record.at - self._ahead) for record in records_of(self._lines))
        return Recorded(tuple(records), self._gap)

    def _listen(self) -> None:
        import redis

        try:
            while len(self._lines) < MOST_RECORDS:
                answer = self._connection.read_response()
                line = answer.decode(errors="replace") if isinstance(answer, bytes) else str(answer)
                if self._mark in line:
                    return
                self._lines.append(line)
            self._gap = "only the beginning: there was more than can be shown"
        except (redis.RedisError, OSError, ValueError):
            if not self._stopped:
                self._gap = "up to the moment at which Redis was stopped"


def records_of(lines: Iterable[str]) -> Iterator[Record]:
    """The records in ``MONITOR``'s lines, without those of connections that named themselves ours."""
    ours: set[str] = set()
    for line in lines:
        found = _LINE.match(line)
        if found is None:
            continue
        client = found[3]
        words = [_plain(word) for word in _WORD.findall(found[4])]
        if [word.upper() for word in words[:2]] == ["CLIENT", "SETNAME"] and words[-1].startswith(OURS):
            ours.add(client)
        if client not in ours and words and not _is_greeting(words):
            yield Record("redis", float(found[1]), " ".join(map(_shown, words)), SOURCE, session=client)


def _is_greeting(words: list[str]) -> bool:
    """What every driver says when it connects: nothing that the learner wrote."""
    first = words[0].upper()
    return first in ("HELLO", "AUTH") or (first == "CLIENT" and words[1:2] != [] and words[1].upper().startswith("SET"))


def _plain(word: str) -> str:
    r"""A word without the escapes of ``MONITOR`` (``\"``, ``\\``, ``\n``, ``\xHH``)."""
    return re.sub(r"\\(x[0-9a-fA-F]{2}|.)", lambda found: _ESCAPES.get(found[1], found[0]), word)


_ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "r": "\r", "t": "\t"}


def _shown(word: str) -> str:
    """As ``redis-cli`` would have it: in quotes where a space would part it."""
    return f"'{word}'" if not word or re.search(r"[\s'\"]", word) else word
