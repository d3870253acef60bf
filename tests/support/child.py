"""A real pytest child on a lab made in the test: started, heard and judged as the supervisor does it."""

from __future__ import annotations

import json
import socket
import subprocess
import textwrap
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator import services
from orchestrator.checks.protocol import Message
from orchestrator.judge.child import CallFailed
from orchestrator.judge.child import Child as PytestChild
from orchestrator.judge.child_process import Spawned
from orchestrator.judge.command import child_command
from orchestrator.judge.control import ControlServer
from orchestrator.judge.verdict import Judgement, Transcript, expected_checks, judge
from orchestrator.report.result import CheckResult

MILESTONE = "shop/step"
NONCE = "a-nonce"
READERS = {name: module for name in ("postgres", "redis") if (module := services.part_name(name, "evidence"))}


class NoCalls:
    """An answerer for checks that call nothing, in a space without services."""

    def answer(self, call: str, args: Mapping[str, Any]) -> object:
        if call == "service.admin":
            raise CallFailed("unjudged", "no-service", f"the judge space has no service {args['service']!r}")
        if call == "machine.lost":
            return 0.0
        raise AssertionError(f"{call} was called")


@dataclass(frozen=True)
class Run:
    """What a child said, and what it means."""

    transcript: Transcript
    judgement: Judgement
    output: str

    def __getitem__(self, name: str) -> CheckResult:
        return next(check for check in self.judgement.checks if check.id == f"{MILESTONE}/{name}")

    def events(self, event: str) -> list[Message]:
        return [message for message in self.transcript.events if message.get("event") == event]


def make_lab(folder: Path, source: str, conftest: str = "", fixtures: Mapping[str, str] | None = None) -> Path:
    """A lab with one file of checks; that file. ``fixtures``: topic -> a file of ``checks/fixtures/``."""
    (folder / "checks").mkdir(parents=True)
    (folder / "checks" / "conftest.py").write_text(textwrap.dedent(conftest))
    for topic, text in (fixtures or {}).items():
        (folder / "checks" / "fixtures").mkdir(exist_ok=True)
        (folder / "checks" / "fixtures" / f"{topic}.py").write_text(textwrap.dedent(text))
    checks = folder / "checks" / "test_shop_step.py"
    checks.write_text(textwrap.dedent(source))
    return checks


def first_message(url: str = "http://127.0.0.1:9", *, control: int = 9, **more: Any) -> Message:
    limits = {"body": 1024 * 1024, "header": 64 * 1024, "depth": 64}
    return {"v": 1, "nonce": NONCE, "seed": 7, "milestone": MILESTONE, "target": {"url": url, "log_hint": ""},
            "services": {}, "control": {"port": control}, "limits": limits, **more}


def run_checks(
    folder: Path, source: str, *, url: str = "http://127.0.0.1:9", conftest: str = "", answerer: Any = None,
    budget: float = 120.0, lab: str = "lab", wrap: Callable[[list[str], dict[str, str]], Any] | None = None,
    fixtures: Mapping[str, str] | None = None, **first: Any,
) -> Run:
    """Run a file of checks in a child. ``wrap`` may look at argv and environment."""
    checks = make_lab(folder / lab, source, conftest, fixtures)
    scratch = folder / "scratch"
    scratch.mkdir()
    command = child_command(folder / lab, [checks], READERS, {})

    def looked_at(descriptor: int) -> tuple[list[str], dict[str, str]]:
        argv, environment = command(descriptor)
        if wrap is not None:
            wrap(argv, environment)
        return argv, environment

    with ControlServer() as control, closing(PytestChild(partial(Spawned, looked_at), folder=scratch, name="child")) as child:
        transcript = child.converse(first_message(url, control=control.port, **first), budget=budget,
                                    answerer=answerer or NoCalls(), on_event=lambda events: None)
        judgement = judge(expected_checks(MILESTONE, checks.read_text()), transcript, NONCE)
        return Run(transcript, judgement, child.output())


class Child:
    """A child and its channel, raw."""

    def __init__(self, folder: Path, source: str) -> None:
        folder.mkdir(exist_ok=True)
        checks = make_lab(folder / "lab", source)
        ours, theirs = socket.socketpair()
        argv, environment = child_command(folder / "lab", [checks], READERS, {})(theirs.fileno())
        self.process = subprocess.Popen(argv, env=environment, cwd=folder, pass_fds=[theirs.fileno()],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        theirs.close()
        self.channel = ours
        ours.settimeout(60)
        self._lines = ours.makefile("rb")

    def hear(self) -> dict[str, Any]:
        return dict(json.loads(self._lines.readline()))

    def say(self, message: dict[str, Any]) -> None:
        self.channel.sendall(json.dumps(message).encode() + b"\n")

    def hang_up(self) -> int:
        self._lines.close()
        self.channel.close()
        return self.process.wait(10)
