"""The child's end of the channel: events out, calls answered, the end of it the end of the child."""

from __future__ import annotations

import itertools
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from orchestrator.checks.errors import (
    Failed,
    MachineSlow,
    SchemaWrong,
    ServiceLost,
    TargetTimeout,
    TargetWrong,
    Unjudged,
)
from orchestrator.checks.protocol import CHANNEL_VARIABLE, VERSION, Decoder, Message, encode
from orchestrator.checks.words import short

JUDGED = {"failed": Failed, "wrong": TargetWrong, "timeout": TargetTimeout, "schema": SchemaWrong}
LOST_SUPERVISOR = 70
"""Exit status when the supervisor is gone: nobody listens any more."""


class Channel:
    """Safe to use from several threads."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._numbers = itertools.count(1)
        self._answers: dict[int, Message] = {}
        self._arrived = threading.Condition()
        self._open = 0
        self._counting = threading.Lock()
        self._decoder = Decoder()
        self._nonce: str | None = None

    @property
    def greeted(self) -> bool:
        """Whether the first message has come: before it, nothing but hello may be said."""
        return self._nonce is not None

    @classmethod
    def inherited(cls) -> Channel:
        """The channel whose descriptor the supervisor passed on."""
        connection = socket.socket(fileno=int(os.environ[CHANNEL_VARIABLE]))
        # A program that a check starts must not hold the channel open, nor speak on it.
        connection.set_inheritable(False)
        return cls(connection)

    def greet(self) -> Message:
        """Say hello, wait for the first message, then listen for answers in the background."""
        self._send({"event": "hello", "v": VERSION})
        waiting: list[Message] = []
        while not waiting:
            waiting = list(self._decoder.feed(self._receive()))
        first = waiting[0]
        self._nonce = str(first["nonce"])
        threading.Thread(target=self._listen, name="labs-channel", daemon=True).start()
        return first

    def event(self, event: str, **values: Any) -> None:
        """Tell the supervisor something; carries the nonce."""
        self._send({"event": event, "nonce": self._nonce, **values})

    def call(self, name: str, **args: Any) -> Any:
        """Ask the supervisor for something and wait for it; a failure is raised as the exception of its kind."""
        number = next(self._numbers)
        self._send({"call": name, "id": number, "args": args, "nonce": self._nonce})
        with self._arrived:
            self._arrived.wait_for(lambda: number in self._answers)
            answer = self._answers.pop(number)
        if "failure" in answer:
            raise _raised(answer["failure"])
        return answer.get("ok")

    @contextmanager
    def pending(self, what: str) -> Iterator[None]:
        """While the block runs, an answer of the target is what the check waits for."""
        with self._counting:
            self._open += 1
            if self._open == 1:
                self.event("pending", what=short(what))  # an id of the server's can be as long as a body
        try:
            yield
        finally:
            with self._counting:
                self._open -= 1
                if self._open == 0:
                    self.event("idle")

    def _send(self, message: Message) -> None:
        line = encode(message)
        with self._sending:
            try:
                self._connection.sendall(line)
            except OSError:
                os._exit(LOST_SUPERVISOR)

    def _receive(self) -> bytes:
        try:
            data = self._connection.recv(65536)
        except OSError:
            data = b""
        if not data:
            # Not ``sys.exit``: whatever the check is in the middle of, nobody hears of it any more.
            os._exit(LOST_SUPERVISOR)
        return data

    def _listen(self) -> None:
        try:
            while True:
                for answer in self._decoder.feed(self._receive()):
                    with self._arrived:
                        self._answers[int(answer["id"])] = answer
                        self._arrived.notify_all()
        except BaseException:
            # Whatever was wrong with the channel: a child that nobody hears must not go on.
            os._exit(LOST_SUPERVISOR)


def _raised(failure: Message) -> Exception:
    kind, reason, what = failure.get("kind"), str(failure.get("reason", "")), str(failure.get("what", ""))
    if kind in JUDGED:
        return JUDGED[kind](reason, what, str(failure.get("expected", "")), str(failure.get("seen", "")))
    if kind == "unjudged":
        return Unjudged(what, str(failure.get("expected", "")))
    if kind == "machine":
        return MachineSlow(what)
    if kind == "lost":
        return ServiceLost(reason, what)
    return RuntimeError(what)
