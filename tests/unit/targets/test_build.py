"""Building: once for each content, within its budget, and nothing left running."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support.busy import busy_processor, needs
from support.processes import gone
from support.wait import until

from orchestrator.model import Workspace
from orchestrator.targets.build import BuildResult, TargetInvalid, build, content_key
from orchestrator.targets.patience import LONGEST
from orchestrator.workspace.budgets import Budget

COUNT = "open('../count', 'a').write('x')"


class Project:
    """A workspace whose build is Python code; each build adds an ``x`` to a file beside the workspace."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        self.folder = folder / "my server's folder"
        self.folder.mkdir()
        (self.folder / "source").write_text("1")
        self.run: tuple[str, ...] = ("./product",)

    def build(self, *codes: str, budget: float | Budget = 30.0, **more: object) -> BuildResult:
        commands = tuple((sys.executable, "-c", code) for code in codes)
        workspace = Workspace(self.folder, "databases", commands, self.run)
        return build(workspace, budget=budget if isinstance(budget, Budget) else Budget(budget),
                     cache=self.cache, **more)  # type: ignore[arg-type]

    @property
    def count(self) -> int:
        file = self.folder.parent / "count"
        return len(file.read_text()) if file.exists() else 0

    def fails(self, *codes: str, budget: float | Budget = 30.0) -> TargetInvalid:
        with pytest.raises(TargetInvalid) as caught:
            self.build(*codes, budget=budget)
        return caught.value


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_the_same_content_is_built_once(project: Project) -> None:
    """Though the build writes beside the sources what no list of build folders knows."""
    code = f"{COUNT}; open('product', 'w').write('p'); open('made.txt', 'w').write('m')"
    first, second, third = (project.build(code) for _ in range(3))

    assert (first.cached, second.cached, third.cached) == (False, True, True)
    assert first.key == second.key == third.key
    assert project.count == 1


def test_other_content_is_built_anew(project: Project) -> None:
    """A source, the commands: either is news."""
    code = f"{COUNT}; open('product', 'w').write('p')"
    project.build(code)
    (project.folder / "source").write_text("2")
    assert not project.build(code).cached
    assert not project.build(code + " # again").cached
    assert project.build(code + " # again").cached


