"""What would crash or mislead later is said by lint: routes, names, keys, starters, chance."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.linting import CHECKS, change, found

from orchestrator.checks.routes import read_openapi

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefghij", "bcdefghijk", strict=True))


@pytest.mark.parametrize(("name", "old", "new", "finding"), [
    (CHECKS, 'server.post("/buyers"', 'server.post("/byers"', (CHECKS, 11, "unknown-route")),
    (CHECKS, 'server.post("/buyers"', 'server.post(f"/{name}"', None),
    (CHECKS, "expect.equal([(name,)]", "expect.eqaul([(name,)]", (CHECKS, 13, "unknown-expect")),
    (CHECKS, "from orchestrator.checks", "import random\nfrom orchestrator.checks", (CHECKS, 3, "own-chance")),
    (CHECKS, 'name = fresh.name("buyer")', 'import random\n    name = str(random.random())', (CHECKS, 8, "fixed-values")),
    ("lab.toml", 'services = ["postgres", "redis"]', 'services = ["postgres"]', (CHECKS, 8, "service-not-listed")),
    ("lab.toml", ">=7.2", "7.x", ("lab.toml", 11, "bad-value")),
    ("openapi.yaml", "  /buyers: {}\n", "  /buyers: {}\n  /buyers: {}\n", ("openapi.yaml", 4, "key-twice")),
    ("openapi.yaml", "paths:", f"x-{BOMB}paths:", ("openapi.yaml", None, "bad-openapi")),
])
def test_one_wrong_thing(lab: Path, name: str, old: str, new: str, finding: tuple[str, int | None, str] | None) -> None:
    change(lab, name, old, new)

    assert (finding in found(lab)) if finding else found(lab) == []


@pytest.mark.parametrize(("line", "bad"), [
    ('fault.down("redis")', True), ('fault.pause("redis").__enter__()', True), ('fault.cut("redis")', False),
    ('with fault.down("redis"): pass', False)])
def test_a_fault_that_nothing_ends(lab: Path, line: str, bad: bool) -> None:
    """Left on, it burns every budget behind it; without a block it is none."""
    change(lab, CHECKS, "listed, evidence):", "listed, evidence, fault):")
    change(lab, CHECKS, "    listed()\n", f"    listed()\n    {line}\n")

    assert ((CHECKS, 16, "fault-left-on") in found(lab)) is bad


def test_a_lab_without_a_contract(lab: Path) -> None:
    """Its checks ask for routes, and nobody is told which ones there are."""
    (lab / "openapi.yaml").unlink()

    assert found(lab) == [("openapi.yaml", None, "no-contract")]


def test_starters_that_init_cannot_copy(lab: Path) -> None:
    (lab / "starter/python").rename(lab / "starter/rust")
    assert ("starter/rust", None, "unknown-language") in found(lab)

    (lab / "starter/rust/workspace.toml").unlink()
    (lab / "starter/rust").rmdir()
    (lab / "starter").rmdir()
    assert found(lab) == [("starter", None, "no-starter")]


def test_aliases_are_never_written_out(tmp_path: Path) -> None:
    """Neither by lint nor by who judges: ten to the eleventh values are told by counting."""
    (tmp_path / "openapi.yaml").write_text(BOMB)
    began = time.monotonic()

    assert read_openapi(tmp_path) == {}
    assert time.monotonic() - began < 5


def test_a_fault_that_does_not_apply_is_found(lab: Path) -> None:
    """It is one more kind of patch."""
    patch = (lab / "solutions/wrong/shop-buyers-dict.patch").read_text()
    (lab / "solutions/faults").mkdir()
    (lab / "solutions/faults/cache-read.python.patch").write_text(patch)
    assert found(lab) == []

    (lab / "solutions/faults/cache-read.python.patch").write_text(patch.replace("-two = 2", "-two = 3"))
    assert ("solutions/faults/cache-read.python.patch", 7, "patch-fails") in found(lab)
