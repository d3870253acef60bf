"""Completion and the manual page, as shells and ``man`` use them."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.workspace import make_workspace

from orchestrator.cli.command import guarded
from orchestrator.cli.main import GROUPS
from orchestrator.cli.outcome import Outcome

LABS = [sys.executable, "-m", "orchestrator"]


def completed(line: str, folder: Path, **extra: str) -> list[str]:
    """What bash is offered for the last word of a line."""
    words = line.split(" ")
    environment = {**os.environ, "_LABS_COMPLETE": "bash_complete", "COMP_WORDS": line,
                   "COMP_CWORD": str(len(words) - 1), **extra}
    done = subprocess.run(LABS, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return [row.partition(",")[2] for row in done.stdout.splitlines() if row]


@pytest.mark.parametrize(("line", "offered"), [
    ("labs st", ["start", "status", "stop"]),
    ("labs start d", ["databases"]),
    ("labs start databases r", ["redis"]),
    ("labs check redis/l", ["redis/leaderboard", "redis/live"]),
    ("labs check p", ["postgres", "postgres/schema"]),
    ("labs brief --lab d", ["databases"]),
    ("labs init databases --language ", ["python", "go", "node", "other"]),
    ("labs check --see", ["--seed"]),
    ("labs fault ", ["add", "heal", "list", "rm"]),
    ("labs fault add redis l", ["latency", "limit_data"]),
    ("labs nothing x", []),
])
def test_what_a_shell_is_offered(tmp_path: Path, line: str, offered: list[str]) -> None:
    found = completed(line, make_workspace(tmp_path / "server"))

    assert [one for one in found if one in offered] == offered, found
    assert bool(found) == bool(offered)


def test_a_broken_workspace_offers_nothing_and_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "workspace.toml").write_text("= broken")

    assert completed("labs check p", tmp_path) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_that_the_shell_takes(tmp_path: Path, shell: str) -> None:
    done = subprocess.run([*LABS, "completion", shell], capture_output=True, text=True, check=True)

    assert "_LABS_COMPLETE" in done.stdout
    assert f"labs completion {shell} >" in done.stderr
    if shutil.which(shell):
        (tmp_path / "script").write_text(done.stdout)
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True)


def test_bash_completes_by_the_script(tmp_path: Path) -> None:
    """The script in a real bash, with a command of that name."""
    (tmp_path / "labs").write_text(f'#!/bin/sh\nexec {" ".join(LABS)} "$@"\n')
    (tmp_path / "labs").chmod(0o755)
    script = subprocess.run([*LABS, "completion", "bash"], capture_output=True, text=True, check=True).stdout
    asked = script + '\nCOMP_WORDS=(labs doc); COMP_CWORD=1; _labs_completion labs; echo "${COMPREPLY[@]}"\n'
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True,
                          env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})

    assert done.stdout.strip() == "doctor"


def test_the_manual_has_every_command_and_option() -> None:
    page = subprocess.run([*LABS, "man"], capture_output=True, text=True, check=True).stdout

    for group in GROUPS.values():
        for name in group:
            assert re.search(rf'^\.SS "labs {name}\b', page, re.MULTILINE), name
            options = subprocess.run([*LABS, name, "--help"], capture_output=True, text=True, check=True).stdout
            for option in re.findall(r"^  .*?(--[a-z-]+)", options, re.MULTILINE):
                assert option.replace("-", "\\-") in page, (name, option)


@pytest.mark.skipif(shutil.which("groff") is None, reason="there is no groff on this machine")
def test_the_manual_can_be_read() -> None:
    page = subprocess.run([*LABS, "man"], capture_output=True, text=True, check=True).stdout
    done = subprocess.run(["groff", "-man", "-Tutf8", "-P-cbou", "-ww"], input=page, capture_output=True, text=True, check=True)

    assert done.stderr == ""
    assert "EXIT STATUS" in done.stdout.upper()


def test_the_help_fits_a_narrow_terminal_and_names_every_command() -> None:
    text = subprocess.run([*LABS, "--help"], capture_output=True, text=True, check=True,
                          env={**os.environ, "COLUMNS": "80"}).stdout

    assert max(len(line) for line in text.splitlines()) <= 80
    for name in (name for group in GROUPS.values() for name in group):
        assert re.search(rf"^  {name} ", text, re.MULTILINE)


@pytest.mark.parametrize("error", [
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/home/x"),
    shutil.Error([("a", "b", f"[Errno 28] {os.strerror(errno.ENOSPC)}: 'b'")]),
])
def test_a_full_disk_is_not_our_mistake(error: OSError) -> None:
    """Wherever it was met: the machine's trouble, and what gives room."""
    def write() -> Outcome:
        raise error

    outcome = guarded(write)
    (said,) = outcome.errors

    assert (outcome.exit_code, said.code) == (3, "disk-full")
    assert "the disk is full" in said.message
