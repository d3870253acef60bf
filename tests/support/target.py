"""Servers that are started as targets, and who is left of them. Linux: it reads ``/proc``."""

from __future__ import annotations

import os
import sys
import textwrap
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.model import Workspace
from orchestrator.system.ports import free_port
from orchestrator.targets.environ import target_environment
from orchestrator.targets.process import Target, TargetInvalid
from orchestrator.workspace.budgets import Budget
from support.wait import until

SERVER = """
import ctypes, http.server, os, signal, socket, subprocess, sys, threading, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503)
        self.end_headers()
    def log_message(self, *args):
        pass
class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
def serve(host="127.0.0.1", port=int(os.environ["PORT"]), handler=Handler):
    Server((host, port), handler).serve_forever()
"""
"""Every server of these tests begins so."""

DAEMON = """
def daemon(work):
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    work()
    os._exit(0)
"""

Make = Callable[..., Target]


def processes_of(run_id: str) -> list[int]:
    """Pids of living processes that carry this run's id in their environment."""
    mark = f"LABS_RUN={run_id}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                state = (process / "stat").read_text().rpartition(")")[2].split()[0]
                if state not in "ZX":
                    found.append(int(process.name))
        except OSError:
            continue
    return found


@pytest.fixture
def run_id() -> str:
    return f"test-{os.urandom(6).hex()}"


@pytest.fixture
def make(tmp_path: Path, run_id: str) -> Iterator[Make]:
    """Makes targets from Python programs. In the end nobody of them is left, and no file of theirs."""
    made: list[Target] = []

    def factory(program: str, *, budget: float = 20.0, most: float = 0.0, folder: str = "server",
                run: tuple[str, ...] = (sys.executable, "server.py")) -> Target:
        workspace = tmp_path / folder
        workspace.mkdir(exist_ok=True)
        (workspace / "server.py").write_text(SERVER + textwrap.dedent(program))
        port = free_port()
        target = Target(Workspace(workspace, "lab", (), run), port=port,
                        environment=target_environment(port=port, run_id=run_id, services={}, extra={}),
                        run_id=run_id, start_budget=Budget(budget, most, "start_budget"), scratch=tmp_path / "scratch")
        made.append(target)
        return target

    yield factory
    for target in made:
        target.close()
    assert processes_of(run_id) == []
    assert not (tmp_path / "scratch").exists()


def invalid(target: Target) -> TargetInvalid:
    """Start it, which must fail; the reason."""
    with pytest.raises(TargetInvalid) as caught:
        target.start()
    return caught.value


def comes(path: Path) -> str:
    """The text of a file that a program is about to write."""
    return until(lambda: path.exists() and path.read_text())


def health(target: Target, seconds: float = 5.0) -> int:
    try:
        with urllib.request.urlopen(f"{target.url}/health", timeout=seconds) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
