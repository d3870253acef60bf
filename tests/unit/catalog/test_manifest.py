"""``lab.toml``: every problem at once, with file and line; our own labs are valid."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from orchestrator import services
from orchestrator.catalog.labs import find_services
from orchestrator.catalog.manifest import Outline, OutlinedMilestone, _contradictions, _cycles, read_lab
from orchestrator.errors import LabInvalid
from orchestrator.resources import labs_folder

GOOD = """format = 1
title = "Small"
summary = "A small lab."
step = "databases"
version = "1.0.0"

[services.redis]
versions = ">=7.2"

[tracks.redis]
title = "Redis"
summary = "Keys."

[[milestones]]
id = "redis/ping"
title = "It answers"
services = ["redis"]
checks = "checks/test_ping.py"
brief = "briefs/ping.md"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lab = tmp_path / "small"
    for name in ("checks/test_ping.py", "briefs/ping.md"):
        (lab / name).parent.mkdir(parents=True, exist_ok=True)
        (lab / name).write_text("")
    return lab


def problems(folder: Path, text: str | bytes) -> list[str]:
    content = text if isinstance(text, bytes) else text.encode()
    (folder / "lab.toml").write_bytes(content)
    with pytest.raises(LabInvalid) as caught:
        read_lab(folder, services=["redis", "postgres"])
    assert caught.value.exit_code == 4
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("text", ["title = \"Sm\\u001b[2Jall\"", 'title = "Sm\\u202eall"', 'title = "Sm\\nall"',
                                  'title = "Sm\\u009b2Jall"'])
def test_a_text_that_steers_a_terminal_is_refused(folder: Path, text: str) -> None:
    """Titles are printed before anybody trusts the lab: `labs list` must not clear the screen."""
    (problem,) = problems(folder, GOOD.replace('title = "Small"', text))

    assert problem.isprintable()
    assert "control character" in problem or "one line" in problem


def test_texts_may_be_in_any_language(folder: Path) -> None:
    """No-break spaces, joined emojis and other scripts are no control characters."""
    (folder / "lab.toml").write_text(GOOD.replace("Small", "Klein\u00a0\U0001f468\u200d\U0001f4bb \u0635\u063a\u064a\u0631"))

    assert read_lab(folder, services=["redis"]).title.startswith("Klein\u00a0")


def test_a_good_file_is_a_lab(folder: Path) -> None:
    """Defaults are filled in and paths are absolute."""
    (folder / "lab.toml").write_text(GOOD)

    lab = read_lab(folder, services=["redis"])

    assert (lab.name, lab.milestones[0].id, lab.milestones[0].track, lab.milestones[0].budget) == (
        "small", "redis/ping", "redis", 30)
    assert lab.milestones[0].checks == (folder / "checks/test_ping.py",)


def test_a_service_that_starts_only_by_its_name(folder: Path) -> None:
    """It is the lab's as any other; `labs start LAB` without names leaves it alone."""
    text = GOOD.replace('[tracks.redis]', '[services.postgres]\nversions = ">=17"\nstart = false\n\n[tracks.redis]')
    (folder / "lab.toml").write_text(text)

    lab = read_lab(folder, services=["redis", "postgres"])

    assert [(need.name, need.start) for need in lab.services] == [("redis", True), ("postgres", False)]
    assert find_services(lab, ()) == ("redis",)
    assert find_services(lab, ("postgres",)) == ("postgres",)
    assert find_services(lab, ("postgres", "redis")) == ("redis", "postgres")
    (problem,) = problems(folder, text.replace("start = false", 'start = "later"'))
    assert problem.startswith("lab.toml:12: services.postgres.start:")


def test_a_milestone_may_have_several_files_of_checks(folder: Path) -> None:
    """In the order in which they are named; what is wrong with one of them is told."""
    (folder / "checks/test_more.py").touch()
    one, several = 'checks = "checks/test_ping.py"', 'checks = ["checks/test_ping.py", "checks/test_more.py"]'
    (folder / "lab.toml").write_text(GOOD.replace(one, several))

    assert read_lab(folder, services=["redis"]).milestones[0].checks == (
        folder / "checks/test_ping.py", folder / "checks/test_more.py")
    assert problems(folder, GOOD.replace(one, several.replace("more", "none"))) == [
        "lab.toml:18: redis/ping: checks 'checks/test_none.py' does not exist"]
    assert problems(folder, GOOD.replace(one, "checks = []")) == [
        "lab.toml:18: milestones.0.checks: Value should have at least 1 item after validation, not 0"]
    assert problems(folder, GOOD.replace(one, "checks = 3")) == [
        "lab.toml:18: milestones.0.checks: Input should be a valid list"]


def test_all_problems_are_told_at_once_with_their_lines(folder: Path) -> None:
    """A person mends a file in one go, not problem by problem."""
    text = GOOD.replace('title = "Small"\n', "").replace("title = \"It answers\"", "titel = \"It answers\"").replace(
        "format = 1", "format = 2")

    assert problems(folder, text) == [
        "lab.toml:1: format: Input should be 1",
        "lab.toml: title is missing",
        "lab.toml:13: milestones.0.title is missing",
        "lab.toml:15: unknown key milestones.0.titel; did you mean title?",
    ]


