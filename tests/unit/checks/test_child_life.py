"""The pytest child and what it asks the supervisor for: the server's life, faults, many requests at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.child import Run, run_checks
from support.junk import Connection, JunkServer

from orchestrator.judge.child import CallFailed
from orchestrator.model import Verdict

FAIL, ERROR, PASS, UNJUDGED = (Verdict.FAIL, Verdict.ERROR, Verdict.PASS, Verdict.UNJUDGED)

class Life:
    """Answers the calls of checks as a supervisor would, and notes them."""

    def __init__(self, replica: str = "") -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._replica = replica
        self._together = threading.Barrier(3)

    def answer(self, call: str, args: Mapping[str, Any]) -> object:
        if call == "machine.lost":
            return 0.0
        if call == "check.failed":
            return None
        self.calls.append((call, dict(args)))
        if call == "server.replica":
            return {"replica": "replica-1", "url": self._replica}
        if call in ("server.stop", "replica.stop"):
            return {"status": -15}
        if call == "fault.begin":
            return {"fault": f"fault-{args['service']}"}
        if call == "fault.connections":
            self._together.wait(10)  # answered only when three ask at once
            return {"open": 3, "opened": int(args["service"])}
        if call == "fault.cut":
            raise CallFailed(str(args["service"]), "the-reason", "the words", expected="more", seen="less")
        return None


LIFE = '''
import threading
import pytest
from orchestrator.checks import Call, NoAnswer, expect
from orchestrator.checks.errors import TargetTimeout, TargetWrong

def test_a_restart(server):
    server.restart(); server.kill()
    assert server.stop(grace=2.5) == -15
    server.start()
    server.log(3)
def test_b_stopped(server): server.stop()
def test_b_without_server(): pass
def test_c_replica(server):
    twin = server.replica()
    assert twin.url == server.url + "/twin"
    assert twin.get("/good").json() == {"path": "/twin/good"}
    for life in (twin.restart, twin.kill, twin.start, twin.replica, twin.log):
        with pytest.raises(RuntimeError, match="replica"): life()
def test_d_replica_stopped(server): assert server.replica(env={"SIZE": "3"}).stop(grace=1) == -15
def test_d_replica_kept(server): assert server.replica(keep=True).get("/good").status == 200
def test_d_replica_kept_again(server):
    twin = server.replica(keep=True)
    assert twin.get("/good").status == 200
    assert twin.stop(grace=2) == -15
def test_d_replica_kept_anew(server): server.replica(keep=True)
def test_d_restart_later(server): server.restart_later()
def test_d_restart_later_and_now(server): server.restart_later(); server.kill()
def test_e_fault(fault):
    with fault.down("redis"):
        with fault.pause("postgres", nodes=(3, 1)): pass
        expect.fail("it", reason="in-the-fault")
def test_f_at_once(fault):
    answers = {}
    threads = [threading.Thread(target=lambda n=n: answers.update({n: fault.opened(str(n))})) for n in (1, 2, 3)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert answers == {1: 1, 2: 2, 3: 3}
def test_g_wrong(fault): fault.cut("wrong")
def test_g_lost(fault): fault.cut("lost")
def test_g_unjudged(fault): fault.cut("unjudged")
def test_g_bug(fault): fault.cut("bug")
def test_h_parallel(server):
    answers = server.parallel([Call("POST", f"/gather?{n}", json={"n": n}) for n in range(60)], at_once=20)
    assert [answer.exchange["path"] for answer in answers] == [f"/gather?{n}" for n in range(60)]
def test_i_parallel_keep(server):
    good, none = server.parallel([Call("GET", "/good"), Call("GET", "/closes")], unanswered="keep")
    assert good.status == 200
    assert isinstance(none, NoAnswer) and not hasattr(none, "status")
def test_i_parallel_wrong_before_late(server):
    with pytest.raises(TargetWrong):
        server.parallel([Call("GET", "/never"), Call("GET", "/closes"), Call("GET", "/never")], deadline=1.0)
def test_i_parallel_gives_up(server):
    with pytest.raises(TargetTimeout):
        server.parallel([Call("GET", "/never")] * 200, at_once=2, deadline=0.3)
def test_i_parallel_nothing(server): assert server.parallel([]) == []
def test_j_seed(server, fresh): server.post("/seed", json={"name": fresh.name("a"), "text": fresh.text("b")}, params={"a": "b c"})
def test_k_exchange(server):
    server.get("/good")
    assert False
def test_l_last(server): server.restart_later(); server.stop(grace=3)
'''


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, Life, JunkServer]]:
    gathered = threading.Barrier(20)

    def good(connection: Connection) -> None:
        connection.json(json.dumps({"path": server.requests[-1].split(b" ")[1].decode()}).encode())

    def gather(connection: Connection) -> None:
        gathered.wait(20)  # answers only when twenty requests are open at once
        connection.json(b"{}")

    with JunkServer({"good": good, "twin/good": good, "gather": gather, "seed": good}) as server:
        calls = Life(replica=f"{server.url}/twin")
        yield run_checks(tmp_path_factory.mktemp("life"), LIFE, url=server.url, answerer=calls), calls, server


Lived = tuple[Run, Life, JunkServer]


def test_the_life_of_the_server(life: Lived) -> None:
    """Everything that needs the server's life, faults, threads: as the check file itself asserts it."""
    run, _, _ = life
    wrong = {check.id: check for check in run.judgement.checks if check.verdict is not PASS}

    assert run.judgement.flaw == "", run.output
    assert {name.rpartition("/")[2]: check.reason for name, check in wrong.items()} == {
        "test_e_fault": "in-the-fault", "test_g_wrong": "the-reason", "test_g_lost": "service-lost",
        "test_g_unjudged": "unjudged", "test_g_bug": "bug", "test_k_exchange": "assertion",
    }


