"""The workflow for GitHub runs: the very commands that stand in it, on a server that is right."""

from __future__ import annotations

import dataclasses
import json
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from support.cli import Labs
from support.small_labs import make_lab

from orchestrator import __version__

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.engine("embedded")]


def test_the_commands_of_the_workflow_pass_a_right_server(labs: Labs, tmp_path: Path) -> None:
    """Installing is the one line not run: this `labs` is that version already.

    On a lab of two milestones: `tests/e2e/test_proof.py` and the ordinary user's leg judge all of `databases`.
    """
    lab = make_lab(tmp_path, "mixed", ("http", "keys"))
    labs = dataclasses.replace(labs, extra={"LABS_PATH": str(tmp_path)})
    folder = tmp_path / "server"
    labs.ok("init", "mixed", str(folder), "--language", "python", "--ci", "github")
    shutil.copy(lab / "solutions/accepted/python/server.py", folder)
    (job,) = yaml.safe_load((folder / ".github/workflows/labs.yml").read_text(encoding="utf-8"))["jobs"].values()

    install, *lines = [step["run"] for step in job["steps"] if "run" in step]

    assert install == f"pipx install --python python3.12 backend-labs=={__version__}"
    assert len(lines) == 2
    runner = dataclasses.replace(labs, extra={**labs.extra, "CI": "true"})
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "labs"
        done = runner.run(*arguments, cwd=folder)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"

    proof = json.loads(labs.ok("share", "--json", cwd=folder))["data"]
    assert (proof["passed"], proof["milestones"], proof["notes"]) == (2, 2, [])
    labs.ok("bundle", "help.zip", "--source", cwd=folder)
