"""A judging world in small: services in memory behind real sockets, a real server, and children that are scripts."""

from __future__ import annotations

import json
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.notes import NotesEngine, NotesRecipe

from orchestrator.judge import forking, supervisor
from orchestrator.judge.child_process import Launch, Spawned
from orchestrator.judge.lane import Keep
from orchestrator.judge.request import RunRequest
from orchestrator.judge.venue import Venue
from orchestrator.judge.warmth import Warmth
from orchestrator.model import Lab, Milestone, Owner, ServerContract, ServiceNeed, Track, Workspace
from orchestrator.report.result import CheckResult, MilestoneResult, Report
from orchestrator.report.timeline import Timeline
from orchestrator.system.interrupt import SIGNALS, interrupt_once
from orchestrator.workspace.select import PlannedMilestone

OWNER = Owner("check-unit", "1", "i", "lease", os.getpid(), 1.0, "judge")


@pytest.fixture
def engine() -> Iterator[NotesEngine]:
    """An engine that must be empty in the end."""
    made = NotesEngine()
    yield made
    assert made.entries == {}, "the run left instances behind"


SERVER = '''
import http.server, os, socket, sys, time
behaviour = sys.argv[1] if len(sys.argv) > 1 else ""
if behaviour == "exits": sys.exit("I cannot start")
def ask(line):
    with socket.create_connection(("127.0.0.1", int(os.environ["NOTES_PORT"])), 2) as c:
        c.sendall(line.encode() + b"\\n")
        return c.makefile().readline()
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args): pass
    def do_GET(self):
        if self.path == "/die": os._exit(9)
        if self.path == "/hang": time.sleep(60)
        try: body = ask("all" if self.path == "/words" else "ping") if self.path != "/pid" else str(os.getpid())
        except OSError: self.send_response(503); self.end_headers(); return
        self.send_response(200); self.end_headers(); self.wfile.write(body.encode())
print("listening", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
'''

CHILD = '''
import json, os, signal, socket, sys, threading, time, urllib.request, urllib.error
sock = socket.socket(fileno=int(os.environ["LABS_CHANNEL"]))
sock.sendall(b'{"event":"hello","v":1}\\n')
lines = sock.makefile("r")
first = json.loads(lines.readline())
nonce, url = first["nonce"], first["target"]["url"]
def send(**message): sock.sendall((json.dumps({**message, "nonce": nonce}) + "\\n").encode())
def call(name, **args):
    send(call=name, id=1, args=args)
    reply = json.loads(lines.readline())
    if "failure" in reply: raise Failure(**reply["failure"])
    return reply["ok"]
class Failure(Exception):
    def __init__(self, kind="failed", reason="wrong-answer", what="the answer", **more):
        self.failure = {"kind": kind, "reason": reason, "what": what, **more}
def get(path):
    send(event="pending", what="GET " + path)
    try:
        with urllib.request.urlopen(url + path, timeout=30) as answer: return answer.read().decode().strip()
    except OSError as error: raise Failure("wrong", "no-answer", str(error))
    finally: send(event="idle")
def note(line):
    with socket.create_connection(("127.0.0.1", int(first["services"]["notes"]["port"])), 2) as c:
        c.sendall(line.encode() + b"\\n")
        return c.makefile().readline().strip()
checks = {}
def check(function):
    checks[first["milestone"] + "/" + function.__name__] = function
%s
send(event="collected", checks=list(checks))
for name, function in checks.items():
    send(event="started", check=name, title=name)
    send(event="phase", check=name, phase="setup", outcome="passed", seconds=0.0)
    failure, lines_seen = None, []
    try: lines_seen = [function() or ""]
    except Failure as error: failure = error.failure
    except Exception as error: failure = {"kind": "bug", "reason": "bug", "what": repr(error)}
    send(event="phase", check=name, phase="call", outcome="failed" if failure else "passed", seconds=0.1,
         **({"failure": failure} if failure else {}))
    send(event="phase", check=name, phase="teardown", outcome="passed", seconds=0.0)
    send(event="finished", check=name, evidence=lines_seen)
send(event="bye", count=len(checks))
sock.close(); lines.close()
'''


@dataclass
class Heard:
    """A listener that keeps what it hears."""

    phases: list[tuple[str, str]] = field(default_factory=list)
    checks: list[CheckResult] = field(default_factory=list)
    milestones: list[MilestoneResult] = field(default_factory=list)
    timelines: list[Timeline] = field(default_factory=list)
    on_phase_do: Callable[[str, str], None] = lambda milestone, phase: None

    def on_phase(self, milestone: str, phase: str) -> None:
        self.phases.append((milestone, phase))
        self.on_phase_do(milestone, phase)

    def on_check(self, milestone: str, result: CheckResult) -> None:
        self.checks.append(result)

    def on_timeline(self, timeline: Timeline) -> None:
        self.timelines.append(timeline)

    def on_milestone(self, result: MilestoneResult) -> None:
        self.milestones.append(result)


