"""A program never runs before it is on record, and may outlive us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.wait import until

from orchestrator.engines.embedded.launch import base_environment, exit_code, launch, wait
from orchestrator.system.processes import Identity, destroy, identify, look


def start(folder: Path, script: str, *, stdin: str | None = None) -> Identity:
    records: list[Identity] = []
    output = os.open(folder / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        identity = launch(["/bin/sh", "-c", script], cwd=folder, env=base_environment(folder), user=None,
                          output=output, record=records.append, stdin=stdin)
    finally:
        os.close(output)
    assert records == [identity]
    return identity


def test_a_program_whose_record_fails_never_runs(tmp_path: Path) -> None:
    """If its pid cannot be written down, nobody could end it later: so it does not even begin."""
    seen: list[Identity] = []

    def record(identity: Identity) -> None:
        seen.append(identity)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        launch(["/bin/sh", "-c", "touch ran"], cwd=tmp_path, env={}, user=None, output=1, record=record)

    assert look([seen[0].pid]) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_program_whose_starter_is_killed_before_the_record_never_runs(tmp_path: Path) -> None:
    """SIGKILL of `labs` between the start of a process and its record leaves neither process nor effect."""
    code = (
        "import os, pathlib, sys, time\n"
        "from orchestrator.engines.embedded.launch import launch\n"
        "def record(identity):\n"
        "    print(identity.pid, flush=True); time.sleep(60)\n"
        f"launch(['/bin/sh', '-c', 'touch ran'], cwd=pathlib.Path({str(tmp_path)!r}), env={{}}, user=None, output=2,"
        " record=record)\n")
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    gate = identify(int(starter.stdout.readline()))
    assert gate is not None

    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdout.close()

    until(lambda: identify(gate.pid) != gate)
    assert list(tmp_path.iterdir()) == []


def test_a_service_outlives_its_starter(tmp_path: Path) -> None:
    """The process that started it ends; the service runs on, in a session of its own, with nothing to read."""
    code = (
        "import os, pathlib\n"
        "from orchestrator.engines.embedded.launch import launch\n"
        "launch(['/bin/sh', '-c', 'read line; echo \"read $?\"; exec sleep 67'], cwd=pathlib.Path('.'), user=None,\n"
        "       env={}, output=os.open('log', os.O_WRONLY | os.O_CREAT, 0o600), record=lambda i: print(i.pid))\n")
    answer = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    service = identify(int(answer.stdout))
    assert service is not None
    try:
        assert look([service.pid])[service.pid].session == service.pid
        until(lambda: (tmp_path / "log").read_text() == "read 1\n")
    finally:
        destroy(service)


def test_a_step_reads_its_input_whole(tmp_path: Path) -> None:
    """What a step reads is exactly what it was given: the gate takes its own line and no more."""
    identity = start(tmp_path, "cat; exit 3", stdin="one\ntwo")

    assert wait(identity, seconds=10) == 3
    assert (tmp_path / "log").read_text() == "one\ntwo"


def test_the_exit_code_names_the_signal_and_stays(tmp_path: Path) -> None:
    """A child that was killed has a negative code, however often one asks."""
    identity = start(tmp_path, "kill -9 $$")

    assert wait(identity, seconds=10) == -9
    assert exit_code(identity) == -9


def test_the_learners_shell_is_not_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Services get their own few variables, so they behave alike in every terminal."""
    monkeypatch.setenv("PGDATA", "/elsewhere")
    identity = start(tmp_path, "env")

    assert wait(identity, seconds=10) == 0
    assert {line.split("=")[0] for line in (tmp_path / "log").read_text().splitlines()} <= {
        "PATH", "HOME", "LC_ALL", "TZ", "PWD", "OLDPWD", "SHLVL", "_"}
