"""``labs lint`` about checks of several files, and what they share: counted wherever it stands, from file to file."""

from __future__ import annotations

from pathlib import Path

from support.linting import CHECKS, FIXTURE, change, extra, found, shared


def test_a_milestone_of_several_files(lab: Path) -> None:
    """The hints of a milestone are for reasons of any of them; two checks of one name are one too many."""
    change(lab, "lab.toml", f'checks = "{CHECKS}"', f'checks = ["{CHECKS}", "checks/test_more.py"]')
    (lab / "checks/test_more.py").write_text((lab / CHECKS).read_text().replace("def test_a_buyer", "def test_another"))
    (lab / CHECKS).write_text((lab / CHECKS).read_text().replace('"not-stored"', '"not-there"'))

    assert found(lab) == []

    change(lab, "checks/test_more.py", "def test_another", "def test_a_buyer")
    assert [(file, rule) for file, _, rule in found(lab)] == [("checks/test_more.py", "check-twice")]


def test_fixtures_in_files_of_their_own(lab: Path) -> None:
    """What a check reaches in ``checks/fixtures/`` counts as it does in a conftest, from file to file, too."""
    conftest = lab / "checks/conftest.py"
    shared(lab, "reading", conftest.read_text())
    conftest.unlink()

    assert found(lab) == []

    shared(lab, "reading", """import pytest

@pytest.fixture
def listed(row):
    return row
""")
    shared(lab, "rows", FIXTURE.format("row", "list-shape"))
    assert found(lab) == [("checks/fixtures/rows.py", 6, "unknown-service")]

    shared(lab, "rows", FIXTURE.format("row", "another"))
    assert [rule for _, _, rule in found(lab)] == ["unknown-reason", "unknown-service"]


def test_a_check_file_may_stand_in_for_a_shared_fixture(lab: Path) -> None:
    """And use it: what that one does is reached through it."""
    shared(lab, "rows", FIXTURE.format("row", "x"))
    extra(lab, """import pytest


@pytest.fixture
def row(row):
    return row


def test_b(row):
    \"\"\"B.\"\"\"
    row()
""")

    assert [one for one in found(lab) if one[0] == CHECKS] == []
