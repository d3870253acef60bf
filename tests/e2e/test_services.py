"""The services' commands, as their user types them, on a real engine."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import pty
import shutil
import signal
import socket
import sqlite3
import subprocess
import termios
from pathlib import Path

import pytest
from support.cli import Labs
from support.ports import USUAL, usual_ports_taken

pytestmark = pytest.mark.e2e

DOCKER_ONLY = {"docker": ("elasticsearch",), "embedded": ()}
"""What a lab's start leaves out without Docker."""


NAMED = ("postgres", "redis", "mongodb")


def test_an_environment_from_start_to_clean(fresh_labs: Labs) -> None:
    """Rows typed into `connect` outlive stop and start; reset empties; clean leaves nothing."""
    labs = fresh_labs
    with usual_ports_taken():
        started = labs.json("start", "databases")["data"]["services"]
    assert [(one["service"], one["ready"]) for one in started] == [
        (name, True) for name in ("postgres", "redis", "mongodb", *DOCKER_ONLY[labs.engine], "sqlite")]

    labs.ok("connect", "postgres", "-c", "CREATE TABLE notes (text text)")
    labs.ok("connect", "postgres", "-c", "INSERT INTO notes VALUES ('still here')")
    labs.ok("connect", "redis", "-c", "SET note 'still-here'")
    path = labs.ok("connect", "sqlite", "--url").strip()
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        file.execute("CREATE TABLE notes AS SELECT 'still here' AS text")
    before = labs.json("env")["data"]["variables"]

    again = labs.run("start", "databases")
    assert "everything was running already" in again.stderr

    planned = labs.json("reset", "databases", "--dry-run")["data"]["plan"]
    assert {name for name in ("postgres", "redis") if name in " ".join(planned)} == {"postgres", "redis"}, planned
    assert len(labs.json("stop", "databases")["data"]["stopped"]) == len(started)
    assert not Path(path).exists()
    assert {one["state"] for one in labs.json("status")["data"]["services"]} == {"exited"}
    assert "nothing was running" in labs.ok("stop")

    labs.ok("start", "databases")
    assert labs.json("env")["data"]["variables"] == before
    assert "still here" in labs.ok("connect", "postgres", "-c", "SELECT text FROM notes")
    assert "still-here" in labs.ok("connect", "redis", "-c", "GET note")
    assert "still here" in labs.ok("connect", "sqlite", "-c", "SELECT text FROM notes")

    labs.ok("reset", "postgres", "--yes")
    labs.ok("reset", "sqlite", "--yes")
    assert list(Path(path).parent.iterdir()) == []
    assert "does not exist" in labs.run("connect", "postgres", "-c", "SELECT text FROM notes").stderr
    assert "still-here" in labs.ok("connect", "redis", "-c", "GET note")
    assert labs.json("env")["data"]["variables"] == before

    assert len(labs.json("clean", "--yes")["data"]["removed"]) == len(started)
    assert labs.json("status")["data"]["services"] == []


def test_one_service_is_started_when_one_is_asked_for(labs: Labs) -> None:
    """`labs start databases redis` starts Redis only; the address is on 127.0.0.1 and answers."""
    (only,) = labs.json("start", "databases", "redis", "--name", "small")["data"]["services"]

    assert (only["service"], only["host"]) == ("redis", "127.0.0.1")
    with socket.create_connection(("127.0.0.1", only["port"]), timeout=5):
        pass
    assert list(labs.json("env", "--name", "small")["data"]["variables"]) == ["REDIS_URL"]
    assert "ready to accept connections" in labs.ok("logs", "redis", "--name", "small").lower()
    assert len(labs.ok("logs", "redis", "--name", "small", "--tail", "2").splitlines()) == 2


def test_two_starts_at_once_are_one_environment(fresh_labs: Labs) -> None:
    """One works, the other waits and then finds everything running."""
    both = [fresh_labs.popen("start", "databases", "redis") for _ in range(2)]
    results = [(one.communicate(timeout=120), one.returncode) for one in both]

    assert [code for _, code in results] == [0, 0], results
    assert len(fresh_labs.json("status")["data"]["services"]) == 1


def test_the_environment_is_found_when_all_state_is_lost(fresh_labs: Labs) -> None:
    """Leases, locks and caches may be deleted at any time: the objects themselves say what they are."""
    labs = fresh_labs
    labs.ok("start", "databases", "redis")
    for name in ("state", "cache"):
        shutil.rmtree(labs.home / name, ignore_errors=True)

    (found,) = labs.json("status")["data"]["services"]
    assert (found["service"], found["ready"]) == ("redis", True)
    labs.ok("start", "databases", "redis")
    assert len(labs.json("clean", "--yes")["data"]["removed"]) == 1


def test_settings_for_another_server_do_not_lead_us_there(fresh_labs: Labs) -> None:
    """`PGSERVICE=prod` in a shell is for the person's own psql: libpq would obey it whatever it is told."""
    person = {"PGSERVICE": "prod", "PGHOSTADDR": "192.0.2.1", "PGSSLROOTCERT": "/nowhere", "PGOPTIONS": "-c role=x",
              "PGREQUIREAUTH": "none", "PGTARGETSESSIONATTRS": "standby"}
    labs = dataclasses.replace(fresh_labs, extra=person)
    labs.ok("start", "databases", "postgres")

    assert labs.ok("connect", "postgres", "-c", "SELECT 6 * 7").split()[2] == "42"


