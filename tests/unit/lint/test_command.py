"""``labs lint`` as its user runs it: exit codes, one line a finding, the envelope; no traceback, whatever the lab is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestrator.catalog.labs import folder_at
from orchestrator.cli.complete import complete
from orchestrator.cli.lint_command import cli
from orchestrator.errors import UsageError


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


def test_a_good_lab_is_one_line(lab: Path) -> None:
    done = run(str(lab))

    assert (done.exit_code, done.stdout.count("\n"), done.stderr) == (0, 1, "")


def test_each_finding_is_a_line(lab: Path) -> None:
    (lab / "openapi.yaml").write_text("[]")
    (lab / "briefs/shop-buyers.md").write_text("")
    done = run(str(lab))

    assert done.exit_code == 4
    assert [line.split("  ")[:2] for line in done.stdout.splitlines()] == [
        ["briefs/shop-buyers.md", "brief-empty"], ["openapi.yaml", "bad-openapi"]]
    assert all("  -> " in line for line in done.stdout.splitlines())
    assert "2 problems" in done.stderr
    assert "next: mend them" in done.stderr


def test_the_envelope_has_the_list(lab: Path) -> None:
    (lab / "lab.toml").write_text("format =")
    answer = json.loads(run(str(lab), "--json").stdout)

    assert (answer["command"], answer["exit_code"], answer["errors"][0]["code"]) == ("lint", 4, "lab-invalid")
    assert answer["data"]["lab"] == "small"
    assert [set(one) for one in answer["data"]["findings"]] == [{"file", "line", "rule", "message", "fix"}]
    assert answer["data"]["findings"][0]["rule"] == "bad-toml"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"", b"\x00" * 9, os.urandom(3000), b"def f(:", b"\xef\xbb\xbfx = 1"])
@pytest.mark.parametrize("name", [
    "lab.toml", "checks/test_shop_buyers.py", "checks/conftest.py", "briefs/shop-buyers.md", "storage.md", "openapi.yaml",
    "solutions/wrong/shop-buyers-dict.patch", "solutions/accepted/python/workspace.toml", "solutions/proof.toml",
])
def test_garbage_is_a_finding_and_never_a_traceback(lab: Path, name: str, content: bytes) -> None:
    (lab / name).write_bytes(content)
    done = run(str(lab))

    assert done.exit_code in ((0, 4) if name in ("storage.md", "briefs/shop-buyers.md") else (4,))
    assert "our mistake" not in done.output


@pytest.mark.parametrize("name", ["lab.toml", "checks", "storage.md", "openapi.yaml", "briefs/shop-buyers.md",
                                  "checks/test_shop_buyers.py", "solutions/wrong/shop-buyers-dict.patch"])
@pytest.mark.parametrize("kind", ["folder", "loop", "missing"])
def test_other_things_than_files(lab: Path, name: str, kind: str) -> None:
    """A folder in a file's place, a link to itself, nothing at all."""
    (lab / name).rename(lab.parent / "away")
    if kind == "folder":
        (lab / name).mkdir()
    elif kind == "loop":
        (lab / name).symlink_to(lab / name)
    if (name, kind) == ("lab.toml", "missing"):
        with pytest.raises(UsageError, match=r"there is no lab\.toml"):
            folder_at(str(lab))
        return
    done = run(str(lab))

    assert done.exit_code == 4
    assert "our mistake" not in done.output


def test_a_lab_by_its_name_or_folder(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABS_PATH", str(lab.parent))
    monkeypatch.chdir(lab)

    assert folder_at("small") == folder_at(str(lab)) == folder_at(".") == lab
    with pytest.raises(UsageError, match="did you mean small") as caught:
        folder_at("smal")
    assert caught.value.code == "unknown-lab"
    assert run("smal").exit_code == 2


def test_shells_offer_labs() -> None:
    assert [one.value for one in complete("lint", "lab", "data")] == ["databases"]
