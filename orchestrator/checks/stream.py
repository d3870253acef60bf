"""Server-sent events: a parser of the format, and a stream that is read in the background."""

from __future__ import annotations

import codecs
import contextlib
import queue
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from orchestrator.checks.errors import TargetTimeout, TargetWrong

if TYPE_CHECKING:
    from orchestrator.checks.answer import Response
    from orchestrator.checks.channel import Channel
    from orchestrator.checks.http import OpenResponse

LINE_END = re.compile(r"\r\n|\r|\n")
EVENT_LIMIT = 100_000


@dataclass(frozen=True, slots=True)
class Event:
    """One message: ``event:`` (``message`` if it has none), ``data:``, its lines joined by newlines, and the last
    ``id:`` of the stream so far, which a client sends as ``Last-Event-ID`` when it opens the stream anew."""

    name: str
    data: str
    id: str = ""


class Parser:
    """Bytes in, events out, as the HTML standard's section on server-sent events says."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest: list[str] = []
        self._begun = False
        self._after_cr = False
        self._name = ""
        self._id = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events that are complete with this chunk. Lines end with LF, CR or CRLF."""
        text = self._decoder.decode(chunk)
        if not text:
            return
        if not self._begun:
            self._begun, text = True, text.removeprefix("\ufeff")
        # A CR ends its line at once, without waiting for an LF that may belong to it; the LF is then passed over.
        if self._after_cr and text.startswith("\n"):
            text = text[1:]
        self._after_cr = text.endswith("\r")
        first, *others = LINE_END.split(text)
        self._rest.append(first)
        for following in others:
            line = "".join(self._rest)
            self._rest = [following]
            if event := self._line(line):
                yield event

    def _line(self, line: str) -> Event | None:
        if not line:
            event = Event(self._name or "message", "\n".join(self._data), self._id) if self._data else None
            self._name, self._data = "", []
            return event
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
        elif field == "id" and "\0" not in value:
            self._id = value
        return None


class EventStream:
    """An open stream of events. A context manager; ``drop`` ends it as a client that crashed.

    ``answer``: the whole of what was answered in its place, if it was refused. It has no events then.
    """

    def __init__(self, opened: OpenResponse, channel: Channel, path: str, limit: int,
                 answer: Response | None = None) -> None:
        self.answer = answer
        self.status = opened.status
        self.headers = opened.headers
        self.exchange = opened.exchange
        self._opened = opened
        self._channel = channel
        self._path = path
        self._limit = limit
        self._end_seen = "it ended"
        self._events: queue.Queue[Event | None] = queue.Queue()
        self._thread = threading.Thread(target=self._read, name="labs-stream", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        parser, size, count = Parser(), 0, 0
        # However the stream ends, by the server, by us or by an error of either: it is the end of the events.
        with contextlib.suppress(Exception):
            for chunk in self._opened.chunks():
                size += len(chunk)
                for event in parser.feed(chunk):
                    count += 1
                    self._events.put(event)
                if size > self._limit or count > EVENT_LIMIT:
                    self._end_seen = f"more than {self._limit} bytes or {EVENT_LIMIT} events"
                    break
        self._events.put(None)

    def next(self, deadline: float = 2.0) -> Event:
        """The next event; ``TargetTimeout("no-event")``, or ``TargetWrong("stream-ended")`` if the server ended it."""
        with self._channel.pending(f"the next event of GET {self._path}"):
            try:
                event = self._events.get(timeout=deadline)
            except queue.Empty:
                late = TargetTimeout("no-event", f"the next event of GET {self._path}",
                                     f"one within {deadline:g} s", "none")
                late.exchange = self.exchange
                raise late from None
        if event is None:
            self._events.put(None)
            wrong = TargetWrong("stream-ended", f"the stream of GET {self._path}", "it stays open", self._end_seen)
            wrong.exchange = self.exchange
            raise wrong
        return event

    def none_within(self, seconds: float) -> list[Event]:
        """All events that come within ``seconds``: to look that none does."""
        found = []
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                event = self._events.get(timeout=left)
            except queue.Empty:
                break
            if event is None:
                self._events.put(None)
                break
            found.append(event)
        return found

    def ended(self) -> bool:
        """Whether the server ended the stream; its events may still be there to be read."""
        return self.answer is not None or not self._thread.is_alive()

    def drop(self) -> None:
        """Reset the connection (RST), as a client does that lost its power or its Wi-Fi."""
        connection = self._opened.connection
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._end()

    def _end(self) -> None:
        connection = self._opened.connection
        if connection is not None:
            # The reader sits in recv: closing alone would not wake it.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RD)
        self._thread.join(5)
        with contextlib.suppress(Exception):
            self._opened.close()

    def __enter__(self) -> EventStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