class World:
    """A lab, a workspace and their judge. ``milestone`` adds one with the bodies of its checks."""

    RIGHT = """
    @check
    def test_words():
        note("put hello")
        if get("/words") != "hello":
            raise Failure()
        return "Notes had the word that the server gave"
"""
    """The body of a check that a right server passes."""
    WRONG = """
    @check
    def test_words():
        raise Failure("failed", "not-stored", "the words", expected="hello", seen="")
"""
    """One that fails, whatever the server does."""

    def __init__(self, folder: Path, engine: NotesEngine) -> None:
        self.folder = folder
        self.engine = engine
        self.recipes: dict[str, Any] = {"notes": NotesRecipe()}
        self.services = [ServiceNeed("notes", ">=1,<2")]
        self.milestones: list[Milestone] = []
        self.roles: dict[str, str] = {}
        self.heard = Heard()
        self.build: tuple[tuple[str, ...], ...] = ()
        self.start_budget = 10.0
        self.env: dict[str, str] = {}
        self.keep: Keep | None = None
        self.warmth: Warmth | None = None
        self.owner = OWNER
        (folder / "workspace").mkdir()
        (folder / "checks").mkdir()
        (folder / "workspace" / "server.py").write_text(SERVER)
        self.run_argv: tuple[str, ...] = (sys.executable, "server.py")

    def milestone(self, milestone_id: str, body: str, *, needs: Sequence[str] = (),
                  services: Sequence[str] = ("notes",), budget: float = 20.0, defined: str | None = None,
                  role: str = "asked") -> None:
        """``body``: functions with ``@check``; ``defined``: the check file's text if not the same functions."""
        body = textwrap.dedent(body)
        path = self.folder / "checks" / f"{milestone_id.replace('/', '_')}.py"
        path.write_text(body.replace("@check\n", "") if defined is None else defined)
        path.with_suffix(".child").write_text(CHILD % body)
        self.milestones.append(Milestone(milestone_id, f"Title of {milestone_id}", tuple(needs), tuple(services), (path,),
                                         path, (), budget, 5, "core"))
        self.roles[milestone_id] = role

    def lab(self) -> Lab:
        return Lab("shop", "Shop", "", "shop", "1.0", self.folder, tuple(self.services),
                   ServerContract(self.env, self.start_budget, 60), (Track("notes", "", ""),), tuple(self.milestones))

    def judge(self, judges: int = 1) -> Report:
        scratch = self.folder / f"scratch-{len(list(self.folder.iterdir()))}"
        scratch.mkdir()
        planned: Any = tuple(PlannedMilestone(m, self.roles[m.id]) for m in self.milestones)  # type: ignore[arg-type]
        workspace = Workspace(self.folder / "workspace", "shop", self.build, self.run_argv)
        request = RunRequest(self.lab(), workspace, planned, seed=7, cache=self.folder / "cache")
        return supervisor.run(request, engine=self.engine, engine_reason="test",  # type: ignore[arg-type]
                              recipes=self.recipes, owner=self.owner, folder=scratch, listener=self.heard,
                              judges=judges, keep=self.keep, warmth=self.warmth)

    def one(self) -> MilestoneResult:
        """Judge; the result of the only milestone."""
        (result,) = self.judge().milestones
        return result


@pytest.fixture
def world(tmp_path: Path, engine: NotesEngine, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world without milestones. Its children are scripts instead of pytest."""

    def child(_: Venue, milestone: Milestone) -> Launch:
        script = str(milestone.checks[0].with_suffix(".child"))
        return partial(Spawned, lambda fd: ([sys.executable, "-I", script], {"LABS_CHANNEL": str(fd)}))

    monkeypatch.setattr(Venue, "child", child)
    monkeypatch.setattr(forking, "FORKS", False)
    return World(tmp_path, engine)


@pytest.fixture
def as_in_the_command() -> Iterator[None]:
    """Signals are heard as the command ``labs`` hears them."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    # A shell that runs the tests in the background ignores Ctrl-C for them, and what is ignored stays so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    interrupt_once()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def pretty(result: MilestoneResult) -> str:
    """For assertion messages."""
    return json.dumps([(check.id, check.verdict, check.reason, check.what) for check in result.checks])
