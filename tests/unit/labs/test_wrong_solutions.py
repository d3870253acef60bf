"""The wrong solutions of each of our labs: patches that say what they are, and apply to the server that they are of."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from support.workspace import patch

from orchestrator.catalog.labs import find_lab

LABS = Path(__file__).parents[3] / "labs"
PATCHES = sorted(LABS.glob("*/solutions/wrong/*.patch"))
HEADER = re.compile(r"# milestone: (?P<milestone>\S+)\n# reason: (?P<reason>[a-z0-9-]+)\n"
                    r"# promises?: (?P<promise>[a-z0-9-]+(?:, [a-z0-9-]+)*)\n"
                    r"(?:# on: (?P<on>[a-z-]+)\n)?# story: (?P<story>\S.*\.)\n\n")


def milestones(lab: str) -> set[str]:
    return {one.id for one in find_lab(lab).milestones}


@pytest.mark.parametrize("wrong", PATCHES, ids=lambda path: path.stem)
def test_a_wrong_solution_is_a_named_patch(wrong: Path, tmp_path: Path) -> None:
    """A patch says its milestone, reason, promise and story, is named by its milestone, applies, and leaves valid Python."""
    header = HEADER.match(wrong.read_text())
    assert header, "milestone, reason, promise and story come first"
    assert header["milestone"] in milestones(wrong.parents[2].name)
    assert wrong.stem.startswith(header["milestone"].replace("/", "-") + "-")
    copy = tmp_path / "server"
    shutil.copytree(wrong.parents[1] / "accepted" / (header["on"] or "python"), copy)
    patch(copy, wrong)
    for path in copy.glob("*.py"):
        compile(path.read_text(), str(path), "exec")


@pytest.mark.parametrize("lab", sorted(path.parent.name for path in LABS.glob("*/lab.toml")))
def test_each_milestone_has_a_wrong_solution(lab: str) -> None:
    """No milestone is without a wrong solution that it must catch."""
    caught = {match["milestone"] for wrong in PATCHES if wrong.parents[2].name == lab
              and (match := HEADER.match(wrong.read_text()))}
    assert caught == milestones(lab)
