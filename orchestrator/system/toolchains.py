"""The languages that have starters: the programs they need, and how to get them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from orchestrator.system.versions import at_least

TOOLCHAINS: dict[str, tuple[tuple[str, ...], str]] = {
    "python": (("python3",), "install Python 3.11 or newer: https://www.python.org/downloads/"),
    "go": (("go",), "install Go: https://go.dev/dl/"),
    "node": (("node", "npm"), "install Node.js, which brings npm: https://nodejs.org/"),
}

LEAST = {"python": "3.11", "go": "1.21", "node": "20"}
"""The oldest version of each program that builds and runs a starter."""
VERSION_SECONDS = 10

OTHERS = {
    "pip": "install Python 3.11 or newer: https://www.python.org/downloads/",
    "uv": "install uv: https://docs.astral.sh/uv/getting-started/installation/",
    "cargo": "install Rust: https://rustup.rs/",
    "java": "install a JDK: https://adoptium.net/",
    "mvn": "install Maven: https://maven.apache.org/install.html",
    "dotnet": "install .NET: https://dotnet.microsoft.com/download",
    "ruby": "install Ruby: https://www.ruby-lang.org/en/documentation/installation/",
    "bun": "install Bun: https://bun.sh/",
    "deno": "install Deno: https://deno.com/",
}


def how_to_get(program: str) -> str:
    """One sentence: how a missing program gets on this machine."""
    for language, (programs, remedy) in TOOLCHAINS.items():
        if program in programs or program == language:
            return remedy
    return OTHERS.get(program, "install it, or mend its name in workspace.toml")


def troubles(commands: Iterable[Sequence[str]], folder: Path) -> Iterator[tuple[str, str, str]]:
    """What is wrong with the programs that a workspace's commands begin with: the program, what, and what helps.

    One of the folder itself (``./server``) that is not there yet is still to be built.
    """
    for program in dict.fromkeys(command[0] for command in commands):
        path = str(folder / program) if "/" in program else shutil.which(program)
        if path is None:
            yield program, f"{program} is not on this machine", how_to_get(program)
        elif old := too_old(path):
            again = ", then rm -rf .venv" if program.startswith(".venv/") else ""
            yield program, old, how_to_get(_tool(path)) + again


def too_old(path: str) -> str:
    """``/usr/bin/python3 is 3.9.6; the starters need 3.11 or newer``; empty if it is not too old, or does not say."""
    tool = _tool(path)
    if not tool:
        return ""
    try:
        said = subprocess.run([path, "version" if tool == "go" else "--version"], capture_output=True, text=True,
                              errors="replace", timeout=VERSION_SECONDS, check=False, stdin=subprocess.DEVNULL).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"\d+(?:\.\d+)*", said)
    if found is None or at_least(found[0], LEAST[tool]):
        return ""
    return f"{path} is {found[0]}; the starters need {LEAST[tool]} or newer"


def _tool(path: str) -> str:
    """Which of ``LEAST`` a program is, by its name: ``python3.9`` is Python."""
    name = re.sub(r"[\d.]+$", "", Path(path).name)
    return name if name in LEAST else ""
