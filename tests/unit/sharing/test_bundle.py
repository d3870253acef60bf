"""`labs bundle`: everything that helps, nothing that is secret, whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from pathlib import Path

import click
import pytest
from support.reports import exchange, failed, report
from support.workspaces import answer, invoke, judged, workspace

from orchestrator import __version__
from orchestrator.errors import EnvironmentFault, UsageError
from orchestrator.report.json import from_data
from orchestrator.sharing import bundle
from orchestrator.sharing.bundle import Entry, Person, collect, default_name, pack, safe_name, write
from orchestrator.sharing.redact import NOTHING

NOBODY = Person()
ZOE = Person(homes=("/home/zoe",), users=("zoe",))


def names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        return file.namelist()


def text(path: Path, name: str) -> str:
    with zipfile.ZipFile(path) as file:
        return file.read(name).decode()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A judged workspace; we are in it."""
    folder = tmp_path / "server"
    judged(folder, report())
    monkeypatch.chdir(folder)
    return folder


def test_the_bundle_has_the_report_its_logs_and_versions(folder: Path) -> None:
    """In the order of names; what it says is what is in the file."""
    data = answer("bundle", "help.zip")["data"]

    assert names(folder / "help.zip") == [
        "about.json", "logs/postgres-crud/exchanges.txt", "logs/postgres-crud/postgres.log",
        "logs/postgres-crud/server.log", "report.json", "report.txt", "workspace.toml"]
    assert [one["name"] for one in data["files"]] == names(folder / "help.zip")
    assert [one["bytes"] for one in data["files"]] == [
        len(text(folder / "help.zip", one["name"]).encode()) for one in data["files"]]
    assert from_data(json.loads(text(folder / "help.zip", "report.json"))).seed == 7
    about = json.loads(text(folder / "help.zip", "about.json"))
    assert (about["labs"], about["lab"]) == (__version__, "databases")
    assert about["python"]
    assert about["os"]
    assert about["report"]["lab_commit"] == "c0ffee"
    assert about["report"]["services"] == {"postgres": "PostgreSQL 18.1 (genuine)"}
    assert about["report"]["verdicts"]["redis/counters"] == "not judged"
    assert "POST /buyers 404" in text(folder / "help.zip", "logs/postgres-crud/server.log")
    assert '{"name":"Ann"}' in text(folder / "help.zip", "logs/postgres-crud/exchanges.txt")


def test_the_command_asks_the_services_where_their_secrets_stand(folder: Path) -> None:
    log = '1.0 [0 127.0.0.1:1] "AUTH" "default" "hunter2"\n1.1 [0 127.0.0.1:1] "ACL" "SETUSER" "a" ">hunter2"\n'
    judged(folder, report(dataclasses.replace(failed(), service_logs={"redis": log})))
    answer("bundle", "help.zip")

    assert '"AUTH" "[removed]"' in text(folder / "help.zip", "logs/postgres-crud/redis.log")
    assert all("hunter2" not in text(folder / "help.zip", name) for name in names(folder / "help.zip"))


def test_secrets_are_in_no_file(tmp_path: Path) -> None:
    """Wherever a server or a person may have written them."""
    secrets = "redis://:hunter2@h {\"password\":\"hunter2\"} PGPASSWORD=hunter2 /home/zoe/x zoe@h"
    one = dataclasses.replace(
        failed(seen=secrets, what=secrets), server_log=secrets, service_logs={"zoe": secrets}, message=secrets,
        checks=(dataclasses.replace(failed().checks[0], seen=secrets, evidence=(secrets,), exchange=exchange(secrets)),))
    made = workspace(tmp_path, toml='format = 1\nlab = "databases"\n# PGPASSWORD=hunter2\nrun = ["/home/zoe/s", "--token=hunter2"]\n')
    (tmp_path / "zoe.py").write_text(f"{secrets}\nx = 1\n")

    packed = collect(made, report(one), person=ZOE, source=True)

    for entry in packed.entries:
        whole = entry.name + entry.content.decode()
        assert "hunter2" not in whole, entry
        assert "zoe" not in whole, entry
    assert "source/[user].py" in [entry.name for entry in packed.entries]
    assert next(e for e in packed.entries if e.name == "source/[user].py").content.endswith(b"x = 1\n")


