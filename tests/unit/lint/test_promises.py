"""``labs lint`` about promises: what binds has a name, once, and checks name only what is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.linting import CHECKS, found

from orchestrator.lint.lint import lint

DEF = "\ndef test_a_buyer_is_a_row("


@pytest.fixture
def promising(lab: Path) -> Path:
    """The small lab with one promise, which its check judges."""
    page = lab / "storage.md"
    page.write_text(page.read_text() + '\nEach buyer is stored once.<a id="one-row"></a>\n')
    file = lab / CHECKS
    file.write_text(file.read_text().replace(DEF, f'\n@promises("one-row"){DEF}').replace(
        "import expect", "import expect, promises"))
    return lab


def test_a_lab_whose_promises_have_names_has_no_finding(promising: Path) -> None:
    assert [str(one) for one in lint(promising)] == []


@pytest.mark.parametrize(("more", "rule"), [
    ("Names must be exact.", "unnamed-promise"), ('Twice.<a id="one-row"></a>', "promise-twice"),
    ('Far.<a href="#away"></a>', "unknown-promise"), ('Odd.<a id="One_Row"></a>', "bad-promise")])
def test_a_sentence_needs_one_name_of_its_own(promising: Path, more: str, rule: str) -> None:
    page = promising / "storage.md"
    page.write_text(f"{page.read_text()}\n{more}\n")

    assert found(promising) == [("storage.md", len(page.read_text().splitlines()), rule)]


@pytest.mark.parametrize(("mark", "rule"), [
    ('@promises("one-rwo")', "unknown-promise"), ("@promises(ROW)", "bad-promise"), ("", "judges-nothing")])
def test_a_check_names_promises_that_are_there(promising: Path, mark: str, rule: str) -> None:
    file = promising / CHECKS
    file.write_text(file.read_text().replace('@promises("one-row")', mark or "# nothing"))

    assert [(name, one) for name, _, one in found(promising)] == [(CHECKS, rule)]


def test_a_wrong_solution_breaks_a_promise_that_is_there(promising: Path) -> None:
    patch = next((promising / "solutions" / "wrong").glob("*.patch"))
    patch.write_text(f"# promise: no-row\n{patch.read_text()}")

    assert ("unknown-promise" in {one for _, _, one in found(promising)})
