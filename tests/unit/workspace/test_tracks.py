"""The part of a lab that a workspace is for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from orchestrator.errors import WorkspaceInvalid
from orchestrator.model import Lab, Milestone, Role, ServerContract, Track, Workspace
from orchestrator.workspace.tracks import own_part
from orchestrator.workspace.workspace_toml import read_workspace

TOML = 'format = 1\nlab = "shop"\nrun = ["./server"]\n'


def milestone(milestone_id: str, *needs: str) -> Milestone:
    return Milestone(milestone_id, milestone_id, needs, (), (Path("c.py"),), Path("b.md"), (), 10.0, 1, "core")


LAB = Lab(
    "shop", "Shop", "", "shop", "1", Path(), (), ServerContract({}, 5, 5),
    (Track("pg", "", ""), Track("redis", "", ""), Track("files", "", "")),
    (milestone("pg/one"), milestone("pg/two", "pg/one"), milestone("redis/hold", "pg/one"), milestone("files/one")),
)


def workspace(folder: Path, more: str = "") -> Workspace:
    (folder / "workspace.toml").write_text(TOML + more)
    return read_workspace(folder)


def test_without_tracks_it_is_the_whole_lab(tmp_path: Path) -> None:
    assert own_part(LAB, workspace(tmp_path)) == LAB


def test_what_stands_in_for_another_is_nobodys_without_being_named(tmp_path: Path) -> None:
    """A server need not speak the languages of all that could play a role; one that names the track is for it."""
    lab = dataclasses.replace(LAB, roles=(Role("store", ("pg", "files"), "STORE_URL"),))

    assert {one.track for one in own_part(lab, workspace(tmp_path)).milestones} == {"pg", "redis"}
    assert {one.track for one in own_part(lab, workspace(tmp_path, 'tracks = ["files"]')).milestones} == {"files"}


def test_what_a_track_needs_of_others_stays(tmp_path: Path) -> None:
    """A learner of Redis alone still needs the first milestone of PostgreSQL, and sees that there is one."""
    part = own_part(LAB, workspace(tmp_path, 'tracks = ["redis"]'))

    assert [one.id for one in part.milestones] == ["pg/one", "redis/hold"]
    assert [one.id for one in part.tracks] == ["pg", "redis"]
    assert [one.id for one in own_part(LAB, workspace(tmp_path, 'tracks = ["files"]')).milestones] == ["files/one"]


@pytest.mark.parametrize(("value", "words"), [
    ('["redsi"]', "workspace.toml:4: shop has no track 'redsi'; did you mean redis?"),
    ('"redis"', "workspace.toml:4: tracks must be a list"),
    ("[]", "workspace.toml:4: tracks must be a list"),
    ("[7]", "workspace.toml:4: tracks must be a list"),
])
def test_what_is_no_track_is_said_with_its_line(tmp_path: Path, value: str, words: str) -> None:
    with pytest.raises(WorkspaceInvalid) as caught:
        own_part(LAB, workspace(tmp_path, f"tracks = {value}"))

    (problem,) = caught.value.problems
    assert str(problem).startswith(words)
