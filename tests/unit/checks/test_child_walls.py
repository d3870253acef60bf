"""The pytest child's walls: what around it has no effect, and files of checks that cannot be judged as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.child import run_checks
from support.junk import JunkServer

from orchestrator.judge.command import child_command, child_environment
from orchestrator.model import Verdict

FAIL, ERROR, PASS = Verdict.FAIL, Verdict.ERROR, Verdict.PASS
INNOCENT = """
import os
def test_a(server): assert server.get("/http_10").status == 200
def test_b(): assert {n for n in os.environ if n.startswith("PYT")} <= {"PYTEST_CURRENT_TEST", "PYTEST_VERSION"}
"""
MARKER = "import pathlib; pathlib.Path({!r}).touch()\n"


def test_nothing_outside_the_lab_has_an_effect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """T03, T05: no PYTEST_* or PYTHON* variable, configuration file, conftest, module or plugin around the lab is read."""
    marker = tmp_path / "marker"
    touch = MARKER.format(str(marker))
    evil = tmp_path / "evil"
    evil.mkdir()
    for name in ("evil_plugin.py", "pytest.py", "json.py", "httpx.py", "sitecustomize.py"):
        (evil / name).write_text(touch)
    for folder in (tmp_path, tmp_path / "scratch", evil):
        folder.mkdir(exist_ok=True)
        (folder / "conftest.py").write_text(touch)
        (folder / "pytest.ini").write_text("[pytest]\naddopts = --collect-only -p evil_plugin\n")
        (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '--collect-only'\n")
        (folder / "tox.ini").write_text("[pytest]\naddopts = --collect-only\n")
        (folder / "setup.cfg").write_text("[tool:pytest]\naddopts = --collect-only\n")
        (folder / "pytest.py").write_text(touch)
    (tmp_path / "scratch").rename(tmp_path / "cwd")
    for name, value in {"PYTEST_ADDOPTS": "--collect-only", "PYTEST_PLUGINS": "evil_plugin", "PYTHONPATH": str(evil),
                        "PYTHONSTARTUP": str(evil / "json.py"), "PYTHONBREAKPOINT": "evil_plugin", "AWS_SECRET": "x",
                        "LD_PRELOAD_X": "x", "HTTP_PROXY": "http://127.0.0.1:9"}.items():
        monkeypatch.setenv(name, value)
    seen: dict[str, str] = {}
    with JunkServer() as server:
        run = run_checks(tmp_path, INNOCENT, url=server.url, wrap=lambda _, environment: seen.update(environment))

    assert run.judgement.verdict is PASS, run.output
    assert not marker.exists()
    assert set(seen) <= {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LABS_CHANNEL", "LABS_READERS", "LABS_ROLES"}


def test_the_command_line_is_a_value(tmp_path: Path) -> None:
    """The design's command line, whatever this process's environment is."""
    argv, environment = child_command(tmp_path, [tmp_path / "checks" / "test_a.py"], {}, {})(7)

    assert argv[:7] == [sys.executable, "-I", "-B", "-m", "pytest", "-c", argv[6]]
    assert Path(argv[6]).name == "child.ini"
    for wanted in (f"--rootdir={tmp_path}", f"--confcutdir={tmp_path}", "--import-mode=importlib",
                   "orchestrator.checks.plugin", "no:cacheprovider", "--disable-plugin-autoload"):
        assert wanted in argv
    assert environment["LABS_CHANNEL"] == "7"
    assert child_environment({"PATH": "/bin", "DATABASE_URL": "secret"}, {"toy": "toy.evidence"},
                             {"role": "toy"}) == {
        "PATH": "/bin", "LABS_READERS": '{"toy": "toy.evidence"}', "LABS_ROLES": '{"role": "toy"}'}


@pytest.mark.parametrize(("source", "words"), [
    ("import pytest\n@pytest.mark.parametrize('n', [1, 2])\ndef test_a(n): pass", "checks cannot be parametrised"),
    ("import pytest\n@pytest.fixture(params=[1])\ndef n(): pass\ndef test_a(n): pass", "checks cannot be parametrised"),
    ("import no_such_module_here\ndef test_a(): pass", "no_such_module_here"),
    ("import os\nos._exit(0)\ndef test_a(): pass", ""),
    ("import pytest\ndef test_a(): pytest.exit('enough', returncode=0)", "enough"),
    ("import os\ndef test_a(): os._exit(0)", ""),
    ("def test_a(): pass\ndef testing_b(): pass", "unknown-check"),
    ("def test_a(): pass\nclass TestB:\n    def test_b(self): pass", "unknown-check"),
    ("import pytest\ndef test_a(): pass\n@pytest.fixture\ndef test_b(): pass", "missing"),
])
def test_a_broken_file_is_our_error(tmp_path: Path, source: str, words: str) -> None:
    """T08, T09: a file that cannot be judged as it is written is an error that says why, never a pass or a fail."""
    run = run_checks(tmp_path, source)

    assert run.judgement.verdict is ERROR
    assert words in run.output + " ".join(check.reason for check in run.judgement.checks)
    assert not [check for check in run.judgement.checks if check.verdict is FAIL]


def test_the_supervisors_side_stays_light() -> None:
    """Importing the protocol, or asking for the command line, loads neither pytest nor httpx."""
    program = ("import sys, orchestrator.checks.protocol, orchestrator.judge.command, orchestrator.checks as c;"
               "assert not {'pytest', 'httpx', 'psycopg', 'redis'} & set(sys.modules), sys.modules.keys();"
               "c.expect, c.Call; assert 'pytest' not in sys.modules")
    subprocess.run([sys.executable, "-c", program], check=True, env={"PATH": os.environ["PATH"]})
