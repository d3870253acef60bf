"""``labs lint`` about files as such: what cannot be read, is not used, has a wrong name, leads elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.linting import CHECKS, FIXTURE, PATCH, change, found, shared

from orchestrator import resources
from orchestrator.lint.lint import lint

BREAK: list[tuple[Callable[[Path], object], tuple[str, int | None, str]]] = [
    (lambda lab: (lab / "lab.toml").write_bytes(b"x" * (50 * 1024 * 1024)), ("lab.toml", None, "too-large")),
    (lambda lab: (lab / "lab.toml").write_bytes(b"format = 1\n\xff"), ("lab.toml", 2, "not-utf-8")),
    (lambda lab: (lab / "lab.toml").write_text("a = " + "[" * 10_000), ("lab.toml", None, "bad-toml")),
    (lambda lab: ((lab / "lab.toml").unlink(), (lab / "lab.toml").mkdir()), ("lab.toml", None, "cannot-read")),
    (lambda lab: ((lab / "lab.toml").unlink(), os.mkfifo(lab / "lab.toml")), ("lab.toml", None, "cannot-read")),
    (lambda lab: (lab / "checks/test_junk.py").write_bytes(os.urandom(4096)), ("checks/test_junk.py", None, "checks-unused")),
    (lambda lab: (lab / CHECKS).write_bytes(b"\x00\xff\xfe" * 100), (CHECKS, None, "syntax-error")),
    (lambda lab: (lab / CHECKS).write_text("x = " + "(" * 5_000), (CHECKS, 1, "syntax-error")),
    (lambda lab: (lab / CHECKS).write_text("x = " + "-" * 100_000 + "1"), (CHECKS, None, "syntax-error")),
    (lambda lab: (lab / "checks/helper.py").write_text(""), ("checks/helper.py", None, "checks-unused")),
    (lambda lab: (lab / "checks/test_other.py").write_text(""), ("checks/test_other.py", None, "checks-unused")),
    (lambda lab: shared(lab, "deep/below", ""), ("checks/fixtures/deep/below.py", None, "checks-unused")),
    (lambda lab: shared(lab, "test_more", ""), ("checks/fixtures/test_more.py", None, "checks-unused")),
    (lambda lab: shared(lab, "Two words", ""), ("checks/fixtures/Two words.py", None, "bad-name")),
    (lambda lab: shared(lab, "shop", "def (:"), ("checks/fixtures/shop.py", 1, "syntax-error")),
    (lambda lab: shared(lab, "shop", "from .more import row"), ("checks/fixtures/shop.py", 1, "foreign-import")),
    (lambda lab: shared(lab, "shop", "from checks.fixtures.more import row"), ("checks/fixtures/shop.py", 1, "foreign-import")),
    (lambda lab: shared(lab, "shop", "import time\ntime.sleep(1)"), ("checks/fixtures/shop.py", 2, "sleeps")),
    (lambda lab: shared(lab, "shop", "def test_a():\n    pass"), ("checks/fixtures/shop.py", 1, "check-among-fixtures")),
    (lambda lab: shared(lab, "shop", FIXTURE.format("listed", "x")), ("checks/fixtures/shop.py", 4, "fixture-twice")),
    (lambda lab: (shared(lab, "shop", FIXTURE.format("row", "x")), shared(lab, "more", FIXTURE.format("row", "y"))),
     ("checks/fixtures/shop.py", 4, "fixture-twice")),
    (lambda lab: (lab / "briefs/other.md").write_text("x"), ("briefs/other.md", None, "brief-unused")),
    (lambda lab: (lab / "briefs/shop-buyers.md").write_bytes(b"\xff"), ("briefs/shop-buyers.md", 1, "not-utf-8")),
    (lambda lab: (lab / "briefs/Other one.md").write_text("x"), ("briefs/Other one.md", None, "bad-name")),
    (lambda lab: (lab / "starter/python/a b").write_text("x"), ("starter/python/a b", None, "bad-name")),
    (lambda lab: (lab / "Storage.md").write_text("x"), ("storage.md", None, "case-collision")),
    (lambda lab: (lab / "big.bin").write_bytes(b"x" * (6 * 1024 * 1024)), ("big.bin", None, "file-too-large")),
    (lambda lab: (lab / "storage.md").unlink(), ("storage.md", None, "no-storage-contract")),
    (lambda lab: (lab / "storage.md").write_bytes(b"\xff"), ("storage.md", 1, "not-utf-8")),
    (lambda lab: (lab / "passwd").symlink_to("/etc/passwd"), ("passwd", None, "link")),
    (lambda lab: (lab / "etc").symlink_to("/etc"), ("etc", None, "link")),
    (lambda lab: (lab / "loop").symlink_to("loop"), ("loop", None, "link")),
    (lambda lab: os.mkfifo(lab / "pipe"), ("pipe", None, "not-a-file")),
    (lambda lab: (lab / "solutions").rename(lab / "solution"), ("solution", None, "nearly-named")),
    (lambda lab: (lab / "solutions").rename(lab / "solution"), ("solutions", None, "no-solutions")),
    (lambda lab: (lab / "solutions/accepted").rename(lab / "solutions/acepted"), ("solutions/acepted", None, "nearly-named")),
    (lambda lab: (lab / "solutions/accepted").rename(lab / "solutions/acepted"), ("solutions/accepted", None, "bad-solutions")),
    (lambda lab: (lab / "solutions/accepted/go").mkdir(), ("solutions/accepted/go", None, "no-workspace")),
    (lambda lab: (lab / PATCH).rename(lab / "solutions/wrong/dict.patch"), ("solutions/wrong/dict.patch", None, "bad-patch-name")),
    (lambda lab: (lab / PATCH).rename(lab / "solutions/wrong/dict.diff"), ("solutions/wrong/dict.diff", None, "not-a-patch")),
    (lambda lab: (lab / PATCH).unlink(), ("lab.toml", 17, "no-wrong-solution")),
    (lambda lab: (lab / PATCH).write_bytes(b"\xff\xfe"), (PATCH, 1, "not-utf-8")),
    (lambda lab: ((lab / PATCH).unlink(), os.mkfifo(lab / PATCH)), (PATCH, None, "cannot-read")),
    (lambda lab: os.mkfifo(lab / "solutions/proof.toml"), ("solutions/proof.toml", None, "cannot-read")),
    (lambda lab: ((lab / PATCH).unlink(), (lab / PATCH).symlink_to("/dev/zero")), (PATCH, None, "cannot-read")),
    (lambda lab: change(lab, "lab.toml", "checks/test_shop", "./checks//test_none"), ("lab.toml", 21, "no-such-file")),
    (lambda lab: change(lab, "lab.toml", '"checks/test_shop_buyers.py"', '"solutions/accepted/python/server.py"'),
     ("solutions/accepted/python/server.py", None, "no-checks")),
    (lambda lab: change(lab, "lab.toml", "[[milestones]]", '[[milestones]]\nid = "shop/more"\ntitle = "More"\nchecks = '
                        f'"{CHECKS}"\nbrief = "briefs/shop-buyers.md"\n\n[[milestones]]'), ("lab.toml", 23, "checks-shared")),
    (lambda lab: ((lab / "storage.md").unlink(missing_ok=True), os.mkfifo(lab / "storage.md")), ("storage.md", None, "cannot-read")),
    (lambda lab: ((lab / "openapi.yaml").unlink(missing_ok=True), os.mkfifo(lab / "openapi.yaml")), ("openapi.yaml", None, "cannot-read")),
    (lambda lab: (lab / "openapi.yaml").write_text("[" * 5_000), ("openapi.yaml", None, "bad-openapi")),
]


@pytest.mark.parametrize(("spoil", "finding"), BREAK, ids=[f"{one[1][2]}-{number}" for number, one in enumerate(BREAK)])
def test_one_wrong_file(lab: Path, spoil: Callable[[Path], object], finding: tuple[str, int | None, str]) -> None:
    spoil(lab)

    assert finding in found(lab)


def test_another_way_to_write_a_path(lab: Path) -> None:
    change(lab, "lab.toml", "checks/test_shop", "./checks//test_shop")

    assert found(lab) == []


def test_a_link_is_not_followed(lab: Path, tmp_path: Path) -> None:
    """A check file that leads out of the lab is named, not read."""
    (tmp_path / "outside.py").write_text("import time\ntime.sleep(1)\n")
    (lab / "checks/test_link.py").symlink_to(tmp_path / "outside.py")

    assert {rule for file, _, rule in found(lab) if file == "checks/test_link.py"} == {"link", "path-outside", "checks-unused"}


def test_without_git_one_line_says_so(lab: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    change(lab, PATCH, "-two = 2", "-two = 3")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert found(lab) == [("solutions/wrong", None, "patches-not-checked")]


def test_an_installed_lab_has_no_solutions(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    shutil.rmtree(lab / "solutions")
    monkeypatch.setattr(resources, "is_checkout", lambda: False)

    assert found(lab) == []


def test_names_that_no_terminal_may_obey(lab: Path) -> None:
    """Whatever a file is called, the finding can be printed."""
    (lab / os.fsdecode(b"\xff\x1b[2J")).write_text("")

    (finding,) = lint(lab)
    assert finding.file == "\\udcff\\x1b[2J"
    assert str(finding).isprintable()
