"""The same content means the same key: what counts, and what does not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.reports import report

from orchestrator.model import Verdict, Workspace
from orchestrator.report import html, trace_html
from orchestrator.report.timeline import Timeline
from orchestrator.workspace.content import content_key

GO = (("go", "build", "-o", "server", "."),)


def key(folder: Path, *, build: tuple[tuple[str, ...], ...] = GO, run: tuple[str, ...] = ("./server",)) -> str:
    return content_key(Workspace(folder, "databases", build, run))


def write(path: Path, content: str | bytes = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "main.go", "package main")
    write(tmp_path / "store" / "pg.go", "package store")
    write(tmp_path / ".gitignore", "# ours\n*.log\n/data/\n!keep.log\ndocs/*.tmp\n**/gen/\n\\#odd\n[z-a]\n")
    return tmp_path


@pytest.mark.parametrize("path", [
    ".git/HEAD", "node_modules/pg/index.js", "store/__pycache__/a.pyc", ".venv/bin/python", "target/debug/x",
    "dist/server.js", "server.log", "store/deep/server.log", "data/pg", "docs/a.tmp", "gen/x.go", "store/gen/x.go",
    "#odd",
])
def test_what_tools_and_builds_write_does_not_count(folder: Path, path: str) -> None:
    """Else every check would build again, and forget what passed."""
    before = key(folder)
    write(folder / path)

    assert key(folder) == before


@pytest.mark.parametrize("path", [
    ".main.go.swp", "store/.pg.go.swx", "4913", "main.go~", "#main.go#", ".goutputstream-A1B2", "main.go___jb_tmp___",
])
def test_what_an_editor_puts_beside_a_file_does_not_count(folder: Path, path: str) -> None:
    """It is there while somebody types: no save, and no other server."""
    before = key(folder)
    write(folder / path)
    (folder / ".#main.go").symlink_to("somebody@machine.1:2")

    assert key(folder) == before


@pytest.mark.parametrize("path", [
    "new.go", "49130", "swp", "~", "notes.swp.go", "keep.log", "store/data/x", "docs/deep/a.tmp", "server", ".env", "targets", "workspace.toml",
])
def test_what_a_person_writes_counts(folder: Path, path: str) -> None:
    """A new file with the same content as another is news, too."""
    before = key(folder)
    write(folder / path)

    assert key(folder) != before


def test_names_contents_and_modes_count_and_times_do_not(folder: Path) -> None:
    """A checkout or a copy elsewhere is the same content."""
    before = key(folder)
    os.utime(folder / "main.go", (1, 1))
    assert key(folder) == before

    (folder / "main.go").chmod(0o755)
    executable = key(folder)
    (folder / "main.go").rename(folder / "mian.go")
    renamed = key(folder)
    write(folder / "mian.go", "package Main")
    assert len({before, executable, renamed, key(folder)}) == 4


def test_a_built_program_counts_only_where_nothing_builds_it(folder: Path) -> None:
    """With a build it follows from the sources; without one it is the source."""
    with_build, without = key(folder), key(folder, build=())
    write(folder / "server", b"\x7fELF 1")
    assert key(folder) == with_build
    assert key(folder, build=()) != without

    without = key(folder, build=())
    write(folder / "server", b"\x7fELF 2")
    assert key(folder) == with_build
    assert key(folder, build=()) != without


def test_an_ignored_program_counts_where_nothing_builds_it(folder: Path) -> None:
    """``.gitignore`` names binaries, and ``target`` holds them; the one that runs is what is judged."""
    run = ("java", "-jar", "target/app.jar")
    write(folder / "target" / "app.jar", "1")
    before = key(folder, build=(), run=run)
    write(folder / "target" / "app.jar", "2")

    assert key(folder, build=(), run=run) != before


def test_a_script_that_runs_is_a_source_also_with_a_build(folder: Path) -> None:
    """Only a binary is taken for a build's product."""
    write(folder / "run.sh", "#!/bin/sh\n")
    before = key(folder, run=("./run.sh",))
    write(folder / "run.sh", "#!/bin/sh\nexec ./server\n")

    assert key(folder, run=("./run.sh",)) != before


def test_links_are_not_followed_and_odd_files_not_opened(folder: Path) -> None:
    """A link to the root folder, to itself, to nothing; a pipe; names that are no text: none hangs or raises."""
    before = key(folder)
    (folder / "root").symlink_to("/")
    (folder / "self").symlink_to("self")
    (folder / os.fsdecode(b"\xff\n")).symlink_to(os.fsdecode(b"no\xff"))
    os.mkfifo(folder / "pipe")
    linked = key(folder)
    assert linked != before

    (folder / "root").unlink()
    (folder / "root").symlink_to("/usr")
    assert key(folder) != linked


def test_words_of_run_that_are_no_paths_are_words(folder: Path) -> None:
    """A program given on the command line is longer than any file name."""
    assert key(folder, build=(), run=("python3", "-c", "x = 1\n" * 2000))


def test_a_virtual_environment_of_any_name_does_not_count(folder: Path) -> None:
    """Known by what is in it."""
    before = key(folder)
    write(folder / "env" / "pyvenv.cfg")
    write(folder / "env" / "lib" / "x.py")

    assert key(folder) == before


def trace_page() -> str:
    return trace_html.render(Timeline("shop/one", "One", Verdict.PASS, "", 7, {}, ()))


def report_page() -> str:
    return html.render(report())


@pytest.mark.parametrize("page", [trace_page, report_page])
def test_a_page_that_labs_writes_does_not_count(folder: Path, page: Callable[[], str]) -> None:
    """`labs trace --html trace.html` beside `labs watch` is no save; the same name with other contents is one."""
    before = key(folder)
    written = write(folder / "out" / "any.html", page())
    assert key(folder) == before

    write(written, "<!doctype html>")
    assert key(folder) != before