@pytest.mark.parametrize(("change", "problem"), [
    (('services = ["redis"]', 'services = ["reddis"]'),
     "lab.toml:17: redis/ping uses reddis, which the lab does not list; did you mean redis?"),
    (("[services.redis]", "[services.rediss]"), "lab.toml:7: unknown service rediss; did you mean redis?"),
    (('id = "redis/ping"', 'id = "redis/ping"\nneeds = ["redis/pin"]'),
     "lab.toml:16: redis/ping needs redis/pin, which does not exist; did you mean redis/ping?"),
    (('id = "redis/ping"', 'id = "redis/ping"\nneeds = ["redis/ping"]'),
     "lab.toml: needs go in a circle: redis/ping -> redis/ping"),
    (("checks/test_ping.py", "checks/none.py"), "lab.toml:18: redis/ping: checks 'checks/none.py' does not exist"),
    (("checks/test_ping.py", "../x.py"),
     "lab.toml:18: redis/ping: checks '../x.py' must be a path inside the lab's folder"),
    (("checks/test_ping.py", "/etc/passwd"),
     "lab.toml:18: redis/ping: checks '/etc/passwd' must be a path inside the lab's folder"),
    (("[tracks.redis]", "[tracks.redi]"),
     "lab.toml:15: milestone redis/ping: there is no [tracks.redis]; did you mean redi?"),
    (("[tracks.redis]", '[roles.keys]\nservices = ["redis", "postgers"]\nvariable = "URL"\n[tracks.redis]'),
     "lab.toml:11: role keys names postgers, which the lab does not list"),
    (("[tracks.redis]", '[roles.redis]\nservices = ["redis", "redis"]\nvariable = "URL"\n[tracks.redis]'),
     "lab.toml:10: role redis is called as a service is: checks could not tell them apart"),
])
def test_contradictions(folder: Path, change: tuple[str, str], problem: str) -> None:
    """Names that must exist, circles, paths that lead out."""
    assert problem in problems(folder, GOOD.replace(*change))


def test_a_long_chain_of_needs() -> None:
    """No stack ends on it, and a circle through all of it is found."""
    chain = [OutlinedMilestone(place, None, f"a/m{place}", (f"a/m{(place + 1) % 1500}",), (), (), "", ())
             for place in range(1500)]

    assert [len(cycle) for cycle in _cycles(Outline((), ("a",), tuple(chain)))] == [1501]


def test_the_core_needs_nothing_that_goes_deeper() -> None:
    """Else whoever does the core alone would be led to a milestone that they cannot begin."""
    one = OutlinedMilestone(0, 1, "a/one", ("a/two",), (), (), "", ())
    two = OutlinedMilestone(1, 2, "a/two", (), (), (), "", (), "deeper")

    found = [rule for _, _, rule in _contradictions(Outline((), ("a",), (one, two)), Path("lab"), ())]
    assert found == ["core-needs-deeper"]
    both = Outline((), ("a",), (dataclasses.replace(one, level="deeper"), two))
    assert not list(_contradictions(both, Path("lab"), ()))


def test_every_circle_is_found_from_its_first_milestone() -> None:
    """Two that have nothing in common, and two with a milestone in common: all at once."""
    needs = {"a/1": ("a/3",), "a/2": (), "a/3": ("a/1", "a/4"), "a/4": ("a/3",), "b/1": ("b/1",), "b/2": ("b/1", "gone")}
    milestones = [OutlinedMilestone(place, None, name, wanted, (), (), "", ())
                  for place, (name, wanted) in enumerate(needs.items())]

    assert sorted(_cycles(Outline((), ("a", "b"), tuple(milestones)))) == [
        ["a/1", "a/3", "a/1"], ["a/3", "a/4", "a/3"], ["b/1", "b/1"]]


def test_a_milestone_twice(folder: Path) -> None:
    """Ids are unique."""
    again = GOOD[GOOD.index("[[milestones]]"):]

    assert "lab.toml:22: milestone redis/ping is there twice" in problems(folder, GOOD + "\n" + again)


def test_a_link_that_leads_out_of_the_lab(folder: Path, tmp_path: Path) -> None:
    """A lab is a folder; nothing outside it is read."""
    (tmp_path / "outside.py").write_text("")
    (folder / "checks/test_ping.py").unlink()
    (folder / "checks/test_ping.py").symlink_to(tmp_path / "outside.py")

    assert any("leads out of the lab's folder" in problem for problem in problems(folder, GOOD))


@pytest.mark.parametrize("text", [b"format = ", b"\xff\xfe", b"a" * (2 * 1024 * 1024)])
def test_a_file_that_is_no_toml(folder: Path, text: bytes) -> None:
    """Broken, badly encoded, huge: one line each, no traceback."""
    assert len(problems(folder, text)) == 1


def test_a_folder_with_a_bad_name(tmp_path: Path) -> None:
    """The lab's name is its folder's, and commands must be able to say it."""
    lab = tmp_path / "My Lab"
    lab.mkdir()

    assert any("use lower-case letters" in problem for problem in problems(lab, GOOD))


def test_our_own_labs_are_valid() -> None:
    """Every lab that ships reads without a problem."""
    names = [folder.name for folder in sorted(labs_folder().iterdir()) if (folder / "lab.toml").is_file()]

    assert "databases" in names
    for name in names:
        assert read_lab(labs_folder() / name, services=services.names()).name == name