def test_the_source_is_what_the_build_counts_without_what_is_secret(folder: Path) -> None:
    """No links, no folders of tools, nothing that is not text, no earlier bundle."""
    (folder / ".gitignore").write_text("ignored.txt\n")
    for name in ("ignored.txt", ".env", ".env.local", "cert/server.pem", "id_rsa", ".git/config", "node_modules/a.js",
                 ".venv/pyvenv.cfg", "src/a.go"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("text\n")
    (folder / "picture.bin").write_bytes(b"\xff\xfe\x00")
    (folder / "zeros").write_bytes(b"a\0b")
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    assert invoke("bundle").exit_code == 0

    data = answer("bundle", "more.zip", "--source")["data"]

    assert [name for name in names(folder / "more.zip") if name.startswith("source/")] == [
        "source/.gitignore", "source/server.py", "source/src/a.go", "source/workspace.toml"]
    assert sorted(line.split(":")[0] for line in data["left_out"]) == [
        ".env", ".env.local", "cert/server.pem", "id_rsa", "picture.bin", "zeros"]


def test_the_source_is_not_in_it_unless_asked_for(folder: Path) -> None:
    invoke("bundle", "help.zip")

    assert [name for name in names(folder / "help.zip") if name.startswith("source")] == []


def test_a_file_that_run_names_is_never_taken_out_of_a_virtual_environment(tmp_path: Path) -> None:
    """Without a build it counts for the content, and still is not the learner's to give."""
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").write_text("#!")
    made = workspace(tmp_path, toml='format = 1\nlab = "databases"\nrun = [".venv/bin/python", "server.py"]\n')

    packed = collect(made, None, person=NOBODY, source=True)

    assert [entry.name for entry in packed.entries] == ["about.json", "source/server.py", "source/workspace.toml",
                                                        "workspace.toml"]


def test_without_a_run_there_is_still_something_to_send(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace(tmp_path)
    monkeypatch.chdir(tmp_path)

    done = invoke("bundle", "help.zip")

    assert done.exit_code == 0
    assert "labs check" in done.stderr
    assert names(tmp_path / "help.zip") == ["about.json", "workspace.toml"]


def test_everything_is_listed_before_it_is_asked_and_a_no_writes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is asked has seen names and sizes."""
    asked: list[tuple[str, bool]] = []

    def refuse(question: str, *, yes: bool) -> None:
        asked.append((question, yes))
        if not yes:
            raise click.Abort

    monkeypatch.setattr("orchestrator.cli.bundle_command.confirm", refuse)

    done = invoke("bundle", "help.zip")

    assert done.exit_code == 1
    assert asked == [("Write help.zip?", False)]
    assert "report.json" in done.stderr
    assert not (folder / "help.zip").exists()
    assert invoke("bundle", "help.zip", "--yes").exit_code == 0
    assert (folder / "help.zip").exists()


def test_a_file_that_is_there_stays_unless_forced(folder: Path) -> None:
    (folder / "help.zip").write_text("mine")

    refused = answer("bundle", "help.zip")
    assert (refused["exit_code"], refused["errors"][0]["code"]) == (2, "bundle-exists")
    assert (folder / "help.zip").read_text() == "mine"

    assert answer("bundle", "help.zip", "--force")["exit_code"] == 0
    assert "about.json" in names(folder / "help.zip")


def test_the_name_says_lab_and_date_and_its_own_bundle_changes_nothing(folder: Path) -> None:
    """A bundle in the workspace is no source: what passed stays proved."""
    from orchestrator.workspace.content import content_key
    from orchestrator.workspace.workspace_toml import read_workspace

    before = content_key(read_workspace(folder))
    data = answer("bundle")["data"]

    assert Path(data["file"]).match("labs-bundle-databases-20??-??-??.zip")
    assert (folder / data["file"]).is_file()
    assert content_key(read_workspace(folder)) == before


def test_what_is_too_large_is_refused_and_its_largest_files_are_named(folder: Path) -> None:
    (folder / "dump.sql").write_bytes(b"x" * 3000)
    (folder / "small.sql").write_bytes(b"x" * 10)
    made = workspace(folder)

    with pytest.raises(UsageError) as caught:
        collect(made, None, person=NOBODY, source=True, most=2500)

    assert caught.value.code == "bundle-too-large"
    assert caught.value.details[0] == "0.0 MB  source/dump.sql"
    assert collect(made, None, person=NOBODY, source=True, most=5000).entries


def test_the_limit_is_fifty_megabytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with holes takes no room; it is refused before it is read."""
    with (folder / "dump.sql").open("wb") as file:
        file.truncate(50_000_001)

    refused = answer("bundle", "help.zip", "--source")

    assert refused["errors"][0]["code"] == "bundle-too-large"
    assert "50.0 MB  source/dump.sql" in refused["errors"][0]["details"]
    assert not (folder / "help.zip").exists()


def test_equal_contents_are_equal_bytes(tmp_path: Path) -> None:
    entries = (Entry("a", b"1"), Entry("b/c", b"2"))

    assert pack(entries) == pack(entries)
    assert pack(entries) != pack(entries[:1])


def test_half_a_file_is_never_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stops it."""
    def stop(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", stop)

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "help.zip", b"content")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("path", "kind", "code"), [
    (".", UsageError, "bundle-is-folder"), ("missing/help.zip", EnvironmentFault, "bundle-unwritable"),
])
def test_a_place_where_nothing_can_be_written_is_said(tmp_path: Path, path: str, kind: type[UsageError], code: str) -> None:
    with pytest.raises(kind) as caught:
        write(tmp_path / path, b"")

    assert caught.value.code == code


@pytest.mark.parametrize(("name", "safe"), [
    ("source/a b.py", "source/a b.py"), ("../../etc/passwd", "etc/passwd"),
    ("/etc/passwd", "_/etc/passwd"), ("C:\\x\\y", "C__x_y"), ("a\nb\x1b", "a_b_"), ("a/./b", "a/b"), ("..", "_"), ("", "_"),
    ("trailing. ", "trailing"), ("x" * 300, "x" * 100), ("a?*|<>\"", "a______"),
])
def test_names_are_safe_everywhere(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_names_that_became_equal_are_told_apart(tmp_path: Path) -> None:
    """Also where capitals do not count, and for a report that was edited by hand."""
    one = dataclasses.replace(failed(), id="../x", service_logs={"server": "LOG"})
    other = dataclasses.replace(failed(), id="..-X")
    packed = collect(workspace(tmp_path), report(one, other), person=NOBODY)
    found = [entry.name for entry in packed.entries]

    assert len({name.lower() for name in found}) == len(found)
    assert not any(".." in name.split("/") for name in found)


def test_the_default_name_cannot_leave_the_folder() -> None:
    assert default_name("../my lab", "2026-01-02") == "labs-bundle-my-lab-2026-01-02.zip"


def test_the_person_is_the_one_who_runs_it() -> None:
    person = Person.here({"HOME": "/home/zoe", "USER": "zoe", "LOGNAME": "zoe", "SUDO_USER": ""}, known=NOTHING)

    assert person.homes == ("/home/zoe",)
    assert person.users[0] == "zoe"
    assert "" not in person.users


def test_redact_is_to_be_found_here() -> None:
    assert bundle.redact("PGPASSWORD=x") == "PGPASSWORD=[removed]"
