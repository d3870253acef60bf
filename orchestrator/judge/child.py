"""One pytest child and the conversation with it: started ahead, heard until the channel ends, ended as a group.

The supervisor's thread hears the child; each call of the child is answered in a thread of its own, because a check may
call from several threads and a call may last (``server.restart``). Nothing here judges.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from orchestrator.checks.protocol import VERSION, Decoder, Message, ProtocolBroken, encode
from orchestrator.judge.child_process import Launch
from orchestrator.judge.verdict import Transcript
from orchestrator.system.interrupt import NEVER, TICK, Cancel

HELLO_BUDGET = 30.0
"""Seconds for pytest and the checks' imports."""
EXIT_BUDGET = 5.0
"""Seconds between the end of the channel and the end of the process."""
SEND_BUDGET = 5.0
EVENT_LIMIT = 100_000
EXCHANGE_LIMIT = 3000
"""Exchanges that are kept to be shown; a check may have more."""
OUTPUT_TAIL = 16 * 1024


class CallFailed(Exception):
    """A call of the child cannot be answered; ``failure`` is raised in the check with the kind it carries."""

    def __init__(self, kind: str, reason: str, what: str, *, expected: str = "", seen: str = "") -> None:
        super().__init__(what)
        self.failure: Message = {
            "kind": kind, "reason": reason, "what": what, "expected": expected, "seen": seen, "where": "",
        }


class Answerer(Protocol):
    """Answers the child's calls, from any thread."""

    def answer(self, call: str, args: Mapping[str, Any]) -> object:
        """The value of the call (JSON), or ``CallFailed``."""


class Child:
    """A pytest child from its start to its end. One conversation each, then ``close``."""

    def __init__(self, launch: Launch, *, folder: Path, name: str) -> None:
        """Start the child now, so that its imports run while the space and the target are made ready."""
        self._output = folder / f"{name}.out"
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(SEND_BUDGET)
        try:
            with theirs, self._output.open("wb") as output:
                self._process = launch(theirs.fileno(), output, folder)
        except BaseException:
            self._socket.close()
            raise
        self._sending = threading.Lock()
        self._decoder = Decoder()
        self._events: list[Message] = []
        self._exchanges: list[Message] = []
        self._pending = ""
        self._open_calls: dict[int, str] = {}
        self._over = False
        self._status: int | None = None

    def converse(
        self, first: Message, *, budget: float, answerer: Answerer, on_event: Callable[[Sequence[Message]], None],
        cancel: Cancel = NEVER, more: Callable[[], float] = lambda: 0.0,
    ) -> Transcript:
        """Send the first message when the child is ready, then hear it out. ``budget``: seconds for the checks.

        ``more``: seconds by which that is longer by now, for what the checks waited for and have a budget elsewhere.

        ``on_event`` gets all events so far each time a check finished. Returns when the channel ended or the time was
        over; the child is ended then. ``Cancelled``: it is not, and the caller closes.
        """
        late, broken, pending = False, "", ""
        greeted = False
        deadline = time.monotonic() + HELLO_BUDGET
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            while not broken:
                cancel.look()
                left = deadline + more() - time.monotonic()
                if left <= 0 or not selector.select(min(left, TICK)):
                    if time.monotonic() < deadline + more():
                        continue
                    late, pending = greeted, self._waiting_for() if greeted else ""
                    broken = "" if greeted else f"the checks were not ready after {HELLO_BUDGET:.0f} s"
                    break
                try:
                    data = self._socket.recv(65536)
                    if not data:
                        break
                    for message in self._decoder.feed(data):
                        broken = broken or self._take(message, str(first["nonce"]), answerer, on_event)
                        if not greeted and self._events:
                            greeted, deadline = True, time.monotonic() + budget
                            self._send(first)
                except (OSError, ProtocolBroken) as error:
                    broken = f"the channel to the checks broke: {error}"
        status = self._end(patience=0.0 if late or broken else EXIT_BUDGET)
        return Transcript(tuple(self._events), status, broken, late, pending)

    @property
    def exchanges(self) -> tuple[Message, ...]:
        """The ``exchange`` events so far, as the child sent them."""
        return tuple(self._exchanges)

    def alive(self) -> bool:
        """Whether the child has not ended. It is not reaped: its group's number stays ours until ``close``."""
        return not (self._over or self._process.ended())

    def output(self) -> str:
        """The last that the child wrote beside the channel: pytest's own words when it could not run."""
        with contextlib.suppress(OSError), self._output.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - OUTPUT_TAIL))
            return file.read().decode(errors="replace")
        return ""

    def close(self) -> None:
        """End the child and everything in its group, at once. Harmless twice."""
        self._end(patience=0.0)
        self._socket.close()

    # --- hearing ---------------------------------------------------------------------------------------------

    def _take(
        self, message: Message, nonce: str, answerer: Answerer, on_event: Callable[[Sequence[Message]], None]
    ) -> str:
        """One message. Returns what is wrong with it, if it must end the conversation."""
        known = message.get("nonce") == nonce
        event = message.get("event")
        if "call" in message:
            return self._take_call(message, answerer) if known else "a call did not carry the nonce of this run"
        if known and event == "pending":
            self._pending = str(message.get("what", "a request"))
        elif known and event == "idle":
            self._pending = ""
        elif known and event == "exchange":
            if len(self._exchanges) < EXCHANGE_LIMIT:
                self._exchanges.append(message)
        elif event == "hello" and message.get("v") != VERSION:
            return f"the checks speak version {message.get('v')!r} of the protocol"
        elif len(self._events) >= EVENT_LIMIT:
            return "the checks sent too many messages"
        else:
            self._events.append(message)
            if event == "finished":
                on_event(self._events)
        return ""

    def _take_call(self, message: Message, answerer: Answerer) -> str:
        call, number, args = message.get("call"), message.get("id"), message.get("args", {})
        if not isinstance(call, str) or not isinstance(number, int) or not isinstance(args, dict):
            return "a call of the checks has not the right form"
        self._open_calls[number] = call
        threading.Thread(
            target=self._answer, args=(answerer, call, number, args), name=f"labs-{call}", daemon=True
        ).start()
        return ""

    def _answer(self, answerer: Answerer, call: str, number: int, args: Mapping[str, Any]) -> None:
        try:
            reply: Message = {"id": number, "ok": answerer.answer(call, args)}
        except CallFailed as error:
            reply = {"id": number, "failure": error.failure}
        except Exception as error:  # whatever it is, the check must hear of it
            reply = {"id": number, "failure": CallFailed("bug", "bug", f"{call}: {error!r}").failure}
        self._open_calls.pop(number, None)
        with contextlib.suppress(OSError):  # the child is gone: nobody waits for the answer
            self._send(reply)

    def _waiting_for(self) -> str:
        """The call to the target that is open now, if any."""
        calls = [call for call in list(self._open_calls.values()) if call.startswith(("server.", "replica."))]
        return self._pending or (f"{calls[0]}()" if calls else "")

    def _send(self, message: Message) -> None:
        with self._sending:
            self._socket.sendall(encode(message))

    # --- ending ----------------------------------------------------------------------------------------------

    def _end(self, *, patience: float) -> int | None:
        """Wait up to ``patience`` seconds for the child's own end, then SIGKILL; the exit status."""
        if not self._over:
            end = time.monotonic() + patience
            while not self._process.ended() and time.monotonic() < end:
                time.sleep(0.005)
            self._process.kill()
            self._status = self._process.reap()
            self._over = True
        return self._status
