"""A judge inside `labs run`, which has the services, the links and the learner's running server: `labs check` asks it.

`labs run` listens on the loopback, and a file in its scratch folder says where and for which workspace. Both sides
speak newline JSON. ``labs check`` says ``{"key", "milestones": [[id, role], ...], "seed"}`` and nothing more; it hears
``{"hello": 1}``, any number of ``{"phase": [milestone, phase]}``, ``{"timeline"}`` and ``{"milestone"}``, and at last
one ``{"report"}`` or ``{"error"}``. When it closes its side, the run ends, every fault heals, and the report says so.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hmac
import json
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from orchestrator.errors import EnvironmentFault, LabsError
from orchestrator.judge.attempt import Listener
from orchestrator.judge.request import RunRequest
from orchestrator.model import Milestone
from orchestrator.report.json import from_data, milestone_from_data, to_data
from orchestrator.report.result import CheckResult, MilestoneResult, Report
from orchestrator.report.timeline import Timeline
from orchestrator.report.timeline import from_data as timeline_from_data
from orchestrator.report.timeline import to_data as timeline_data
from orchestrator.roles import addresses
from orchestrator.system.files import read_json, write_json
from orchestrator.system.home import Home
from orchestrator.system.interrupt import Cancel
from orchestrator.workspace.select import PlannedMilestone

FILE = "attached.json"
PATIENCE = 5.0
"""Seconds for the first words of each side."""
END_BUDGET = 70.0
"""Seconds in which a run that is to end has healed its faults; healing has a budget of its own below it."""

Judge = Callable[[tuple[PlannedMilestone, ...], int, Listener, Cancel], Report]
"""From milestones and a seed to the report."""


class Host:
    """The side of `labs run`: answers one `labs check` at a time while the block runs.

    ``folder`` is its scratch folder, ``request`` the lab and the workspace; the milestones are who asks's.
    ``environment`` is that of the services, for commands that look into them; ``addresses`` what the server found in
    the variables of the lab's roles, as of ``roles.addresses``.
    """

    def __init__(self, folder: Path, request: RunRequest, judge: Judge, environment: str = "",
                 addresses: Mapping[str, str] | None = None) -> None:
        self._path = folder / FILE
        self._request = request
        self._judge = judge
        self._environment = environment
        self._addresses = {} if addresses is None else dict(addresses)
        self._key = secrets.token_hex(16)
        self._busy = threading.Lock()
        self._judging: threading.Thread | None = None
        """Who judged last: its last words may still be on their way when it is no longer busy."""
        self._cancel = Cancel()
        self._ended = False

    def __enter__(self) -> Host:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._accepting = threading.Thread(target=self._accept, name="labs-host", daemon=True)
        self._accepting.start()
        write_json(self._path, {"v": 1, "workspace": str(self._request.workspace.folder.resolve()),
                                "port": self._socket.getsockname()[1], "key": self._key,
                                "environment": self._environment})
        return self

    def __exit__(self, *_: object) -> None:
        """End the run under way, and wait for it."""
        self._ended = True
        self._cancel.ask()
        self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError), socket.create_connection(self._socket.getsockname(), PATIENCE):
            pass  # so that ``_accept`` looks up
        self._accepting.join(PATIENCE)
        self._socket.close()
        if self._busy.acquire(timeout=END_BUDGET):
            self._busy.release()
        if self._judging is not None:
            self._judging.join(PATIENCE)

    def _accept(self) -> None:
        while not self._ended:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                continue
            threading.Thread(target=self._answer, args=(connection,), name="labs-host-answer", daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            connection.settimeout(PATIENCE)
            with connection.makefile("rb") as stream:
                asked = json.loads(stream.readline())
            if not hmac.compare_digest(asked["key"], self._key):
                return
            lab = self._request.lab
            milestones = tuple(PlannedMilestone(lab.milestone(name), role) for name, role in asked["milestones"])
            connection.settimeout(None)
            speaker = _Speaker(connection)
            speaker.say(hello=1)
            for one in milestones:
                if one.role != "later" and (other := self._elsewhere(one.milestone)):
                    speaker.say(error=["attached-elsewhere", other,
                                       "labs check   (after you ended labs run with Ctrl-C)"])
                    return
            if not self._busy.acquire(blocking=False):
                speaker.say(error=["attached-busy", "another labs check judges the server of labs run", "labs check"])
                return
            try:
                self._judging = threading.current_thread()
                self._cancel = cancel = Cancel()
                if self._ended:
                    cancel.ask()
                threading.Thread(target=_until_closed, args=(connection, cancel), name="labs-host-ear",
                                 daemon=True).start()
                last = self._last_words(speaker, milestones, int(asked["seed"]), cancel)
            finally:
                self._busy.release()
            # Only now: who has heard the last words may ask again at once.
            speaker.say(**last)

    def _elsewhere(self, milestone: Milestone) -> str:
        """Why the running server cannot be judged at this milestone: it was given another service's address."""
        for variable, service in addresses(self._request.lab, milestone).items():
            given = self._addresses.get(variable, service)
            if given != service:
                return (f"{milestone.id} is about {service}, and the server of labs run has the address of {given} in "
                        f"{variable}")
        return ""

    def _last_words(self, speaker: _Speaker, milestones: tuple[PlannedMilestone, ...], seed: int,
                    cancel: Cancel) -> dict[str, object]:
        """Judge; the report, or what is wrong, as the message that ends the conversation."""
        try:
            return {"report": to_data(self._judge(milestones, seed, speaker, cancel))}
        except LabsError as error:
            return {"error": [error.code, error.message, error.hint]}
        except Exception as error:
            return {"error": ["bug", f"this is our mistake, not yours: {type(error).__name__}: {error}", None]}


