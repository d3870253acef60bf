"""The workflow for GitHub runs: the very commands that stand in it, on a server that is right."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from support.cli import Labs

from orchestrator import __version__

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.engine("embedded")]

SOLUTION = Path(__file__).parents[2] / "labs/databases/solutions/accepted/python"


def test_the_commands_of_the_workflow_pass_a_right_server(labs: Labs, tmp_path: Path) -> None:
    """Installing is the one line not run: this `labs` is that version already. On Docker: test_proof.py."""
    folder = tmp_path / "server"
    shutil.copytree(SOLUTION, folder)
    labs.ok("init", "--ci", "github", cwd=folder)
    (job,) = yaml.safe_load((folder / ".github/workflows/labs.yml").read_text(encoding="utf-8"))["jobs"].values()

    install, *lines = [step["run"] for step in job["steps"] if "run" in step]

    assert install == f"pipx install --python python3.12 backend-labs=={__version__}"
    assert len(lines) == 2
    runner = Labs(labs.home, labs.engine, extra={"CI": "true"})
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "labs"
        done = runner.run(*arguments, cwd=folder)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"

    proof = json.loads(labs.ok("share", "--json", cwd=folder))["data"]
    assert (proof["passed"], proof["milestones"], proof["notes"]) == (15, 15, [])
    labs.ok("bundle", "help.zip", "--source", cwd=folder)
