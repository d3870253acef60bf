"""The learner's server as a check sees it: requests, streams, and its life by calls to the supervisor."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.checks.channel import Channel
from orchestrator.checks.errors import TargetTimeout, TargetWrong
from orchestrator.checks.http import Client, Response
from orchestrator.checks.stream import EventStream

__all__ = ["Call", "NoAnswer", "Response", "Server"]


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
    """The place of an answer that did not come, where the check asked to keep it."""

    why: str
    status: int = 0


class Server:
    """One process of the learner's server."""

    def __init__(self, url: str, channel: Channel, *, replica: str | None = None,
                 on_exchange: Callable[[dict[str, object]], None]) -> None:
        self.url = url
        self._client = Client(url)
        self._channel = channel
        self._replica = replica
        self._on_exchange = on_exchange

    # --- requests --------------------------------------------------------------------------------------------

    def request(self, method: str, path: str, *, json: Any = None, content: bytes | str | None = None,
                headers: Mapping[str, str] | None = None, params: Mapping[str, str] | None = None,
                deadline: float = 5.0) -> Response:
        """One exchange over a fresh connection; ``deadline`` in seconds for all of it."""
        with self._channel.pending(f"{method} {path}"):
            response = self._client.request(method, path, json=json, content=content, headers=headers, params=params,
                                            deadline=deadline)
        self._on_exchange(response.exchange)
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
        holds a ``NoAnswer``.
        """
        if not calls:
            return []
        workers = min(at_once, len(calls))
        gate = threading.Barrier(workers)
        first = threading.local()

        def one(call: Call) -> Response | Exception:
            if not hasattr(first, "passed"):
                first.passed = True
                gate.wait(10)
            try:
                return self.request(call.method, call.path, json=call.json, headers=call.headers, params=call.params,
                                    deadline=deadline)
            except Exception as error:
                return error

        with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="labs-call") as pool:
            answers = list(pool.map(one, calls))
        errors = [answer for answer in answers if isinstance(answer, Exception)]
        ours = [error for error in errors if not isinstance(error, TargetWrong | TargetTimeout)]
        if ours:
            raise ours[0]
        if errors and unanswered == "raise":
            raise next((error for error in errors if isinstance(error, TargetWrong)), errors[0])
        return [NoAnswer(str(answer)) if isinstance(answer, Exception) else answer for answer in answers]

    def stream(self, path: str, *, deadline: float = 5.0) -> EventStream:
        """Open a stream of server-sent events; its header must come within ``deadline`` seconds."""
        with self._channel.pending(f"GET {path}"):
            opened = self._client.open("GET", path, headers={"Accept": "text/event-stream"}, deadline=deadline)
        opened.disarm()
        self._on_exchange(opened.exchange)
        return EventStream(opened, self._channel, path)

    # --- life ------------------------------------------------------------------------------------------------

    def restart(self) -> None:
        """SIGTERM, grace, and start again: same space, URL and port."""
        self._channel.call("server.restart")

    def kill(self) -> None:
        """SIGKILL and start again."""
        self._channel.call("server.kill")

    def stop(self, grace: float = 10.0) -> int:
        """SIGTERM and wait; the exit status (negative: a signal)."""
        if self._replica is not None:
            answer = self._channel.call("replica.stop", replica=self._replica, grace=grace)
        else:
            answer = self._channel.call("server.stop", grace=grace)
        return int(answer["status"])

    def start(self) -> None:
        """Start again after ``stop``."""
        self._channel.call("server.start")

    def replica(self) -> Server:
        """Another process of the same build on another port, with the same services; ends with the milestone."""
        answer = self._channel.call("server.replica")
        return Server(answer["url"], self._channel, replica=answer["replica"], on_exchange=self._on_exchange)

    def log(self, lines: int = 40) -> str:
        """The last lines of the server's output."""
        return str(self._channel.call("server.log", lines=lines))