def test_calls_are_those_of_the_protocol(life: Lived) -> None:
    """Names and arguments; a fault is healed when its check ends.

    A stopped server is started when the next check needs it, a replica ends with its check unless it was kept.
    """
    _, calls, _ = life

    assert [call for call in calls.calls if not call[0].startswith("fault.c")] == [
        ("server.restart", {}), ("server.kill", {}), ("server.stop", {"grace": 2.5}), ("server.start", {}),
        ("server.log", {"lines": 3}),
        ("server.stop", {"grace": 10.0}), ("server.start", {}),
        ("server.replica", {"wait": True}), ("replica.stop", {"replica": "replica-1", "grace": 1.0}),
        ("server.replica", {"wait": True, "env": {"SIZE": "3"}}),
        ("replica.stop", {"replica": "replica-1", "grace": 1}),
        ("server.replica", {"wait": True}), ("replica.stop", {"replica": "replica-1", "grace": 2}),
        ("server.replica", {"wait": True}),
        ("server.restart", {}), ("server.kill", {}),
        ("fault.begin", {"kind": "down", "service": "redis"}),
        ("fault.begin", {"kind": "pause", "service": "postgres", "nodes": [1, 3]}),
        ("fault.heal", {"fault": "fault-postgres"}), ("fault.heal", {"fault": "fault-redis"}),
        ("server.stop", {"grace": 3}),  # no check comes that needs it
    ]


def test_a_failed_call_keeps_its_words(life: Lived) -> None:
    """A failure of a call is raised with the kind that it carries, and says what the supervisor said."""
    run, _, _ = life
    wrong = run["test_g_wrong"]

    assert (wrong.verdict, wrong.what, wrong.expected, wrong.seen) == (FAIL, "the words", "more", "less")
    assert [run[f"test_g_{kind}"].verdict for kind in ("lost", "unjudged", "bug")] == [ERROR, UNJUDGED, ERROR]


def test_one_given_up_call_ends_the_rest(life: Lived) -> None:
    """Of two hundred calls to a server that never answers, a handful are made."""
    _, _, server = life

    assert len(server.asked("never")) < 20


def test_the_last_exchange_goes_along(life: Lived) -> None:
    """A failure that names no exchange shows the check's last one; the line beside it repeats it."""
    run, _, server = life
    exchange = run["test_k_exchange"].exchange

    assert exchange is not None
    assert (exchange.method, exchange.path, exchange.status) == ("GET", "/good", 200)
    assert exchange.response == '{"path": "/good"}'
    assert exchange.curl == f"curl -i {server.url}/good"


def test_the_seed_decides_the_values(life: Lived, tmp_path: Path) -> None:
    """The same seed sends the same request, another seed another one."""
    run, _, server = life
    source = LIFE[LIFE.index("def test_j"):LIFE.index("def test_k")]

    def request(run: Run) -> tuple[str, str]:
        finished = next(event for event in run.events("finished") if event["check"].endswith("test_j_seed"))
        return finished["exchange"]["path"], finished["exchange"]["request"]

    first = request(run)
    again, other = (request(run_checks(tmp_path / str(seed), source, url=server.url, seed=seed)) for seed in (7, 8))

    assert first[0] in ("/seed?a=b%20c", "/seed?a=b+c")
    assert again == first
    assert other != first
