"""The judging side on real services: PostgreSQL and Redis of the embedded engine, pytest children, a real server."""

from __future__ import annotations

import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.listeners import Quiet

from orchestrator.engines.embedded.engine import EmbeddedEngine
from orchestrator.judge.request import RunRequest
from orchestrator.judge.supervisor import run
from orchestrator.model import Lab, Milestone, Owner, ServerContract, ServiceNeed, Track, Verdict, Workspace
from orchestrator.report.result import Report
from orchestrator.services import names, recipe
from orchestrator.system.processes import started_at
from orchestrator.workspace.select import select

pytestmark = [pytest.mark.e2e, pytest.mark.engine("embedded")]

SERVER = '''
import http.server, json, os, pathlib, sys, time
import psycopg, redis
behaviour = sys.argv[1]
memory = []
cache = redis.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=2)
def database(): return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
with database() as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS words (word text NOT NULL)")
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args): pass
    def answer(self, status, value):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())
    def do_GET(self):
        if self.path == "/mark": pathlib.Path("mark").touch()
        if self.path == "/done": return self.answer(200 if os.path.exists("done") else 202, {})
        if self.path != "/words": return self.answer(200, {})
        if behaviour == "wrong": return self.answer(200, memory)
        with database() as connection:
            self.answer(200, [word for (word,) in connection.execute("SELECT word FROM words")])
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
        if behaviour == "crash": os._exit(3)
        if behaviour == "hang": time.sleep(60)
        if self.path == "/hits":
            try: return self.answer(200, {"hits": cache.incr("hits")})
            except redis.RedisError: return self.answer(503, {})
        if behaviour == "wrong": memory.append(body["word"])
        else:
            with database() as connection: connection.execute("INSERT INTO words VALUES (%s)", [body["word"]])
        self.answer(201, body)
print("ready", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
'''

STORE = '''
from orchestrator.checks import expect

def test_a_word_is_a_row(server, postgres, fresh, evidence):
    """A word that the API takes is a row."""
    word = fresh.text("word")
    expect.status(server.post("/words", json={"word": word}), 201, reason="refused")
    expect.equal([(word,)], postgres.rows("SELECT word FROM words WHERE word = %s", [word]), "the row", reason="not-stored")
    evidence("PostgreSQL has the word")

def test_a_planted_row_is_a_word(server, postgres, fresh):
    """A row that the checks plant is served."""
    word = fresh.name("word")
    postgres.plant("INSERT INTO words VALUES (%s)", [word])
    expect.true(word in server.get("/words").json(), "the planted word in GET /words", reason="not-read")
'''

COUNT = '''
from orchestrator.checks import expect

def test_hits_are_in_redis(server, redis, evidence):
    """Hits are counted in Redis and survive a restart of the server."""
    expect.equal(None, redis.get("hits"), "the counter before the first hit", reason="not-fresh")
    for _ in range(2):
        expect.status(server.post("/hits"), 200, reason="refused")
        server.restart()
    expect.equal("2", redis.get("hits"), "the counter in Redis", reason="not-counted")
    evidence("Redis counted 2 hits over two restarts")

def test_redis_may_go(server, fault):
    """While Redis is away hits are refused, and afterwards they are counted again."""
    with fault.down("redis"):
        expect.status(server.post("/hits"), 503, reason="outage")
    expect.eventually(lambda: server.post("/hits").status, 200, within=5, what="POST /hits", reason="no-recovery")
    with fault.kill("redis"):
        expect.status(server.post("/hits"), 503, reason="outage")
    expect.eventually(lambda: server.post("/hits").status, 200, within=5, what="POST /hits", reason="no-recovery")

def test_a_replica_shares(server, fault):
    """Two servers, one Redis."""
    before = server.post("/hits").json()["hits"]
    replica = server.replica()
    expect.equal(before + 1, replica.post("/hits").json()["hits"], "the replica's count", reason="not-shared")
'''

VICTIM = '''
from orchestrator.checks import expect

def test_redis_dies_behind_our_back(server):
    """Somebody ends Redis; then the check blames the server."""
    server.get("/mark")
    expect.eventually(lambda: server.get("/done").status, 200, within=20, what="the mark", reason="never")
    expect.fail("the server's count", reason="blamed")
'''


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedEngine]:
    """One embedded engine for all runs, so that the template of PostgreSQL is made once."""
    folder = tmp_path_factory.mktemp("engine")
    made = EmbeddedEngine(folder / "instances", folder / "cache")
    missing = [offer.missing for name in ("postgres", "redis") if not (offer := made.offer(recipe(name))).available]
    if missing:
        pytest.skip(f"the embedded engine cannot run the services here: {missing}")
    yield made
    made.close()


