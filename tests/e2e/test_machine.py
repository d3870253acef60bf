"""Machines that are not as they should be: one line of cause and one command, whatever the command; never a hang."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from pathlib import Path

import pytest
from support.cli import Labs
from support.workspace import make_workspace

pytestmark = [pytest.mark.e2e, pytest.mark.engine("embedded")]

TINY = """
set -e
mkdir -p /var/lib/backend-labs
for folder in "$0" /var/lib/backend-labs; do mount -t tmpfs -o size=4m,mode=755 tmpfs "$folder"; done
exec "$@"
"""
"""A mount namespace of its own, in which both places that root's embedded services may use are nearly full."""


@pytest.mark.parametrize("command", ["start databases redis", "init databases --language python {folder}"])
def test_a_home_that_cannot_be_written(labs: Labs, tmp_path: Path, command: str) -> None:
    """Nobody can make a folder below /proc, not even root. What needs no home works all the same."""
    broken = dataclasses.replace(labs, home=Path("/proc/labs-home"))
    done = broken.run(*command.format(folder=tmp_path / "server").split())

    if command.startswith("init"):
        assert done.returncode == 0, done
        return
    assert done.returncode == 3, done
    assert "[home-unwritable]" in done.stderr
    assert "next: LABS_HOME=" in done.stderr
    assert broken.json("status")["data"]["services"] == []
    assert broken.json("list")["data"]


def test_a_check_in_a_home_that_cannot_be_written(labs: Labs, tmp_path: Path) -> None:
    """Ours, so never the server's fault."""
    make_workspace(tmp_path / "server")
    done = dataclasses.replace(labs, home=Path("/proc/labs-home")).run("check", cwd=tmp_path / "server")

    assert done.returncode == 3, done
    assert "[home-unwritable]" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk(labs: Labs, tmp_path: Path) -> None:
    """Four megabytes hold no database: said as such, without a traceback, and nothing runs."""
    (tmp_path / "home").mkdir()
    full = dataclasses.replace(labs, home=tmp_path / "home", command=(
        "unshare", "--mount", "sh", "-c", TINY, str(tmp_path / "home"), *labs.command))

    done = full.run("start", "databases")

    assert done.returncode == 3, done
    assert "[disk-full]" in done.stderr, done
    assert "next: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_clock_that_jumps(labs: Labs, tmp_path: Path) -> None:
    """The clock says another day at every look; budgets and deadlines count seconds all the same."""
    make_workspace(tmp_path / "server")
    (tmp_path / "jumping").mkdir()
    (tmp_path / "jumping/sitecustomize.py").write_text(
        "import random, time\nreal = time.time\n"
        "time.time = lambda: real() + random.choice([-1, 1]) * random.uniform(0, 86_400)\n")
    jumping = dataclasses.replace(labs, extra={"PYTHONPATH": str(tmp_path / "jumping")})

    told = jumping.json("check", cwd=tmp_path / "server")

    (result,) = [one for one in told["data"]["milestones"] if one["role"] == "next"]
    assert (result["verdict"], result["reason"]) == ("fail", "schema-missing-table"), told
    assert 0 < told["data"]["seconds"] < 60


def test_a_daemon_that_hangs_is_said_in_seconds(labs: Labs, tmp_path: Path) -> None:
    """A socket that accepts and never answers is not waited for."""
    script = ("import socket, sys, time\ns = socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\ns.listen()\n"
              "print('on', flush=True)\ntime.sleep(60)\n")
    path = tmp_path / "docker.sock"
    with subprocess.Popen(["python3", "-c", script, str(path)], stdout=subprocess.PIPE) as daemon:
        try:
            assert daemon.stdout is not None
            daemon.stdout.readline()
            hanging = dataclasses.replace(labs, engine="docker", extra={"LABS_DOCKER_HOST": f"unix://{path}"})
            done = hanging.run("start", "databases", timeout=20)
        finally:
            daemon.kill()

    assert done.returncode == 3, done
    assert "[engine-unreachable]" in done.stderr
