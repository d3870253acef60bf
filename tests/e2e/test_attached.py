"""`labs run` where no check has failed: the server on empty services of its own, and `labs check` judges it there."""

from __future__ import annotations

import dataclasses
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import redis
from support.cli import Labs
from support.wait import until
from support.workspace import make_workspace, patch

from orchestrator.engines.choose import choose
from orchestrator.report.result import ATTACHED, LOCAL
from orchestrator.system.home import find_home, installation_id, user_id
from orchestrator.system.ports import free_port
from orchestrator.workspace.progress import read_passed

pytestmark = pytest.mark.e2e

TABLES = """
import os, psycopg
with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    print(connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall())
"""
SHOP = Path(__file__).parents[2] / "labs/databases/solutions/accepted/python"


@contextmanager
def running(labs: Labs, folder: Path) -> Iterator[tuple[subprocess.Popen[str], int, list[str]]]:
    """`labs run` until the block ends, by Ctrl-C: the process, the server's port, what it says meanwhile."""
    port = free_port()
    process = labs.popen("run", "--fresh", "--port", str(port), cwd=folder)
    said: list[str] = []
    assert process.stderr is not None
    stderr = process.stderr
    ear = threading.Thread(target=lambda: said.extend(iter(stderr.readline, "")), daemon=True)
    ear.start()
    try:
        until(lambda: answers(port), seconds=60)
        yield process, port, said
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        ear.join(5)
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def health(port: int) -> dict[str, Any]:
    """What ``GET /health`` says; empty if there is no answer."""
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/health", timeout=1, trust_env=False)
        return dict(answer.json()) if answer.content else {"status": answer.status_code}
    except (httpx.HTTPError, ValueError):
        return {}


def answers(port: int) -> bool:
    return bool(health(port))


def away(said: list[str]) -> bool:
    """Whether PostgreSQL of `labs run` is stopped just now.

    Asked past the server: its own ``/health`` waits for a connection, and may have its answer when all is over.
    """
    (url,) = re.findall(r"^DATABASE_URL=(\S+)", "".join(said), re.MULTILINE)
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return True
    return False


def instances(labs: Labs) -> list[str]:
    """Names of all judge instances that there are."""
    home = find_home(labs.environment)
    choice = choose(labs.engine, home=home)
    try:
        return [one.spec.name for one in choice.engine.list(user=user_id(), installation=installation_id(home))
                if one.spec.owner.purpose == "judge"]
    finally:
        choice.engine.close()