def test_another_tool_builds_anew(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that was updated may make another program of the same sources."""
    tool = tmp_path / "bin" / "my-compiler"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\ntouch product\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    workspace = Workspace(project.folder, "databases", (("my-compiler",),), ("./product",))
    build(workspace, budget=Budget(30), cache=project.cache)
    assert build(workspace, budget=Budget(30), cache=project.cache).cached

    os.utime(tool, (1, 1))
    assert not build(workspace, budget=Budget(30), cache=project.cache).cached


def test_a_failed_build_names_a_python_that_is_too_old(project: Project) -> None:
    """Pip says in many lines that it found no version; the cause is in one."""
    python = project.folder / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.6 && exit\necho no matching version; exit 1\n')
    python.chmod(0o755)
    workspace = Workspace(project.folder, "databases", ((".venv/bin/python", "-m", "pip", "install", "x"),), ("./x",))
    with pytest.raises(TargetInvalid) as caught:
        build(workspace, budget=Budget(30), cache=project.cache)

    assert caught.value.reason == "build-failed"
    assert "is 3.9.6; the starters need 3.11 or newer: install Python 3.11" in caught.value.message
    assert caught.value.message.endswith(", then rm -rf .venv")


@pytest.mark.parametrize("lost", ["product", "dist", "node_modules"])
def test_a_product_that_has_gone_is_built_anew(project: Project, lost: str) -> None:
    """``rm`` of what was built is no reason to fail: the program, or a folder that it needs."""
    code = f"{COUNT}; import os; open('product', 'w').close(); [os.makedirs(d, exist_ok=True) for d in " \
           "('dist', 'node_modules')]"
    project.build(code)
    path = project.folder / lost
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink()

    assert not project.build(code).cached
    assert path.exists()


def test_a_failed_build_names_what_was_not_passed_on(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~/.npmrc` with `${NPM_TOKEN}`, a library outside the usual folders: it works in the shell and not here."""
    for name in ("NPM_TOKEN", "LD_LIBRARY_PATH", "PYTHONPATH", "UNRELATED"):
        monkeypatch.setenv(name, "/secret/value")
    error = project.fails("print('Failed to replace env in config: ${NPM_TOKEN}'); raise SystemExit(1)")

    assert "not passed on from your shell: LD_LIBRARY_PATH, NPM_TOKEN, PYTHONPATH" in error.message
    assert "secret" not in error.message
    assert "UNRELATED" not in error.message


def test_a_failed_build_shows_the_tools_last_words_and_is_tried_again(project: Project) -> None:
    """Learners read the compiler's message without its colours; any other control character is made visible."""
    code = f"{COUNT}; print('main.go:3: \\x1b[1;31mundefined\\x1b[0m: x \\x1b[2J'); raise SystemExit(2)"
    error = project.fails(code)

    assert error.reason == "build-failed"
    assert "exit status 2" in error.message
    assert "main.go:3: undefined: x \\x1b[2J" in error.log
    assert project.fails(code).reason == "build-failed"
    assert project.count == 2


def test_commands_run_in_order_until_one_fails(project: Project) -> None:
    """As in a script with ``set -e``."""
    error = project.fails(COUNT, "raise SystemExit('second')", COUNT)

    assert "second" in error.log
    assert project.count == 1


@pytest.mark.parametrize(("program", "words"), [("go-not-there", "mend its name"), ("./gradlew", "not found")])
def test_a_missing_tool_is_named_with_the_way_to_get_it(project: Project, program: str, words: str) -> None:
    """Not a traceback, and told apart from a build that fails."""
    with pytest.raises(TargetInvalid) as caught:
        build(Workspace(project.folder, "databases", ((program, "x"),), ("./p",)), budget=Budget(5), cache=project.cache)

    assert caught.value.reason == "toolchain-missing"
    assert program in caught.value.message
    assert words in caught.value.message


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_X10_a_build_that_runs_for_ever_is_ended_with_all_it_started(project: Project, tmp_path: Path) -> None:
    """Its budget is its own; a child in another session goes, too."""
    child = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    began = time.monotonic()
    error = project.fails(f"import subprocess, sys, time; print('working', flush=True); "
                          f"subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True); "
                          "time.sleep(600)", budget=4)

    assert error.reason == "build-timeout"
    assert "working" in error.log
    assert time.monotonic() - began < 15
    assert gone(int((tmp_path / "pid").read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_X10_a_daemon_that_a_build_leaves_is_ended(project: Project, tmp_path: Path) -> None:
    """The build has succeeded, and its helper does not stay."""
    child = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    project.build(f"import subprocess, sys, time, os; open('product', 'w').close(); "
                  f"subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True)\n"
                  f"while not os.path.exists({str(tmp_path / 'pid')!r}): time.sleep(0.01)")

    assert gone(int(until(lambda: (tmp_path / "pid").read_text())))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_X10_when_labs_is_killed_its_build_ends(project: Project, tmp_path: Path) -> None:
    """The keeper sees the end of its pipe."""
    child = (f"import os, time; open({str(tmp_path / 'pid.new')!r}, 'w').write(str(os.getpid())); "
             f"os.rename({str(tmp_path / 'pid.new')!r}, {str(tmp_path / 'pid')!r}); time.sleep(600)")
    program = f"""
import sys
from pathlib import Path
from orchestrator.model import Workspace
from orchestrator.workspace.budgets import Budget
from orchestrator.targets.build import build
workspace = Workspace(Path({str(project.folder)!r}), "databases", ((sys.executable, "-c", {child!r}),), ("x",))
build(workspace, budget=Budget(60), cache=Path({str(project.cache)!r}))
"""
    with subprocess.Popen([sys.executable, "-c", program]) as labs:
        pid = int(until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), seconds=30))
        labs.kill()

    until(lambda: gone(pid), seconds=10)


def test_two_builds_of_a_folder_at_once_are_one(project: Project) -> None:
    """The second waits and finds it done; two compilers in one folder would tear each other's files."""
    code = f"{COUNT}; import time; time.sleep(0.5); open('product', 'w').close()"
    results: list[bool] = []
    threads = [threading.Thread(target=lambda: results.append(project.build(code).cached)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(results) == [False, True, True]
    assert project.count == 1


def test_what_the_build_says_is_heard_while_it_works(project: Project) -> None:
    """Line by line, harmless, after the command itself."""
    lines: list[str] = []
    project.build("print('one\\x1b'); print('two', end='')", on_line=lines.append)

    assert lines[0].startswith(sys.executable)
    assert lines[1:] == ["one\\x1b", "two"]


def test_a_cache_that_cannot_be_written_costs_time_only(project: Project) -> None:
    """A read-only home is no reason to fail."""
    project.cache.write_text("a file where a folder should be")

    assert not project.build(COUNT).cached
    assert not project.build(COUNT).cached
    assert project.count == 2


def test_without_a_build_nothing_happens(project: Project) -> None:
    """Python starters have none."""
    assert project.build().cached
    assert not project.cache.exists()


def test_the_content_is_the_same_before_and_after_a_build_of_a_binary(project: Project) -> None:
    """What passed is remembered by the content; the product is not content."""
    commands = ((sys.executable, "-c", "open('product', 'wb').write(b'\\x7fELF')"),)
    workspace = Workspace(project.folder, "databases", commands, ("./product",))
    before = content_key(workspace)
    build(workspace, budget=Budget(30), cache=project.cache)

    assert content_key(workspace) == before


def test_a_slow_build_is_told_its_budget_and_the_next_step(project: Project) -> None:
    """How long it had, whether the machine was busy, and how to have more."""
    error = project.fails("import time; time.sleep(60)", budget=Budget(1, 1800, "build_budget"))

    assert "did not end within its build_budget of 1 s; " in error.message
    assert error.advice == "set build_budget = 2 in workspace.toml (at most 1800), then labs check"


def test_a_build_at_the_cap_is_made_once_by_hand(project: Project) -> None:
    """Nothing longer may be set."""
    error = project.fails("import time; time.sleep(60)", budget=Budget(1, 1, "build_budget"))

    assert error.advice.endswith("(once in your server's folder, then labs check)")


def test_commands_share_the_budget(project: Project) -> None:
    """The second one has what the first one left."""
    began = time.monotonic()
    error = project.fails("import time; time.sleep(1.5)", "import time; time.sleep(60)", budget=2)

    assert error.reason == "build-timeout"
    assert time.monotonic() - began < 2 * LONGEST


@pytest.mark.skipif(sys.platform != "linux", reason="gives a build a processor of its own")
def test_a_build_that_waits_for_a_busy_processor_is_given_more_time(project: Project) -> None:
    """The same work fits its budget on a free machine; the second one never gets to work, and is not blamed."""
    with busy_processor() as cpu:
        began = time.monotonic()
        project.build(needs(0.25, cpu), budget=1.5)
        assert time.monotonic() - began > 1.5

        error = project.fails(needs(30, cpu), budget=1.0)
    assert (error.reason, error.ours) == ("machine-too-slow", True)


def test_another_labs_that_builds_the_folder_is_no_fault_of_the_server(project: Project) -> None:
    """It is waited for, for as long as such a build may take; then nobody is blamed."""
    holder = ("import fcntl, glob, sys, time\n"
              f"file = open(glob.glob({str(project.cache / 'builds')!r} + '/*.lock')[0], 'a')\n"
              "fcntl.flock(file, fcntl.LOCK_EX)\nprint('held', flush=True)\ntime.sleep(60)")
    project.build("pass")  # makes the file of the lock
    with subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        error = project.fails("print(1)", budget=0.2)
        other.kill()

    assert (error.reason, error.ours) == ("other-build", True)
