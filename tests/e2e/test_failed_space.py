"""What a failed check leaves: its services with their data, until the next check; for a debugger, psql and curl."""

from __future__ import annotations

import dataclasses
import signal
import urllib.request
from pathlib import Path

import pytest
from support.cli import Labs
from support.wait import until
from support.workspace import make_workspace

from orchestrator.engines.choose import choose
from orchestrator.ownership import kept_spaces
from orchestrator.system.home import find_home, installation_id, user_id

pytestmark = pytest.mark.e2e


def judge_instances(labs: Labs) -> set[str]:
    """Environments of all judge instances that there are."""
    home = find_home(labs.environment)
    choice = choose(labs.engine, home=home)
    try:
        return {one.spec.owner.environment
                for one in choice.engine.list(user=user_id(), installation=installation_id(home))
                if one.spec.owner.purpose == "judge"}
    finally:
        choice.engine.close()


def failed(labs: Labs, folder: Path) -> int:
    """Judge the server, which fails; the port on which it was asked."""
    answer = labs.json("check", cwd=folder)
    (result,) = [one for one in answer["data"]["milestones"] if one["role"] == "next"]
    assert (result["verdict"], result["reason"]) == ("fail", "schema-missing-table"), answer
    return int(result["port"])


def test_a_failure_can_be_looked_into_until_the_next_check(fresh_labs: Labs, tmp_path: Path) -> None:
    """`connect --failed` and `run` see the same services; a second check has them emptied; `stop` takes them away."""
    labs, folder = fresh_labs, make_workspace(tmp_path / "server")
    port = failed(labs, folder)
    labs.ok("connect", "postgres", "--failed", "-c", "CREATE TABLE notes (text text)", cwd=folder)

    running = labs.popen("run", cwd=folder)
    try:
        until(lambda: answers(port), seconds=20)
    finally:
        running.send_signal(signal.SIGINT)
        _, talk = running.communicate(timeout=20)
    assert running.returncode == 130, talk
    assert f"http://127.0.0.1:{port}" in talk
    assert not answers(port)

    before = judge_instances(labs)
    failed(labs, folder)
    after = judge_instances(labs)
    assert before == after
    assert len(after) == 1
    assert "does not exist" in labs.run(
        "connect", "postgres", "--failed", "-c", "SELECT * FROM notes", cwd=folder).stderr

    assert f"kept: what postgres/schema left when it failed, in {folder}" in labs.ok("status")
    refused = labs.run("clean")
    assert refused.returncode == 2
    assert f"what postgres/schema left when it failed, in {folder}" in refused.stderr, "named before it goes"
    assert judge_instances(labs) == after

    assert "gone" in labs.ok("stop")
    assert "kept" not in labs.ok("status")
    assert judge_instances(labs) == set()
    assert "no-failed-space" in labs.run("connect", "postgres", "--failed", "-c", "SELECT 1", cwd=folder).stderr


def test_a_program_runs_in_the_failed_space_with_the_servers_variables(fresh_labs: Labs, tmp_path: Path) -> None:
    """`labs run -- CMD`: its exit status is ours, its folder the workspace, its PORT the server's."""
    labs, folder = fresh_labs, make_workspace(tmp_path / "server")
    port = failed(labs, folder)

    other = labs.run("run", "--port", str(port + 1), cwd=folder)
    assert (other.returncode, f"labs run --fresh --port {port + 1}" in other.stderr) == (2, True), other

    done = labs.run("run", "--", "sh", "-c", 'echo "$PORT $DATABASE_URL"; pwd; exit 7', cwd=folder)

    assert done.returncode == 7, done
    assert done.stdout.split("\n")[0].startswith(f"{port} postgresql://")
    assert done.stdout.split("\n")[1] == str(folder)


def test_check_does_not_disturb_what_run_uses(fresh_labs: Labs, tmp_path: Path) -> None:
    """The check has services of its own; those that somebody works in stay until the check after that."""
    labs, folder = fresh_labs, make_workspace(tmp_path / "server")
    port = failed(labs, folder)
    (first,) = judge_instances(labs)
    running = labs.popen("run", cwd=folder)
    try:
        until(lambda: answers(port), seconds=20)
        failed(labs, folder)
        assert answers(port)
        assert first in judge_instances(labs)
    finally:
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=20)
    failed(labs, folder)

    assert first not in judge_instances(labs)
    assert len(judge_instances(labs)) == 1


def test_a_deleted_workspace_keeps_nothing(fresh_labs: Labs, tmp_path: Path) -> None:
    """The next command of any kind takes the services of a folder that is gone away."""
    labs, folder = fresh_labs, make_workspace(tmp_path / "server")
    failed(labs, folder)
    folder.rename(tmp_path / "elsewhere")
    labs.ok("status")

    assert judge_instances(labs) == set()


def test_in_ci_nothing_is_kept(fresh_labs: Labs, tmp_path: Path) -> None:
    folder = make_workspace(tmp_path / "server")
    done = dataclasses.replace(fresh_labs, extra={"CI": "true"}).run("check", cwd=folder)

    assert done.returncode == 1, done
    assert judge_instances(fresh_labs) == set()
    assert kept_spaces.spaces(find_home(fresh_labs.environment)) == {}


def test_the_servers_log_and_trace_of_the_failure(fresh_labs: Labs, tmp_path: Path) -> None:
    """What the services saw is there, too; and the page of it."""
    folder = make_workspace(tmp_path / "server")
    (folder / "server.py").write_text("print('hello from the server')\n" + (folder / "server.py").read_text())
    failed(fresh_labs, folder)

    assert "hello from the server" in fresh_labs.ok("logs", "server", cwd=folder)
    assert "schema-missing-table" in fresh_labs.ok("trace", cwd=folder)
    fresh_labs.ok("trace", "--html", str(tmp_path / "trace.html"), cwd=folder)
    assert "schema-missing-table" in (tmp_path / "trace.html").read_text()


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
