"""On a quarter of this machine every verdict of the accepted solution stays."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Labs

from orchestrator.catalog.labs import find_lab

CPU = Path("/sys/fs/cgroup/cpu")
ACCEPTED = Path(__file__).parents[2] / "labs/databases/solutions/accepted/python"


@pytest.fixture
def quarter() -> Iterator[Path]:
    """A control group (version 1) that gets a quarter of all processors' time."""
    if not (CPU / "cpu.cfs_quota_us").parent.is_dir() or not os.access(CPU, os.W_OK):
        pytest.skip("no control group of version 1 that could be limited here")
    group = CPU / f"labs-test-{os.getpid()}"
    group.mkdir()
    (group / "cpu.cfs_period_us").write_text("100000")
    (group / "cpu.cfs_quota_us").write_text(str(25_000 * (os.cpu_count() or 1)))
    yield group
    group.rmdir()


def test_the_accepted_solution_passes_on_a_quarter_of_the_machine(quarter: Path, tmp_path: Path) -> None:
    shutil.copytree(ACCEPTED, tmp_path / "server")
    labs = Labs(tmp_path / "home", "embedded")
    labs.ok("check", "postgres/schema", cwd=tmp_path / "server")  # the build is not what is limited
    slow = dataclasses.replace(labs, command=("sh", "-c", f'echo $$ > {quarter}/tasks; exec "$0" "$@"', *labs.command))

    done = slow.run("check", "--all", cwd=tmp_path / "server", timeout=900)

    assert done.returncode == 0, done
    every = len(find_lab("databases").milestones)
    assert f"{every} of {every} passed" in done.stdout
