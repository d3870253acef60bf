"""Files of labs and of a lab that change while a server is judged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.judge.unspoilt import Unspoilt


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    lab, package = tmp_path / "lab", tmp_path / "package"
    for folder in (lab / "checks" / "fixtures", lab / "starter", package / "judge"):
        folder.mkdir(parents=True)
    for path in (lab / "lab.toml", lab / "checks" / "test_a.py", lab / "checks" / "fixtures" / "shop.py", lab / "starter" / "server.py", package / "judge" / "a.py"):
        path.write_text("before")
    return lab, package


@pytest.mark.parametrize(("change", "told"), [
    (lambda lab, package: (lab / "checks" / "test_a.py").write_text("after"), "test_a.py"),
    (lambda lab, package: (lab / "checks" / "conftest.py").write_text("new"), "conftest.py"),
    (lambda lab, package: (lab / "checks" / "fixtures" / "shop.py").write_text("after"), "shop.py"),
    (lambda lab, package: (lab / "checks" / "fixtures" / "more.py").write_text("new"), "more.py"),
    (lambda lab, package: (lab / "lab.toml").unlink(), "lab.toml"),
    (lambda lab, package: (package / "judge" / "a.py").write_text("AFTER!"), "a.py"),
    (lambda lab, package: (lab / "checks" / "test_a.py").touch(), ""),
    (lambda lab, package: (lab / "starter" / "server.py").write_text("after"), ""),
], ids=["a check", "a new file", "a fixture", "a new file of fixtures", "a file that went", "the package", "only touched", "no judge's file"])
def test_what_judges_must_stay_what_it_is(
    folders: tuple[Path, Path], change: Callable[[Path, Path], object], told: str
) -> None:
    """Its content counts; files that judge nobody do not."""
    files = Unspoilt(*folders)
    assert files.changed() == ""
    change(*folders)
    assert Path(files.changed()).name == told