def told(answer: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Milestone id -> verdict and reason, of those that ran, in a server that was attached."""
    assert answer["data"]["isolation"] == ATTACHED, answer
    return {one["id"]: (one["verdict"], one["reason"]) for one in answer["data"]["milestones"]
            if one["role"] != "later"}


def test_a_server_runs_on_empty_services_and_leaves_them_empty(fresh_labs: Labs, tmp_path: Path) -> None:
    """Nothing has to fail first; the addresses that are said work; a second one does not meet the first.

    After both the next command finds services without what was in them; in CI nothing stays.
    """
    folder = make_workspace(tmp_path / "server")
    with running(fresh_labs, folder) as (process, port, said):
        begun = instances(fresh_labs)  # Redis and MongoDB sleep; a file is there at once
        assert [name.rpartition("-")[2] for name in begun] == ["postgres", "sqlite"]
        (url,) = re.findall(r"^DATABASE_URL=(\S+)", "".join(said), re.MULTILINE)
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE left_behind (id integer)")
        (redis_url,) = re.findall(r"^REDIS_URL=(\S+)", "".join(said), re.MULTILINE)
        with redis.Redis.from_url(redis_url) as client:
            assert client.ping()
        assert len(instances(fresh_labs)) == len(begun) + 1
        busy = fresh_labs.run("run", "--port", str(port), cwd=folder)
        assert (busy.returncode, "port-busy" in busy.stderr) == (3, True), busy
        second = fresh_labs.run("run", "--", "sh", "-c", 'echo "$PORT $DATABASE_URL"', cwd=folder)
        other_port, other_url = second.stdout.split()
        assert other_port != str(port)
        assert other_url != url
    assert process.returncode == 130
    assert not answers(port)
    left = instances(fresh_labs)
    assert left
    asked = fresh_labs.run("run", "--", sys.executable, "-c", TABLES, cwd=folder)
    assert (asked.returncode, asked.stdout) == (0, "[]\n"), asked
    assert instances(fresh_labs) == left
    in_ci = dataclasses.replace(fresh_labs, extra={**fresh_labs.extra, "CI": "true"})
    in_ci.ok("run", "--", "true", cwd=folder)
    assert instances(fresh_labs) == left
    fresh_labs.ok("stop")
    assert instances(fresh_labs) == []


def test_a_run_says_at_once_what_it_starts_and_finds_the_workspaces_own_programs(
    fresh_labs: Labs, tmp_path: Path
) -> None:
    """Before it waits for a service; a command that was typed has the workspace's .venv first on PATH."""
    folder, port = make_workspace(tmp_path / "server"), free_port()
    programs = folder / ".venv/bin"
    programs.mkdir(parents=True)
    (programs / "own-tool").write_text('#!/bin/sh\necho "own, at $PORT"\n')
    (programs / "own-tool").chmod(0o755)
    done = fresh_labs.run("run", "--port", str(port), "--", "own-tool", "-x", cwd=folder)

    assert (done.returncode, done.stdout) == (0, f"own, at {port}\n"), done
    assert [line for line in done.stderr.splitlines() if not line.startswith("engine: ")][:3] == [
        "preparing PostgreSQL, new and empty", "then your server: own-tool -x",
        f"it will listen on http://127.0.0.1:{port}"]


def test_the_server_that_runs_is_judged(fresh_labs: Labs, shop: Path) -> None:
    """In its process and on its services, emptied for each milestone; it goes on, and nothing counts as passed."""
    with running(fresh_labs, shop) as (_, port, _):
        before = instances(fresh_labs)
        done = fresh_labs.run("check", "redis/pipelining", cwd=shop)
        assert re.search(r"^pass +redis/pipelining", done.stdout, re.MULTILINE), done.stdout + done.stderr
        assert "nothing is remembered as passed" in done.stdout
        assert "POST" in fresh_labs.ok("trace", "redis/pipelining", cwd=shop)
        assert read_passed(shop) == set()
        assert instances(fresh_labs) == before
        assert answers(port)


@pytest.mark.engine("embedded")
def test_what_needs_the_servers_life_is_not_judged(fresh_labs: Labs, shop: Path) -> None:
    """A restart would end what the learner looks at; it is said so, and it is nobody's failure."""
    with running(fresh_labs, shop) as (process, _, _):
        answer = fresh_labs.json("check", "postgres/schema", cwd=shop)
        assert told(answer) == {"postgres/schema": ("unjudged", "unjudged")}, answer
        assert answer["exit_code"] == 3
        checks = answer["data"]["milestones"][0]["checks"]
        assert {one["verdict"] for one in checks} == {"pass", "unjudged"}
        assert all("end labs run" in one["what"] for one in checks if one["verdict"] == "unjudged")
        passed = sum(one["verdict"] == "pass" for one in checks)
        assert f"{passed} of {len(checks)} checks passed" in answer["data"]["milestones"][0]["message"]
        assert answer["data"]["milestones"][0]["advice"].startswith("labs check postgres/schema")
        assert process.poll() is None


@pytest.mark.engine("embedded")
def test_a_wrong_server_fails_where_it_runs(fresh_labs: Labs, shop: Path) -> None:
    """The breakpoint can be set where the failing request goes through."""
    patch(shop, SHOP.parents[1] / "wrong/postgres-schema-no-tickets.patch")
    with running(fresh_labs, shop):
        answer = fresh_labs.json("check", "postgres/schema", cwd=shop)
        assert told(answer) == {"postgres/schema": ("fail", "schema-missing-table")}, answer


def test_a_check_that_is_killed_leaves_no_fault(fresh_labs: Labs, shop: Path) -> None:
    """Its end is noticed by `labs run`, which ends the run: PostgreSQL is back, the next check is answered."""
    with running(fresh_labs, shop) as (_, port, said):
        check = fresh_labs.popen("check", "postgres/schema", cwd=shop)
        until(lambda: away(said), seconds=60)
        check.kill()
        check.communicate()
        until(lambda: health(port).get("postgres") == "up", seconds=30)
        answer = until(lambda: idle(fresh_labs.json("check", "postgres/schema", cwd=shop)), seconds=60)
        assert told(answer) == {"postgres/schema": ("unjudged", "unjudged")}, answer


def idle(answer: dict[str, Any]) -> dict[str, Any] | None:
    """The answer, unless the run before has not ended yet."""
    return None if any(error["code"] == "attached-busy" for error in answer.get("errors", [])) else answer


@pytest.mark.engine("embedded")
def test_ctrl_c_in_labs_run_ends_the_check_too(fresh_labs: Labs, shop: Path) -> None:
    """Who judges is gone: the check says that it was stopped, and nothing is left."""
    with running(fresh_labs, shop) as (process, _, said):
        check = fresh_labs.popen("check", "postgres/schema", cwd=shop)
        until(lambda: away(said), seconds=60)
        process.send_signal(signal.SIGINT)
        _, talk = check.communicate(timeout=60)
        assert check.returncode in (3, 130), talk
    fresh_labs.ok("stop")
    assert instances(fresh_labs) == []


@pytest.mark.engine("embedded")
def test_after_its_end_a_check_has_services_of_its_own(fresh_labs: Labs, tmp_path: Path) -> None:
    """A `labs run` that was killed is not asked; its server and services go with the next command."""
    folder = make_workspace(tmp_path / "server")
    with running(fresh_labs, folder) as (process, port, _):
        process.kill()
        process.wait(10)
        answer = fresh_labs.json("check", cwd=folder)
        assert answer["data"]["isolation"] == LOCAL, answer
        assert not answers(port)
    assert not [name for name in instances(fresh_labs) if name.startswith("labs-run-")]