def test_data_goes_only_after_a_yes(fresh_labs: Labs) -> None:
    """Without a terminal `clean` and `reset` want `--yes`; a no on one ends them as Ctrl-C does. Nothing is lost."""
    labs = fresh_labs
    labs.ok("start", "databases", "redis")
    labs.ok("connect", "redis", "-c", "SET note here")
    for command in ("clean", "reset"):
        refused = labs.run(command)
        assert refused.returncode == 2, refused.stderr
        assert "--yes" in refused.stderr
        # Where a shell runs the tests in the background, its terminal's Ctrl-C reaches nobody.
        background = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        for answer in (b"n\n",) if background else (b"n\n", b"\x03"):
            assert answered(labs, command, answer) == 130

    assert labs.ok("connect", "redis", "-c", "GET note").strip() == "here"


def answered(labs: Labs, command: str, answer: bytes) -> int:
    """The exit code of a command on a terminal, its question answered so."""
    def with_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        # A shell that runs the tests in the background ignores SIGINT for all that they start.
        signal.signal(signal.SIGINT, signal.default_int_handler)

    master, slave = pty.openpty()
    with subprocess.Popen([*labs.command, command], env=labs.environment, stdin=slave, stderr=slave,
                          stdout=subprocess.DEVNULL, start_new_session=True, preexec_fn=with_terminal) as process:
        try:
            os.close(slave)
            said = b""
            while b"[y/N]" not in said:
                said += os.read(master, 4096)
            # What is typed while the terminal changes its mode may be lost: as a person would, type it again.
            for _ in range(60):
                os.write(master, answer)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return process.wait(1)
            return process.wait(1)
        finally:
            process.kill()
            os.close(master)


def test_a_port_that_is_taken_is_passed_over(fresh_labs: Labs) -> None:
    """Another port is used, and kept over stop and start."""
    with usual_ports_taken():
        first = fresh_labs.json("start", "databases", *NAMED)["data"]["services"]
    assert not {one["port"] for one in first} & set(USUAL)
    fresh_labs.ok("stop")
    second = fresh_labs.json("start", "databases", *NAMED)["data"]["services"]

    assert {one["service"]: one["port"] for one in second} == {one["service"]: one["port"] for one in first}


def test_a_plan_is_printed_and_nothing_is_done(fresh_labs: Labs) -> None:
    """`--dry-run` names each operation and its reason."""
    plan = fresh_labs.ok("start", "databases", "--dry-run").splitlines()

    assert [line.split()[0] for line in plan] == ["create", "start", "wait", "prepare"] * (
        4 + len(DOCKER_ONLY[fresh_labs.engine])) + ["keep"]
    assert all("(" in line for line in plan)
    assert fresh_labs.json("status")["data"]["services"] == []


@pytest.mark.parametrize(("arguments", "code", "words"), [
    (["start", "databses"], 2, "did you mean databases?"),
    (["start", "databases", "postgress"], 2, "did you mean postgres?"),
    (["info", "data"], 2, "there is no lab"),
    (["connect", "postgress"], 2, "did you mean postgres?"),
    (["env", "--format", "xml"], 2, "'dotenv', 'export', 'json'"),
    (["start", "databases", "--egine", "docker"], 2, "--engine"),
    (["strat"], 2, "did you mean start?"),
    (["env", "--name", "nowhere"], 3, "is not started"),
    (["connect", "redis", "--name", "nowhere"], 3, "is not started"),
    (["stop", "--name", "nowhere"], 2, "there is no environment"),
    (["check"], 2, "no workspace.toml"),
])
def test_a_wrong_command_is_told_what_is_right(
    labs: Labs, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    """One line of cause, one next command, the documented exit code; never a traceback."""
    done = labs.run(*arguments, cwd=tmp_path)

    assert done.returncode == code, done
    assert words in done.stderr
    assert "next: " in done.stderr
    assert "Traceback" not in done.stderr


def test_every_command_speaks_the_envelope(labs: Labs, tmp_path: Path) -> None:
    """The keys of `--json` are a contract."""
    for arguments in (["list"], ["info", "databases"], ["status"], ["doctor"], ["start", "nothing"], ["check"]):
        answer = labs.json(*arguments, cwd=tmp_path)

        assert list(answer) == ["labs", "command", "status", "exit_code", "data", "errors"]
        assert answer["labs"] == 1
        assert answer["status"] == ("success" if answer["exit_code"] == 0 else "error")
        assert all(list(error) == ["code", "message", "hint", "details"] for error in answer["errors"])


def test_init_makes_a_folder_once(labs: Labs, tmp_path: Path) -> None:
    """The starter's files, complete; a second time nothing is overwritten."""
    folder = tmp_path / "my server"
    answer = labs.json("init", "databases", "--language", "python", str(folder))["data"]
    assert set(answer["files"]) == {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert "workspace.toml" in answer["files"]
    assert ".gitignore" in answer["files"]

    (folder / "server.py").write_text("# mine\n")
    done = labs.run("init", "databases", "--language", "python", str(folder))
    assert (done.returncode, "would overwrite" in done.stderr) == (2, True)
    assert (folder / "server.py").read_text() == "# mine\n"


def test_env_can_be_read_by_a_shell(labs: Labs) -> None:
    """dotenv, export and json say the same."""
    labs.ok("start", "databases", "redis", "--name", "formats")
    values = json.loads(labs.ok("env", "--format", "json", "--name", "formats"))

    assert labs.ok("env", "--name", "formats").strip() == "\n".join(f"{k}={v}" for k, v in values.items())
    assert labs.ok("env", "--format", "export", "--name", "formats").startswith("export REDIS_URL=")
    assert labs.ok("connect", "redis", "--url", "--name", "formats").strip() == values["REDIS_URL"]
