"""The tutorial for instructors: its files and commands, in their order, as they are printed."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Labs

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PAGE = Path(__file__).parents[2] / "docs/write-a-lab.md"
BLOCK = re.compile(r"^```(\w+) ?([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LAB = "rate-limiter"
OWN_SERVICE = "## 10. "
MISTAKES = ("checks/test_limits_sleepy.py", "checks/test_limits_window.py append")


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of the page: what stands behind its language, and its text."""

    language: str
    info: str
    text: str

    def write(self, folder: Path) -> None:
        """The file that it is."""
        name, _, how = self.info.removeprefix("file=").partition(" ")
        path = folder / LAB / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{path.read_text()}\n\n{self.text}" if how == "append" else self.text, encoding="utf-8")

    def commands(self) -> Iterator[tuple[str, int]]:
        """The commands that it shows, each with its exit code."""
        for line in self.text.splitlines():
            command, _, comment = line.removeprefix("$ ").partition("   # exit ")
            yield command, int(comment or 0)


def blocks(text: str) -> Iterator[Block]:
    return (Block(*one) for one in BLOCK.findall(text))


def parts() -> tuple[str, str]:
    """The page up to the service of the lab's own, and from there on."""
    before, found, after = PAGE.read_text(encoding="utf-8").partition(OWN_SERVICE)
    assert found
    return before, after


@pytest.mark.engine("embedded")
def test_every_file_and_command_of_the_tutorial(labs: Labs, tmp_path: Path) -> None:
    """From `labs new` to a proof that holds; each deliberate mistake is found by what the page says finds it."""
    labs = dataclasses.replace(labs, home=tmp_path / "home")
    ran = []
    for block in blocks(parts()[0]):
        if block.info.startswith("file="):
            block.write(tmp_path)
        elif block.language == "console" and (block.info != "proof" or os.environ.get("PROOF") == "all"):
            ran += [run(labs, command, tmp_path, code) for command, code in block.commands()]

    assert len(ran) >= 10
    assert (tmp_path / "my-server/server.py").is_file()


@pytest.mark.engine("docker")
def test_a_service_of_the_labs_own(labs: Labs, tmp_path: Path) -> None:
    """The same lab with a service that `labs` does not know: linted, started, proved; then nothing of it is left."""
    before, after = parts()
    labs = dataclasses.replace(labs, extra={"LABS_PATH": str(tmp_path)})
    for block in blocks(before):
        if block.info.startswith("file=") and not block.info.removeprefix("file=").startswith(MISTAKES):
            block.write(tmp_path)
        elif block.language == "console":
            for command, code in block.commands():
                if command.startswith(("labs new", "rm ")) and "sleepy" not in command:
                    run(labs, command, tmp_path, code)
    ran = []
    for block in blocks(after):
        if block.info.startswith("file="):
            block.write(tmp_path)
        elif block.info.startswith("patch="):
            applied = subprocess.run(["git", "apply", "-p1", "-"], cwd=tmp_path / LAB / block.info[len("patch="):],
                                     input=block.text, text=True, capture_output=True, check=False)
            assert applied.returncode == 0, applied.stderr
        elif block.language == "console":
            ran += [run(labs, command, tmp_path, code) for command, code in block.commands()]

    assert len(ran) >= 5
    assert labs.json("status")["data"]["services"] == []


def run(labs: Labs, command: str, folder: Path, expected: int) -> str:
    """Run it; what it printed."""
    program, *words = shlex.split(command)
    if program == "labs":
        done = labs.run(*words, cwd=folder, timeout=1000)
    else:
        assert program == "rm", command
        done = subprocess.run([program, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == expected, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
