"""``workspace.toml``: what it means, and what is said when it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import UsageError, WorkspaceInvalid
from orchestrator.model import Workspace
from orchestrator.workspace.workspace_toml import find_workspace, read_workspace

RIGHT = 'format = 1\nlab = "databases"\nrun = ["./server"]\n'


def write(folder: Path, text: str | bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "workspace.toml").write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def problems(folder: Path, text: str | bytes) -> list[str]:
    with pytest.raises(WorkspaceInvalid) as caught:
        read_workspace(write(folder, text))
    assert caught.value.exit_code == 2
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(("build", "expected"), [
    ("", ()),
    ("build = []", ()),
    ('build = ["go", "build", "."]', (("go", "build", "."),)),
    ('build = [["npm", "ci"], ["npm", "run", "build"]]', (("npm", "ci"), ("npm", "run", "build"))),
    ('build = ["echo", "$HOME", "a b"]', (("echo", "$HOME", "a b"),)),
])
def test_build_is_one_command_or_several(tmp_path: Path, build: str, expected: tuple[tuple[str, ...], ...]) -> None:
    """Words are taken as they are: no shell, no splitting, no variables."""
    assert read_workspace(write(tmp_path, RIGHT + build)) == Workspace(tmp_path, "databases", expected, ("./server",))


def test_everything_that_is_wrong_is_said_at_once_with_its_line(tmp_path: Path) -> None:
    """A learner mends the file once."""
    wrong = 'format = 2\nlab = ""\nbiuld = ["go"]\nrun = "python server.py"\n[server]\nport = 1\n'

    assert problems(tmp_path, wrong) == [
        "workspace.toml:1: format is 2; this version of labs reads format = 1",
        'workspace.toml:2: lab must be the name of a lab, like lab = "databases"',
        "workspace.toml:3: unknown key 'biuld'; did you mean build?",
        "workspace.toml:4: run must be a list of words, since no shell reads it: run = [\"python\", \"server.py\"]",
        "workspace.toml:5: unknown key 'server'",
    ]


@pytest.mark.parametrize(("text", "words"), [
    ("", "run is missing"),
    ("format = true\n", "format is True"),
    ("lab = 'x\n", "not TOML"),
    ("format = 1\nformat = 1\n", "not TOML"),
    ("a = " + "[" * 5000, "workspace.toml"),
    (b"# caf\xe9\n", "workspace.toml:1: this is not UTF-8"),
    ("#" * 70_000, "larger than"),
    (RIGHT.replace('["./server"]', "[]"), "must be a list of words"),
    (RIGHT.replace('["./server"]', '["node", 8080]'), 'write it as "8080"'),
    (RIGHT.replace('["./server"]', '[" "]'), "word 1 is empty"),
    (RIGHT.replace('["./server"]', '["a\\u0000b"]'), "NUL"),
    (RIGHT.replace('["./server"]', '["~/server"]'), "~ means nothing"),
    (RIGHT + "build = [['go'], 'build']", "build must be a list of words"),
    (RIGHT + "build = [[]]", "build must be a list of words"),
    (RIGHT + "start_budget = '60'", "start_budget must be a number of seconds, more than 0: start_budget = 60"),
    (RIGHT + "start_budget = 0", "start_budget must be"),
    (RIGHT + "build_budget = -1", "build_budget must be"),
    (RIGHT + "build_budget = true", "build_budget must be"),
    (RIGHT + "build_budget = inf", "build_budget must be"),
    (RIGHT + "build_budget = nan", "build_budget must be"),
    (RIGHT + "start_budjet = 60", "did you mean start_budget?"),
    (RIGHT + "build = 'npm run \"x y'", 'build = ["npm", "run", "\\"x", "y"]'),
])
def test_what_is_wrong_is_named(tmp_path: Path, text: str | bytes, words: str) -> None:
    """Never a traceback, always what to write instead."""
    assert any(words in problem for problem in problems(tmp_path, text))


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    """Some editors add one."""
    assert read_workspace(write(tmp_path, b"\xef\xbb\xbf" + RIGHT.encode())).lab == "databases"


def test_no_file_says_how_to_get_one(tmp_path: Path) -> None:
    """The wrong folder is the most common mistake."""
    with pytest.raises(UsageError, match=r"no workspace\.toml") as caught:
        read_workspace(tmp_path)
    assert "labs init" in (caught.value.hint or "")


def test_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    """Not a traceback."""
    (tmp_path / "workspace.toml").mkdir()
    with pytest.raises(WorkspaceInvalid):
        read_workspace(tmp_path)


def test_the_workspace_is_found_from_below(tmp_path: Path) -> None:
    """As git does it; the nearest wins."""
    write(tmp_path, RIGHT)
    (tmp_path / "src" / "deep").mkdir(parents=True)

    assert find_workspace(tmp_path / "src" / "deep") == tmp_path
    assert find_workspace(write(tmp_path / "src", RIGHT) / "deep") == tmp_path / "src"
