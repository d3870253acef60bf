"""Which build commands only install packages, and when they must run again."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.model import Workspace
from orchestrator.targets.build import build
from orchestrator.targets.installs import Install, Installed, install_of
from orchestrator.workspace.budgets import Budget

PIP = (".venv/bin/python", "-m", "pip", "install")
PLAIN = "# ours\nflask==3.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\npsycopg[binary]>=3 ; python_version < '4'  # db\n"


@pytest.mark.parametrize(("command", "requirements", "known"), [
    (("python3", "-m", "venv", ".venv"), "", True),
    (("python3", "-m", "venv", "../venv"), "", False),
    (("python3", "-m", "venv", "/opt/venv"), "", False),
    (("python3", "-m", "venv", "--clear", ".venv"), "", False),
    ((*PIP, "-q", "--require-hashes", "-r", "requirements.txt"), PLAIN, True),
    ((*PIP, "-r", "requirements.txt"), "flask\n-e .\n", False),
    ((*PIP, "-r", "requirements.txt"), "flask\n-r more.txt\n", False),
    ((*PIP, "-r", "requirements.txt"), "./lib\n", False),
    ((*PIP, "-r", "requirements.txt"), "lib @ file:lib\n", False),
    ((*PIP, "-r", "requirements.txt"), "flask\n/opt/lib\n", False),
    ((*PIP, "-r", "requirements.txt"), "lib-1.0-py3-none-any.whl\n", False),
    ((*PIP, "-r", "requirements.txt"), "--index-url x\nflask\n", False),
    ((*PIP, "-r", "none.txt"), PLAIN, False),
    ((*PIP, "."), PLAIN, False),
    ((*PIP, "-r", "requirements.txt", "."), PLAIN, False),
    ((*PIP, "flask"), PLAIN, False),
    (("pip", "install", "-r", "requirements.txt"), PLAIN, False),
    (("python3", "setup.py", "build"), "", False),
    (("go", "build", "-o", "server", "."), "", False),
    (("npm", "run", "build"), "", False),
])
def test_only_exact_forms_are_known(tmp_path: Path, command: tuple[str, ...], requirements: str, known: bool) -> None:
    """Whatever may read the server's source is no install."""
    (tmp_path / "requirements.txt").write_text(requirements)

    assert (install_of(command, tmp_path) is not None) == known


@pytest.mark.parametrize(("package", "lock", "known"), [
    ({"dependencies": {"pg": "8"}, "scripts": {"start": "node server.js"}}, "{}", True),
    ({"scripts": {"postinstall": "tsc"}}, "{}", False),
    ({"scripts": {"prepare": "tsc"}}, "{}", False),
    ({"workspaces": ["lib"]}, "{}", False),
    ({}, '{"packages": {"node_modules/lib": {"resolved": "lib", "link": true}}}', False),
    ([], "{}", False),
    ({}, None, False),
])
def test_npm_ci(tmp_path: Path, package: object, lock: str | None, known: bool) -> None:
    """A package with scripts of its own, or with packages beside it, installs anew each time."""
    (tmp_path / "package.json").write_text(json.dumps(package))
    if lock is not None:
        (tmp_path / "package-lock.json").write_text(lock)

    found = install_of(("npm", "ci", "--no-audit"), tmp_path)

    assert (found == Install(("package.json", "package-lock.json"), ("node_modules/.package-lock.json",))) == known
    assert install_of(("npm", "ci", "lib"), tmp_path) is None


class Environment:
    """A workspace with a virtual environment that a script pretends to make."""

    COMMANDS = (("./make", "-m", "venv", ".venv"), (*PIP, "-r", "requirements.txt"))

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "server"
        self.folder.mkdir()
        self.log = folder / "log"
        self.cache = folder / "cache"
        (self.folder / "server.py").write_text("1")
        (self.folder / "requirements.txt").write_text("flask==1\n")
        python = f"#!/bin/sh\necho pip >>{self.log}\ntouch .venv/lib/python3/site-packages/new; [ ! -e broken ]\n"
        self._script("make", f"#!/bin/sh\necho venv >>{self.log}\nmkdir -p .venv/bin .venv/lib/python3/site-packages\n"
                             f"touch .venv/pyvenv.cfg; cp python.sh .venv/bin/python\n")
        self._script("python.sh", python)

    def _script(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)

    def build(self) -> list[str]:
        """Build; which commands ran."""
        self.log.write_text("")
        build(Workspace(self.folder, "databases", self.COMMANDS, (sys.executable, "server.py")), budget=Budget(20),
              cache=self.cache)
        return self.log.read_text().split()


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    made = Environment(tmp_path)
    assert made.build() == ["venv", "pip"]
    return made


def later(path: Path) -> None:
    """As if something was done to it just now."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))


@pytest.mark.parametrize(("change", "ran"), [
    pytest.param(lambda f: (f / "server.py").write_text("2"), [], id="the source"),
    pytest.param(lambda f: (f / "requirements.txt").write_text("flask==2\n"), ["pip"], id="the requirements"),
    pytest.param(lambda f: (f / ".venv/pyvenv.cfg").unlink(), ["venv", "pip"], id="the environment is gone"),
    pytest.param(lambda f: later(f / ".venv/lib/python3/site-packages"), ["pip"], id="a package was installed by hand"),
    pytest.param(lambda f: (f / "make").write_text((f / "make").read_text() + "# new\n"), ["venv", "pip"],
                 id="another Python"),
])
def test_installs_run_when_they_must(environment: Environment, change: Callable[[Path], object], ran: list[str]) -> None:
    """And not when only the server's source is another."""
    change(environment.folder)
    (environment.folder / "server.py").write_text("another")

    assert environment.build() == ran


def test_an_install_that_failed_runs_again(environment: Environment) -> None:
    """What it did before is not believed, also when its file is as it was then."""
    from orchestrator.targets.build import TargetInvalid

    (environment.folder / "requirements.txt").write_text("flask==2\n")
    (environment.folder / "broken").write_text("")
    with pytest.raises(TargetInvalid):
        environment.build()
    (environment.folder / "broken").unlink()
    (environment.folder / "requirements.txt").write_text("flask==1\n")
    (environment.folder / "server.py").write_text("another")

    assert environment.build() == ["pip"]


def test_a_torn_record_is_no_record(environment: Environment) -> None:
    """Everything is installed again."""
    (record,) = (environment.cache / "builds").glob("*.installs.json")
    record.write_text("[1")
    (environment.folder / "server.py").write_text("another")

    assert environment.build() == ["venv", "pip"]
    assert not Installed(environment.folder, record.with_name("other")).done(Environment.COMMANDS[0])