@pytest.fixture
def judge(engine: EmbeddedEngine, tmp_path: Path) -> Iterator[Callable[..., Report]]:
    """Judge a server of this behaviour against the milestones of these checks; nothing may be left afterwards."""
    owners: list[Owner] = []

    def go(behaviour: str, before: Callable[[str, Path], None] = lambda prefix, folder: None, **checks: str) -> Report:
        environment = f"check-{secrets.token_hex(4)}"
        folder = tmp_path / environment
        (folder / "lab" / "checks").mkdir(parents=True)
        (folder / "workspace").mkdir()
        (folder / "scratch").mkdir()
        (folder / "workspace" / "server.py").write_text(SERVER)
        milestones = []
        for step, text in checks.items():
            path = folder / "lab" / "checks" / f"test_{step}.py"
            path.write_text(text)
            milestones.append(Milestone(f"shop/{step}", step, (), ("postgres", "redis"), (path,), path, (), 20.0, 1, "core"))
        services = (ServiceNeed("postgres", ">=17,<19"), ServiceNeed("redis", ">=7.2,<10"))
        lab = Lab("shop", "Shop", "", "shop", "1", folder / "lab", services, ServerContract({}, 20, 60),
                  (Track("shop", "", ""),), tuple(milestones))
        workspace = Workspace(folder / "workspace", "shop", (), (sys.executable, "server.py", behaviour))
        owner = Owner(environment, str(os.getuid()), "test", "no-lease", os.getpid(), started_at(os.getpid()) or 0,
                      "judge")
        owners.append(owner)
        before(f"labs-{environment}", folder / "workspace")
        planned = select(lab, passed={}, content="now", everything=True)
        request = RunRequest(lab, workspace, planned, seed=5, cache=folder / "cache")
        return run(request, engine=engine, engine_reason="a test", recipes={name: recipe(name) for name in names()},
                   owner=owner, folder=folder / "scratch", listener=Quiet())

    yield go
    for owner in owners:
        assert engine.list(user=owner.user, installation=owner.installation, environment=owner.environment) == []



def told(report: Report) -> list[tuple[str, str]]:
    return [(str(result.verdict), result.reason) for result in report.milestones]


def test_a_right_server_passes(judge: Callable[..., Report]) -> None:
    """Rows, counters, restarts, outages and a replica: everything of a milestone once, on a fresh space each."""
    report = judge("right", store=STORE, count=COUNT)

    assert told(report) == [("pass", ""), ("pass", "")], report
    assert report.milestones[0].checks[0].evidence == ("PostgreSQL has the word",)
    assert report.milestones[1].checks[0].evidence == ("Redis counted 2 hits over two restarts",)
    assert set(report.products) == {"postgres", "redis"}
    assert report.exit_code == 0


def test_a_wrong_server_fails_for_its_reason(judge: Callable[..., Report]) -> None:
    """Words kept in memory: PostgreSQL says so. What does not depend on it still passes."""
    report = judge("wrong", store=STORE, count=COUNT)

    assert told(report) == [("fail", "not-stored"), ("pass", "")], report
    assert [check.reason for check in report.milestones[0].checks] == ["not-stored", "not-read"]
    assert "ready" in report.milestones[0].server_log
    assert set(report.milestones[0].service_logs) == {"postgres", "redis"}
    assert report.exit_code == 1


def test_a_server_that_crashes_fails(judge: Callable[..., Report]) -> None:
    """The server ends at a request: no answer, and the report says how it ended."""
    (result,) = judge("crash", store=STORE).milestones

    assert (result.verdict, result.reason) == (Verdict.FAIL, "no-answer")
    assert "exit status 3" in result.message


def test_a_server_that_hangs_is_too_slow(judge: Callable[..., Report]) -> None:
    """The server never answers: a timeout, after the request's own deadline."""
    (result,) = judge("hang", store=STORE).milestones

    assert (result.verdict, result.reason) == (Verdict.TIMEOUT, "too-slow")


def test_a_service_that_somebody_ended_is_never_the_servers_fault(
    judge: Callable[..., Report], engine: EmbeddedEngine
) -> None:
    """Redis is killed by somebody else in the middle of a check that then blames the server: error, tried twice."""
    stop = threading.Event()

    def before(prefix: str, folder: Path) -> None:
        def watch() -> None:
            while not stop.is_set():
                if (folder / "mark").exists():
                    (folder / "mark").unlink()
                    engine.kill(f"{prefix}-redis")
                    (folder / "done").touch()
                time.sleep(0.01)

        threading.Thread(target=watch, daemon=True).start()

    try:
        (result,) = judge("right", before, victim=VICTIM).milestones
    finally:
        stop.set()

    assert (result.verdict, result.reason, result.attempts) == (Verdict.ERROR, "service-died", 2), result
    assert "Redis" in result.message


def test_two_runs_at_once_do_not_disturb_each_other(judge: Callable[..., Report]) -> None:
    """A right and a wrong server judged at the same time, each with its own verdict."""
    reports: dict[str, Any] = {}
    threads = [
        threading.Thread(target=lambda name=name: reports.update({name: judge(name, store=STORE)}))
        for name in ("right", "wrong")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert told(reports["right"]) == [("pass", "")], reports
    assert told(reports["wrong"]) == [("fail", "not-stored")], reports