def _until_closed(connection: socket.socket, cancel: Cancel) -> None:
    """Who asks has said all: what can still be heard is its end."""
    with contextlib.suppress(OSError):
        connection.recv(1)
    cancel.ask()


class _Speaker:
    """A ``Listener`` that tells the other side. One that is gone is noticed by ``_until_closed``."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def say(self, **message: object) -> None:
        """One message."""
        with contextlib.suppress(OSError):
            self._connection.sendall(json.dumps(message).encode() + b"\n")

    def on_phase(self, milestone: str, phase: str) -> None:
        self.say(phase=[milestone, phase])

    def on_check(self, milestone: str, result: CheckResult) -> None:
        """The milestone's result has it."""

    def on_timeline(self, timeline: Timeline) -> None:
        self.say(timeline=timeline_data(timeline))

    def on_milestone(self, result: MilestoneResult) -> None:
        self.say(milestone=dataclasses.asdict(result))


def ask(home: Home, request: RunRequest, listener: Listener) -> Report | None:
    """Have the running server of the request's workspace judged; ``None`` if there is no `labs run` that can judge it.

    ``EnvironmentFault`` with the words of the other side, or if it ends in the middle. Ctrl-C ends the run there, and
    the report says so.
    """
    for place in places(home, request.workspace.folder):
        with ExitStack() as stack:
            try:
                connection, stream = _greet(stack, place, request)
            except (OSError, ValueError, KeyError, TypeError):
                continue  # it has ended, and its port may be somebody else's now
            try:
                return _hear(stream, listener)
            except KeyboardInterrupt:
                connection.shutdown(socket.SHUT_WR)
                return _hear(stream, listener)
    return None


def places(home: Home, workspace: Path | None = None) -> Iterator[dict[str, Any]]:
    """What the files of this workspace say, or of all, the newest first."""
    for path in sorted(home.runs.glob(f"*/{FILE}"), key=_made, reverse=True):
        found = read_json(path)
        if isinstance(found, dict) and (workspace is None or found.get("workspace") == str(workspace.resolve())):
            yield found


def _greet(stack: ExitStack, place: dict[str, Any], request: RunRequest) -> tuple[socket.socket, BinaryIO]:
    """Ask; the connection and what will be heard on it. ``ValueError`` if what is there does not say hello."""
    connection = stack.enter_context(socket.create_connection(("127.0.0.1", place["port"]), timeout=PATIENCE))
    stream = stack.enter_context(connection.makefile("rb"))
    words = {"key": place["key"], "seed": request.seed,
             "milestones": [[one.milestone.id, one.role] for one in request.milestones]}
    connection.sendall(json.dumps(words).encode() + b"\n")
    if json.loads(stream.readline()) != {"hello": 1}:
        raise ValueError("no hello")
    connection.settimeout(None)
    return connection, stream


def _made(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # gone since it was listed
        return 0.0


def _hear(stream: BinaryIO, listener: Listener) -> Report:
    try:
        for line in stream:
            ((kind, value),) = json.loads(line).items()
            if kind == "report":
                return from_data(value)
            if kind == "error":
                code, message, hint = value
                raise EnvironmentFault(message, code=code, hint=hint)
            _tell(listener, kind, value)
    except (OSError, ValueError) as error:
        raise _ended() from error
    raise _ended()


def _tell(listener: Listener, kind: str, value: Any) -> None:
    match kind:
        case "phase":
            listener.on_phase(*value)
        case "timeline":
            listener.on_timeline(timeline_from_data(value))
        case "milestone":
            listener.on_milestone(milestone_from_data(value))


def _ended() -> EnvironmentFault:
    return EnvironmentFault("labs run ended while it judged your server", code="attached-ended", hint="labs check")
