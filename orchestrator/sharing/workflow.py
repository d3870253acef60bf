"""A workflow for GitHub Actions that judges a learner's server as `labs check --all` does elsewhere. Pure.

``commands`` is what it runs, in order; a test runs the same ones.
"""

from __future__ import annotations

import json
import re
import shlex

from orchestrator import __version__
from orchestrator.model import Workspace

PATH = ".github/workflows/labs.yml"
TOOLS = {
    "go": ("actions/setup-go@v6", "go-version", "stable"),
    "node": ("actions/setup-node@v6", "node-version", "lts/*"),
}
"""Language -> the action that installs it, and what it is told. Python is there for `labs` itself."""
PROGRAMS = {"go": "go", "node": "node", "npm": "node", "npx": "node", "pnpm": "node", "yarn": "node",
            "python": "python", "python3": "python", "uv": "python", "pip": "python", "poetry": "python"}


def commands(lab: str, version: str = __version__, *, source: str = "") -> tuple[str, ...]:
    """Install this very `labs`, add the lab if it came from a ``source`` (URL@COMMIT), get its images, judge all."""
    return (
        f"pipx install --python python3.12 backend-labs=={version}",
        *([f"labs add {shlex.quote(source)} --yes"] if source else []),
        f"labs pull {shlex.quote(lab)} --yes",
        "labs check --all",
    )


def workflow(lab: str, language: str, version: str = __version__, *, source: str = "") -> str:
    """The file's text."""
    steps = [_uses("actions/checkout@v6", "persist-credentials", "false"),
             _uses("actions/setup-python@v6", "python-version", '"3.12"')]
    if language in TOOLS:
        action, key, value = TOOLS[language]
        steps.append(_uses(action, key, _scalar(value)))
    elif language != "python":
        steps.append("      # If your server needs a language or a tool that GitHub's machines lack, install it here.")
    steps += [f"      - run: {_scalar(command)}" for command in commands(lab, version, source=source)]
    return "\n".join((
        "# Judges this server at every push, as `labs check --all` does on your machine.",
        "# Made by `labs init --ci github`; yours to change.",
        "name: labs",
        "on: [push, pull_request]",
        "permissions:",
        "  contents: read",
        "jobs:",
        "  check:",
        "    runs-on: ubuntu-24.04",
        "    timeout-minutes: 30",
        "    steps:",
        *steps,
    )) + "\n"


def language_of(workspace: Workspace) -> str:
    """The language that a workspace's commands are in: ``python``, ``go``, ``node``, else ``other``."""
    for command in (*workspace.build, workspace.run):
        program = re.sub(r"(?<=python)3?(?:\.\d+)?$", "", command[0].rsplit("/", 1)[-1])
        if program in PROGRAMS:
            return PROGRAMS[program]
    return "other"


def _uses(action: str, key: str, value: str) -> str:
    return f"      - uses: {action}\n        with:\n          {key}: {value}"


def _scalar(text: str) -> str:
    """A YAML value: as it is if nothing in it has a meaning there, else in double quotes."""
    return text if re.fullmatch(r"[A-Za-z][\w ./=-]*", text) else json.dumps(text)
