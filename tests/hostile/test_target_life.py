"""A server's start and end where the machine is not as hoped for: the cases L of `hostile.md` for a local process.

After every test nothing of it is left: no process with its ``LABS_RUN``, no file in its scratch folder (see ``make``).
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.target import DAEMON, SERVER, Make, health, invalid, processes_of
from support.wait import until

from orchestrator.model import Workspace
from orchestrator.system.ports import free_port
from orchestrator.targets import process as process_module
from orchestrator.targets.environ import target_environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and stands on Linux's subreaper")


def test_L02_when_labs_is_killed_even_the_stubborn_end(tmp_path: Path, run_id: str) -> None:
    """SIGKILL of `labs`: the keeper sees its pipe end; a server deaf to SIGTERM and its daemon have 5 s of grace."""
    (tmp_path / "server.py").write_text(SERVER + DAEMON + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                                        "daemon(lambda: time.sleep(600))\nserve()")
    program = f"""
import pathlib, sys, time
from orchestrator.model import Workspace
from orchestrator.workspace.budgets import Budget
from orchestrator.targets.process import Target
from orchestrator.targets.environ import target_environment
folder = pathlib.Path({str(tmp_path)!r})
target = Target(Workspace(folder, "lab", (), (sys.executable, "server.py")), port={free_port()},
                environment=target_environment(port=0, run_id={run_id!r}, services={{}}, extra={{}}),
                run_id={run_id!r}, start_budget=Budget(20), scratch=folder / "scratch")
target.start()
print("ready", flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as labs:
        assert labs.stdout is not None
        assert labs.stdout.readline() == "ready\n"
        assert len(processes_of(run_id)) >= 3
        labs.kill()

    until(lambda: not processes_of(run_id), seconds=12)


def test_L10_a_port_lost_between_choosing_and_binding_is_our_fault(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server says "address in use" and exits 1; that is not its mistake."""
    target = make("serve()")
    monkeypatch.setattr(process_module, "answers", lambda *_: False)
    with socket.create_server(("127.0.0.1", target.port)):
        error = invalid(target)

    assert error.reason == "port-taken-by-other"
    assert error.ours
    assert "in use" in error.log


def test_L10_an_answer_of_another_program_is_not_taken_for_the_servers(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose socket it is decides, not that something says HTTP."""
    target = make("time.sleep(60)")
    monkeypatch.setattr(process_module, "answers", lambda *_: False)
    with socket.create_server(("127.0.0.1", target.port)) as thief:
        threading.Thread(target=_accept_for_ever, args=(thief,), daemon=True).start()
        error = invalid(target)

    assert error.reason == "port-taken-by-other"


def _accept_for_ever(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            try:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            except OSError:
                continue


def test_L10_a_restart_follows_at_once_on_the_same_port(make: Make) -> None:
    """Connections that the server closed are remembered by the kernel for a minute; its port is free all the same."""
    target = make("serve()")
    for _ in range(3):
        target.start()
        assert health(target) == 503
        target.stop()


@pytest.mark.parametrize("folder", [
    "with a space", "quote'd \"twice\"", "$(touch pwned) `id` $HOME ; &", "żółw 漢字 🐢", "-rf", "x" * 200, "new\nline",
    "percent%s{x}",
])
def test_L20_a_folder_of_any_name_works(make: Make, tmp_path: Path, folder: str) -> None:
    """No shell reads it, nothing is split at it, and a program below it is found."""
    (tmp_path / folder).mkdir()
    program = tmp_path / folder / "run me"
    program.write_text('#!/bin/sh\nexec "$1" server.py\n')
    program.chmod(0o755)
    target = make("serve()", folder=folder, run=("./run me", sys.executable))
    target.start()

    assert target.alive()
    assert not (tmp_path / folder / "pwned").exists()


@pytest.mark.parametrize(("content", "mode", "words"), [
    ("#!/bin/sh\n", 0o644, "chmod +x ./go"),
    ("no first line\n", 0o755, "#!/bin/sh"),
    ("#!/no/such/interpreter\n", 0o755, "could not be started"),
])
def test_L20_a_program_that_cannot_be_executed_is_told_apart(
    make: Make, tmp_path: Path, content: str, mode: int, words: str
) -> None:
    """The system's words and what to do."""
    target = make("", run=("./go",))
    (tmp_path / "server" / "go").write_text(content)
    (tmp_path / "server" / "go").chmod(mode)

    assert words in invalid(target).message


def test_L20_a_folder_that_has_gone_is_told(make: Make, tmp_path: Path) -> None:
    """The learner moved it while `labs watch` ran."""
    target = make("serve()")
    target._workspace = Workspace(tmp_path / "moved", "lab", (), (sys.executable, "server.py"))

    assert "moved" in invalid(target).message


@pytest.mark.parametrize("mask", [0o077, 0o000])
def test_L20_any_umask_works(make: Make, mask: int) -> None:
    """Files are ours whatever the shell's habit."""
    before = os.umask(mask)
    try:
        target = make("serve()")
        target.start()
        assert target.alive()
    finally:
        os.umask(before)


def test_a_target_environment_has_the_port_of_the_target() -> None:
    """The variable, not a convention."""
    assert target_environment(port=18_000, run_id="r", services={}, extra={"PORT": "1"})["PORT"] == "18000"
