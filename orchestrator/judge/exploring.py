"""The supervisor's side of ``explore``: steps of the target counted, one of them held, cut, lost or the last.

The child leads (``checks/explore.py``); here its wishes are passed on to the proxy, and what came true is noted for the
time line.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.judge.child import CallFailed
from orchestrator.report.timeline import Mark

if TYPE_CHECKING:
    from orchestrator.faults.proxy import Proxy
    from orchestrator.faults.steps import MakeEar, RoundTrip, Steps

LONGEST_WAIT = 60.0
MOST_TEXT = 200
MARKS = {
    "hold": "your server is held before {}", "delay": "your server is held for a moment before {}",
    "cut": "the connection is cut before {}", "lose": "the connection is cut after {}, before its answer arrives",
    "late": "the connection is cut before {}, which comes late", "mute": "the answer to {} is held back",
}
"""What was done at a step -> the time line's words."""


class Exploring:
    """Answers ``explore.*``. ``crash(gone)`` kills the target, calls ``gone`` and starts it again."""

    def __init__(
        self, proxy: Proxy, ears: Callable[[], Mapping[str, MakeEar]], marks: list[Mark],
        crash: Callable[[Callable[[], None]], None],
    ) -> None:
        self._proxy = proxy
        self._ears = ears
        self._marks = marks
        self._crash_target = crash
        self._found: Steps | None = None
        self._where = ""
        self._do = ""
        self._learned: set[str] = set()
        self.methods: dict[str, Callable[[Mapping[str, Any]], object]] = {
            "explore.listen": self._listen,
            "explore.learn": self._learn,
            "explore.arm": self._arm,
            "explore.acted": self._acted,
            "explore.wake": lambda _: self._steps.wake(),
            "explore.release": self._release,
            "explore.crash": self._crash,
            "explore.settle": self._settle,
            "explore.still": lambda _: self._steps.still(),
            "explore.end": lambda _: self.close(),
        }

    def close(self) -> None:
        """Nothing is held any more. Harmless twice."""
        if self._found is not None:
            self._found.disarm()

    @property
    def _steps(self) -> Steps:
        if self._found is None:
            raise CallFailed("bug", "bug", "explore.listen must come first")
        return self._found

    def _listen(self, _: Mapping[str, Any]) -> None:
        self._found = self._proxy.steps(self._ears())

    def _learn(self, args: Mapping[str, Any]) -> None:
        """Once for all checks of a milestone: they share the server and its connections."""
        server = _server(args)
        if server not in self._learned:
            self._steps.learn(server, _seconds(args))
            self._learned.add(server)

    def _arm(self, args: Mapping[str, Any]) -> None:
        from orchestrator.faults.steps import Wish

        self._where, self._do = str(args.get("where", "")), str(args.get("do") or "")
        if not self._do:
            self._steps.arm(_server(args))
        elif self._do in MARKS:
            self._steps.arm(_server(args), Wish(
                self._do, str(args.get("service", "")), str(args.get("kind", "")),  # type: ignore[arg-type]
                int(args.get("nth", 0)), _seconds(args), int(args.get("times", 1))))
        else:
            raise CallFailed("bug", "bug", f"nothing of the name {self._do!r} can be done at a step")

    def _acted(self, args: Mapping[str, Any]) -> object:
        step = self._steps.acted(_seconds(args))
        if step is None:
            return None
        before = self._steps.taken()[:step.number - 1]
        if self._where:
            self._mark(f"{self._where}: {MARKS[self._do].format(_name(step))}")
        return {"step": _shown(step), "before": _shown(before[-1]) if before else None}

    def _release(self, args: Mapping[str, Any]) -> None:
        drop = args.get("drop") is True
        if self._where:
            self._mark("its connection is cut, and your server goes on" if drop else "your server goes on")
        if drop:
            self._steps.drop()
        else:
            self._steps.release()

    def _crash(self, _: Mapping[str, Any]) -> None:
        self._mark(f"{self._where}: your server is killed there, and started again")
        self._crash_target(self._steps.drop)

    def _settle(self, args: Mapping[str, Any]) -> object:
        self._steps.settle(_seconds(args), float(args.get("patience", 1.0)))
        return [_shown(step) for step in self._steps.taken()]

    def _mark(self, text: str) -> None:
        self._marks.append(Mark(time.time(), text))


def _shown(step: RoundTrip) -> dict[str, Any]:
    return {**dataclasses.asdict(step), "text": step.text[:MOST_TEXT]}


def _name(step: RoundTrip) -> str:
    return step.text[:MOST_TEXT] or f"a message to {step.service}"


def _server(args: Mapping[str, Any]) -> str:
    """The replica whose steps are meant; empty: the main server's."""
    return str(args.get("replica", ""))


def _seconds(args: Mapping[str, Any]) -> float:
    value = args.get("seconds", 0.0)
    good = isinstance(value, int | float) and not isinstance(value, bool)
    return min(max(float(value), 0.0), LONGEST_WAIT) if good else 0.0
