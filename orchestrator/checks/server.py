"""The learner's server as a check sees it: requests, streams, and its life by calls to the supervisor."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.checks.answer import Response
from orchestrator.checks.channel import Channel
from orchestrator.checks.contract import Contract
from orchestrator.checks.errors import Judged, MachineSlow, TargetTimeout, TargetWrong
from orchestrator.checks.http import Client, Limits
from orchestrator.checks.stream import EventStream

__all__ = ["Call", "NoAnswer", "Response", "Server"]

START_TOGETHER = 10.0
NO_ANSWER, NOT_STARTED = "no-answer", "restart-"
"""The reason why there is no answer, and how each begins with which a server did not start again."""
STARTS = ("server.restart", "server.kill", "server.start")
REFUSED = 400
"""From this status on an answer is no stream."""
MOSTLY = 0.6
"""A server that had to wait for others in this part of the time, or more, is not blamed for being late."""
RESTORE_GRACE = 1.0
"""Seconds of SIGTERM for a replica that a check left running: how it ends is not judged."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request of ``server.parallel``."""

    method: str
    path: str
    json: Any = None
    headers: Mapping[str, str] | None = None
    params: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The place of an answer that did not come, where the check asked to keep it. Without ``status``: it has none."""

    why: str


@dataclass(slots=True)
class Handed:
    """What one check of a milestone hands on to the next, so that no server is started more often than is needed."""

    replica: Mapping[str, str] | None = None
    """One that a check kept: its name and URL."""
    owed: str = ""
    """The call that puts the server right, made when a check comes that uses it."""


class Server:
    """One process of the learner's server."""

    def __init__(self, url: str, channel: Channel, *, limits: Limits, contract: Contract, replica: str | None = None,
                 starting: bool = False, handed: Handed | None = None,
                 on_exchange: Callable[[dict[str, object]], None]) -> None:
        self.url = url
        self._client = Client(url, limits)
        self._limits = limits
        self._channel = channel
        self._contract = contract
        self._replica = replica
        self._handed = handed or Handed()
        self._replicas: list[Server] = []
        self._stopped = False
        self._on_exchange = on_exchange
        self._starting = threading.Lock() if starting else None
        """Of a replica that may not have started yet; whoever asks it first waits for that."""

    @property
    def name(self) -> str:
        """Of a replica; the main server has none."""
        return self._replica or ""

    # --- requests --------------------------------------------------------------------------------------------

    def request(self, method: str, path: str, *, json: Any = None, content: bytes | str | None = None,
                headers: Mapping[str, str] | None = None, params: Mapping[str, str] | None = None,
                deadline: float = 5.0) -> Response:
        """One exchange over a fresh connection; ``deadline`` in seconds for all of it.

        An answer that the lab's ``openapi.yaml`` describes has the form it promises: else ``TargetWrong``.
        """
        self._wait()
        try:
            with self._channel.pending(f"{method} {path}"):
                response = self._client.request(method, path, json=json, content=content, headers=headers,
                                                params=params, deadline=deadline)
        except Judged as error:
            if error.exchange is not None:
                self._on_exchange(error.exchange)
            if isinstance(error, TargetTimeout):
                self._excuse(f"{method} {path}", deadline, error)
            raise
        self._on_exchange(response.exchange)
        self._contract.hold(method, path, response)
        return response

    def get(self, path: str, **options: Any) -> Response:
        """``GET``; options as ``request``."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> Response:
        """``POST``; options as ``request``."""
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> Response:
        """``PUT``; options as ``request``."""
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> Response:
        """``PATCH``; options as ``request``."""
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Response:
        """``DELETE``; options as ``request``."""
        return self.request("DELETE", path, **options)

    def parallel(self, calls: Sequence[Call], *, at_once: int = 50, deadline: float = 30.0,
                 unanswered: Literal["raise", "keep"] = "raise") -> list[Any]:
        """All calls, at most ``at_once`` at the same moment, started together; answers in the order of the calls.

        One without an answer raises, ours before the server's, wrong before late; with ``unanswered="keep"`` its place
        holds a ``NoAnswer``. An answer that is not as promised raises always.
        """
        if not calls:
            return []
        workers = min(at_once, len(calls))
        gate = threading.Barrier(workers)
        thread = threading.local()
        given_up = threading.Event()

        def one(call: Call) -> Response | NoAnswer | Exception:
            try:
                if not hasattr(thread, "passed"):
                    thread.passed = True
                    gate.wait(START_TOGETHER)
                if given_up.is_set():
                    return NoAnswer("not asked any more")
                return self.request(call.method, call.path, json=call.json, headers=call.headers, params=call.params,
                                    deadline=deadline)
            except Exception as error:
                if unanswered == "keep" and without_answer(error):
                    return NoAnswer(str(error))
                given_up.set()
                return error

        with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="labs-call") as pool:
            answers = list(pool.map(one, calls))
        errors = [answer for answer in answers if isinstance(answer, Exception)]
        ours = [error for error in errors if not isinstance(error, TargetWrong | TargetTimeout)]
        if ours:
            raise ours[0]
        if errors:
            raise next((error for error in errors if isinstance(error, TargetWrong)), errors[0])
        return answers

    def stream(
        self, path: str, *, headers: Mapping[str, str] | None = None, deadline: float = 5.0
    ) -> EventStream:
        """Open a stream of server-sent events; its header must come within ``deadline`` seconds.

        Where it is refused, with a status from 400 on, the whole answer must, and has the form that is promised, as in
        ``request``; it is the stream's ``answer``.
        """
        self._wait()
        headers = {"Accept": "text/event-stream", **(headers or {})}
        with self._channel.pending(f"GET {path}"):
            opened = self._client.open("GET", path, headers=headers, deadline=deadline)
            answer = self._client.read(opened, deadline) if opened.status >= REFUSED else None
        opened.limit.disarm()
        self._on_exchange(opened.exchange)
        if answer is not None:
            self._contract.hold("GET", path, answer)
        return EventStream(opened, self._channel, path, self._limits.body, answer)

    # --- life ------------------------------------------------------------------------------------------------

    def restart(self) -> None:
        """SIGTERM, grace, and start again: same space, URL and port."""
        self._life("server.restart")

    def restart_later(self) -> None:
        """As ``restart``, before the next check of this milestone that uses the server, if one comes."""
        self._handed.owed = "server.restart"

    def kill(self) -> None:
        """SIGKILL and start again."""
        self._life("server.kill")

    def stop(self, grace: float = 10.0) -> int:
        """SIGTERM and wait; the exit status (negative: a signal)."""
        if self._replica is not None:
            answer = self._channel.call("replica.stop", replica=self._replica, grace=grace)
            if self._handed.replica is not None and self._handed.replica["replica"] == self._replica:
                self._handed.replica = None
        else:
            answer = self._channel.call("server.stop", grace=grace)
        self._stopped = True
        return int(answer["status"])

    def start(self) -> None:
        """Start again after ``stop``."""
        self._life("server.start")
        self._stopped = False

    def replica(self, *, wait: bool = True, keep: bool = False, env: Mapping[str, str] | None = None) -> Server:
        """Another process of the same build on another port, with the same services; ends with the check.

        Without ``wait`` it starts while the check goes on; the first request to it waits until it is ready.
        ``keep``: it goes on, like the server itself, and later checks of this milestone that keep one get the same.
        ``env``: other values of variables that ``lab.toml`` gives the server in ``[server] env``, for this process.
        """
        if keep and env:
            raise ValueError("a replica that is kept has the values of lab.toml: leave out keep or env")
        answer = (self._handed.replica if keep else None) or self._life(
            "server.replica", wait=wait, **({"env": dict(env)} if env else {}))
        replica = Server(answer["url"], self._channel, limits=self._limits, contract=self._contract,
                         replica=answer["replica"], starting=not wait, handed=self._handed,
                         on_exchange=self._on_exchange)
        if keep:
            self._handed.replica = answer
        else:
            self._replicas.append(replica)
        return replica

    def log(self, lines: int = 40) -> str:
        """The last lines of the server's output."""
        return str(self._life("server.log", lines=lines))

    def prepare(self) -> None:
        """Before a check: the server is there, whatever an earlier check did to it."""
        owed, self._handed.owed = self._handed.owed, ""
        if owed:
            self._life(owed)

    def restore(self) -> None:
        """After a check: no replica is left that was not kept, and what the server needs for the next one is noted."""
        for replica in self._replicas:
            if not replica._stopped:
                replica.stop(RESTORE_GRACE)
        self._replicas.clear()
        if self._stopped:
            self._handed.owed = "server.start"

    def _excuse(self, what: str, deadline: float, error: Exception) -> None:
        """``MachineSlow`` if the server had no answer because the machine was busy with others."""
        lost = float(self._channel.call("machine.lost", seconds=deadline))
        if lost >= deadline * MOSTLY:
            raise MachineSlow(f"{what} had no answer within {deadline:g} s, of which your server waited "
                              f"{lost:.1f} s for a processor") from error

    def _wait(self) -> None:
        """Return when a replica that was not waited for is ready; raise what kept it from that."""
        starting = self._starting
        if starting is not None:
            with starting:
                if self._starting is not None:
                    try:
                        self._channel.call("replica.ready")
                    except Exception:
                        if self._handed.replica is not None and self._handed.replica["replica"] == self._replica:
                            self.stop(RESTORE_GRACE)  # nobody gets one that was kept and never started
                        raise
                    self._starting = None

    def _life(self, call: str, **args: Any) -> Any:
        if self._replica is not None:
            raise RuntimeError(f"a replica can only be asked and stopped: {call} is about the server itself")
        if call in STARTS:
            self._handed.owed = ""
        return self._channel.call(call, **args)


def without_answer(error: Exception) -> bool:
    """Whether this failure means that no answer came, or that the server did not start."""
    if isinstance(error, TargetWrong):
        return error.reason == NO_ANSWER or error.reason.startswith(NOT_STARTED)
    return isinstance(error, TargetTimeout)
