"""The conversation with a child: real processes that speak the protocol, well and badly."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from orchestrator.judge import child as child_module
from orchestrator.judge.child import CallFailed, Child
from orchestrator.judge.child_process import Spawned
from orchestrator.judge.verdict import Transcript

PRELUDE = """
import json, os, socket, subprocess, sys, threading, time
sock = socket.socket(fileno=int(os.environ["LABS_CHANNEL"]))
def send(**message): sock.sendall(json.dumps(message).encode() + b"\\n")
rest = b""
def receive():
    global rest
    while b"\\n" not in rest:
        data = sock.recv(65536)
        if not data: raise SystemExit(7)
        rest += data
    line, rest = rest.split(b"\\n", 1)
    return json.loads(line)
def hello():
    send(event="hello", v=1)
    first = receive()
    return first, first["nonce"]
"""
FIRST = {"v": 1, "nonce": "abc", "seed": 1}


class Answers:
    """Answers ``echo`` with its arguments, ``slow`` after ``release``, ``lost`` with a failure."""

    def __init__(self) -> None:
        self.release = threading.Event()

    def answer(self, call: str, args: Mapping[str, Any]) -> object:
        if call == "server.slow":
            self.release.wait(10)
        if call == "lost":
            raise CallFailed("lost", "service-lost", "gone")
        if call == "boom":
            raise ValueError("boom")
        return dict(args)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    """Start a child with this body."""
    with contextlib.ExitStack() as stack:

        def go(body: str) -> Child:
            script = tmp_path / "child.py"
            script.write_text(PRELUDE + body)

            def command(fd: int) -> tuple[Sequence[str], Mapping[str, str]]:
                return [sys.executable, "-I", str(script)], {"LABS_CHANNEL": str(fd), "PATH": os.environ["PATH"]}

            child = Child(partial(Spawned, command), folder=tmp_path, name="one")
            stack.callback(child.close)
            return child

        yield go


def talk(child: Child, *, budget: float = 20.0, answers: Answers | None = None) -> Transcript:
    return child.converse(FIRST, budget=budget, answerer=answers or Answers(), on_event=lambda _: None)


def test_events_and_status_are_recorded(start: Any) -> None:
    """All events in order, the exit status, nothing broken."""
    transcript = talk(start("""
first, nonce = hello()
send(event="collected", checks=["a"], nonce=nonce)
send(event="bye", count=0, nonce=nonce)
sock.close()
raise SystemExit(1)
"""))

    assert [message["event"] for message in transcript.events] == ["hello", "collected", "bye"]
    assert (transcript.status, transcript.broken, transcript.late) == (1, "", False)


def test_calls_are_answered_in_any_order(start: Any) -> None:
    """Two calls at once: the quick one is answered while the slow one lasts; failures and our bugs arrive as such."""
    answers = Answers()

    def on_event(events: Sequence[Any]) -> None:
        if events[-1].get("check") == "quick was first":
            answers.release.set()

    transcript = start("""
first, nonce = hello()
send(call="server.slow", id=1, args={}, nonce=nonce)
send(call="echo", id=2, args={"x": 1}, nonce=nonce)
assert receive() == {"id": 2, "ok": {"x": 1}}
send(event="finished", check="quick was first", nonce=nonce)
assert receive() == {"id": 1, "ok": {}}
send(call="lost", id=3, args={}, nonce=nonce)
assert receive()["failure"]["kind"] == "lost"
send(call="boom", id=4, args={}, nonce=nonce)
assert receive()["failure"]["kind"] == "bug"
""").converse(FIRST, budget=20.0, answerer=answers, on_event=on_event)

    assert transcript.status == 0


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("hello(); sock.sendall(b'nonsense\\n'); time.sleep(60)", "not JSON"),
        ("hello(); send(call='echo', id=1, args={}, nonce='guess'); time.sleep(60)", "nonce"),
        ("first, n = hello(); send(call=7, id=1, nonce=n); time.sleep(60)", "form"),
        ("send(event='hello', v=99); time.sleep(60)", "version"),
    ],
)
def test_a_broken_channel_ends_the_child(start: Any, body: str, words: str) -> None:
    """What is not the protocol ends the conversation at once, and the child with it."""
    began = time.monotonic()

    transcript = talk(start(body))

    assert words in transcript.broken
    assert transcript.status == -9
    assert time.monotonic() - began < 10


def test_a_child_that_crashes_gives_its_status_and_last_words(start: Any) -> None:
    """A crash is an end of the channel with the status and what pytest printed."""
    child = start("hello(); print('what I said last', flush=True); os._exit(3)")

    transcript = talk(child)

    assert (transcript.status, transcript.broken) == (3, "")
    assert "what I said last" in child.output()


def test_a_child_that_is_never_ready_is_broken(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Imports that hang do not hang the run."""
    monkeypatch.setattr(child_module, "HELLO_BUDGET", 0.3)

    assert "not ready" in talk(start("time.sleep(60)")).broken


def test_the_deadline_with_an_open_request_says_which(start: Any) -> None:
    """Late while a request is pending: the request is named; after ``idle`` none is."""
    pending = talk(start("""
first, nonce = hello()
send(event="pending", what="POST /orders", nonce=nonce)
time.sleep(60)
"""), budget=0.3)
    idle = talk(start("""
first, nonce = hello()
send(event="pending", what="POST /orders", nonce=nonce)
send(event="idle", nonce=nonce)
time.sleep(60)
"""), budget=0.3)

    assert (pending.late, pending.pending) == (True, "POST /orders")
    assert (idle.late, idle.pending) == (True, "")
    assert pending.status == -9


def test_the_deadline_in_a_restart_is_the_targets(start: Any) -> None:
    """A call to the target that we carry out for the check is an open call, too."""
    transcript = talk(start("""
first, nonce = hello()
send(call="server.slow", id=1, args={}, nonce=nonce)
time.sleep(60)
"""), budget=0.5)

    assert (transcript.late, transcript.pending) == (True, "server.slow()")


def test_the_budget_does_not_begin_before_the_child_is_ready(start: Any) -> None:
    """Slow imports are not taken off the milestone's time."""
    transcript = talk(start("time.sleep(0.6)\nfirst, nonce = hello()"), budget=0.5)

    assert (transcript.late, transcript.status) == (False, 0)


def test_the_whole_group_ends(start: Any, tmp_path: Path) -> None:
    """A process that a check left behind ends with the child, even if the child itself ended well."""
    child = start("""
first, nonce = hello()
left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
send(event="x", nonce=nonce, pid=left.pid)
raise SystemExit(0)
""")

    transcript = talk(child)

    assert transcript.status == 0
    pid = transcript.events[-1]["pid"]
    end = time.monotonic() + 5
    while time.monotonic() < end and _alive(pid):
        time.sleep(0.01)
    assert not _alive(pid)


def test_close_ends_a_child_that_was_only_started(start: Any) -> None:
    """A child started ahead for nothing is ended at once."""
    child = start("time.sleep(60)")
    pid = child._process.pid

    child.close()

    assert not _alive(pid)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
