"""``explore``, in a real child, on a toy server behind a real proxy: what each exploration finds, at which step."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import socket
import socketserver
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.child import Run, run_checks

from orchestrator.checks.points import StepTaken, before_each, chosen, crash_points
from orchestrator.faults.proxy import Proxy
from orchestrator.judge.exploring import Exploring
from orchestrator.model import Endpoint, Verdict
from orchestrator.report.timeline import Mark
from orchestrator.services.base import Heard


class Store(socketserver.ThreadingTCPServer):
    """Keeps numbers: ``get K``, ``set K N``, ``incr K``, ``lock K`` (answered when K is free), ``free K``."""

    daemon_threads = True

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self.locks: dict[str, threading.Lock] = {}
        self.guard = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Storing)


class _Storing(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        store: Store = self.server  # type: ignore[assignment]
        with contextlib.suppress(OSError):
            while line := self.rfile.readline().decode().split():
                command, key, *rest = line
                if command in ("lock", "free"):
                    with store.guard:
                        lock = store.locks.setdefault(key, threading.Lock())
                    lock.acquire() if command == "lock" else lock.release()
                with store.guard:
                    if command in ("set", "incr"):
                        store.values[key] = int(rest[0]) if rest else store.values.get(key, 0) + 1
                    answer = store.values.get(key, 0)
                self.wfile.write(f"{answer}\n".encode())


class LineEar:
    def __init__(self, _new: bool) -> None:
        pass

    def hear(self, data: bytes) -> Heard:
        text = data.decode().strip()
        return Heard(text, text.split()[0], True, True)


class Shop(ThreadingHTTPServer):
    """The learner's server: ``POST /WAY/K`` counts K in the store, in one way or another; ``GET /K`` reads it."""

    daemon_threads = True

    def __init__(self, link: Endpoint) -> None:
        self.link = link
        super().__init__(("127.0.0.1", 0), _Serving)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that was cut is what these tests are about."""


class _Serving(BaseHTTPRequestHandler):
    server: Shop

    def do_GET(self) -> None:
        with self.store() as ask:
            self.say(200, ask(f"get {self.path[1:]}"))

    def do_POST(self) -> None:
        _, way, key = self.path.split("/")
        with self.store() as ask:
            if way == "late":
                self.say(200, 0)
                time.sleep(0.01)
            if way in ("naive", "locked"):
                if way == "locked":
                    ask(f"lock {key}")
                ask(f"set {key} {ask(f'get {key}') + 1}")
                if way == "locked":
                    ask(f"free {key}")
            elif way == "retried":
                try:
                    ask(f"incr {key}")
                except OSError:
                    with self.store() as again:
                        again(f"incr {key}")
            elif way == "impatient":
                try:
                    ask(f"set {key} {ask(f'get {key}') + 1}", patience=0.2)
                except OSError:
                    with contextlib.suppress(OSError), self.store() as again:
                        again(f"incr {key}", patience=0.2)
            elif way == "two-keys":
                ask(f"set {key} 1")
                ask(f"set {key}-end 1")
            else:
                ask(f"incr {key}")
        if way != "late":
            self.say(200, 0)

    @contextlib.contextmanager
    def store(self) -> Iterator[Any]:
        link = self.server.link
        with socket.create_connection((link.host, link.port), timeout=5) as connection, connection.makefile() as file:

            def ask(line: str, patience: float = 5.0) -> int:
                connection.settimeout(patience)
                connection.sendall(f"{line}\n".encode())
                answer = file.readline()
                if not answer:
                    raise ConnectionResetError
                return int(answer)

            yield ask

    def say(self, status: int, count: int) -> None:
        body = json.dumps({"count": count}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


class World:
    """Answers the child's calls: the shop has one replica; a crash is that what it was sending is lost."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self.waited = 0
        self._stack = contextlib.ExitStack()
        self.proxy = self._stack.enter_context(Proxy())
        self._store = self._server(Store())
        threading.Thread(target=self._store.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.shop = self._server(Shop(self.proxy.open("store", Endpoint(self._store.server_address[1]))))
        self.twin = self._server(Shop(self.proxy.branch("replica-1")["store"]))
        self.exploring = Exploring(self.proxy, lambda: {"store": LineEar}, self.marks, lambda gone: gone())

    def _server(self, server: Any) -> Any:
        self._stack.callback(server.server_close)
        self._stack.callback(server.shutdown)
        return server

    def answer(self, call: str, args: Mapping[str, Any]) -> object:
        if call == "server.replica":
            return {"replica": "replica-1", "url": self.twin.url}
        if call == "replica.ready":
            self.waited += 1
            return None
        if call == "fault.begin":
            assert args == {"kind": "hold", "service": "store"}
            self.proxy.hold("store")
            return {"fault": 7}
        if call == "fault.heal":
            assert args == {"fault": 7}
            return self.proxy.release("store")
        return {"status": 0} if call == "replica.stop" else self.exploring.methods[call](args)

    def close(self) -> None:
        self._stack.close()


CHECKS = '''
"""Explorations of a server that counts."""
import itertools
from orchestrator.checks import NoAnswer, expect

KEYS = (f"k{number}" for number in itertools.count())

def both(explore, server, way):
    twin = server.replica(wait=False)
    def holds(key, *answers):
        expect.equal([200, 200], [answer.status for answer in answers], "the answers", reason="refused")
        expect.equal(2, twin.get(f"/{key}").json()["count"], "the count", reason="lost")
    return explore.interleave(lambda key: server.post(f"/{way}/{key}"), lambda key: twin.post(f"/{way}/{key}"), holds,
                              prepare=lambda: next(KEYS), during="another one came")

def test_right(explore, server, evidence):
    evidence(str(both(explore, server, "right")))

def test_naive(explore, server):
    both(explore, server, "naive")

def test_locked(explore, server, evidence):
    evidence(str(both(explore, server, "locked")))

def test_cut_meanwhile(explore, server, evidence):
    twin = server.replica(wait=False)
    def holds(key, first, second):
        expect.true(isinstance(first, NoAnswer), "the answer of a server that lost its connection", reason="answered")
        expect.equal(200, second.status, "the answer of the other one", reason="refused")
        expect.equal(1, twin.get(f"/{key}").json()["count"], "the count", reason="arrived")
    evidence(str(explore.interleave(lambda key: server.post(f"/right/{key}"), lambda key: twin.post(f"/right/{key}"), holds,
                                    prepare=lambda: next(KEYS), cut=True)))

def test_dies_between(explore, server, evidence):
    def holds(key, answer):
        one, end = (server.get(f"/{name}").json()["count"] for name in (key, f"{key}-end"))
        expect.true(isinstance(answer, NoAnswer), "the answer of a dead server", reason="answered")
        expect.equal(one, end, "the second key", reason="half")
    explore.crash(lambda key: server.post(f"/two-keys/{key}"), holds, prepare=lambda: next(KEYS))

def test_prepared_by_the_server(explore, server, evidence):
    def prepare():
        key = next(KEYS)
        expect.equal(200, server.get(f"/{key}").status, "what prepares a run", reason="held")
        return key
    evidence(str(explore.crash(lambda key: server.post(f"/right/{key}"), lambda key, answer: None, prepare=prepare)))

def test_answers_before_it_works(explore, server):
    def holds(key, answer):
        count = server.get(f"/{key}").json()["count"]
        expect.true(isinstance(answer, NoAnswer) or count == 1, "the count", reason="not-done")
    explore.crash(lambda key: server.post(f"/late/{key}"), holds, prepare=lambda: next(KEYS))

def test_retries(explore, server, evidence):
    def holds(key, answer):
        expect.at_most(1, server.get(f"/{key}").json()["count"], "the count", reason="twice")
    evidence(str(explore.cut(lambda key: server.post(f"/retried/{key}"), holds, prepare=lambda: next(KEYS))))
    explore.cut(lambda key: server.post(f"/retried/{key}"), holds, answer="lost", prepare=lambda: next(KEYS))

def test_retries_while_it_is_under_way(explore, server, evidence):
    counts = []
    def holds(key, answer):
        counts.append((answer.status, server.get(f"/{key}").json()["count"]))
    explore.cut(lambda key: server.post(f"/retried/{key}"), holds, answer="late", prepare=lambda: next(KEYS))
    evidence(str(counts))

def test_retries_at_a_replica(explore, server):
    twin = server.replica()
    def holds(key, answer):
        expect.at_most(1, server.get(f"/{key}").json()["count"], "the count", reason="twice")
    explore.cut(lambda key: twin.post(f"/retried/{key}"), holds, answer="lost", prepare=lambda: next(KEYS), at=twin)

def test_delayed(explore, server, evidence):
    def holds(key, answer):
        expect.at_least(0.1, answer.elapsed, "seconds", reason="not-delayed")
    evidence(str(explore.delay(lambda key: server.post(f"/naive/{key}"), holds, prepare=lambda: next(KEYS))))

def test_silent(explore, server):
    def holds(key, answer):
        expect.between(0.3, 2.0, answer.elapsed, "seconds without a word from the store", reason="heard-something")
        expect.equal(200, server.get(f"/{key}").status, "the status afterwards", reason="still-silent")
        expect.fail("what came of it", reason="as-it-should")
    explore.silence(lambda key: server.post(f"/impatient/{key}"), holds, pick=lambda steps: steps[-1:], prepare=lambda: next(KEYS))

def test_bounded(explore, server, evidence):
    evidence(str(explore.cut(lambda key: server.post(f"/two-keys/{key}"), lambda key, answer: None, most=1,
                             prepare=lambda: next(KEYS))))

def test_no_step(explore, server):
    explore.cut(lambda _: server.post("/naive/else"), lambda *_: None, services=("another",))

def test_steps(explore, server, evidence):
    evidence(" ".join(str(step) for step in explore.steps(lambda _: server.post("/naive/steps"))))
'''


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, World]]:
    world = World()
    try:
        run = run_checks(tmp_path_factory.mktemp("explore"), CHECKS, url=world.shop.url, answerer=world)
        assert run.judgement.flaw == "", run.output
        yield run, world
    finally:
        world.close()


def said(seen: tuple[Run, World], name: str) -> tuple[Verdict, str, str]:
    result = seen[0][name]
    return result.verdict, result.reason, result.what


def test_a_server_that_reads_and_writes_back_is_held_in_between(seen: tuple[Run, World]) -> None:
    """The failure names the step by the words that the server sent, in this very run."""
    verdict, reason, what = said(seen, "test_naive")

    assert (verdict, reason) == (Verdict.FAIL, "lost")
    key = what.split("`")[1].split()[1]
    assert what == (f"the count; your server was held between its `get {key}` and its `set {key} 1` "
                    "while another one came (step 2 of 2)")


def test_an_exploration_of_no_step_does_not_pass(seen: tuple[Run, World]) -> None:
    """A server that never asks the service has not been shown to be right."""
    assert said(seen, "test_no_step")[:2] == (Verdict.FAIL, "no-step")
    assert seen[0]["test_no_step"].seen == "none, and the answer 200"


def test_a_second_process_is_there_before_anything_is_held(seen: tuple[Run, World]) -> None:
    """It may start while the first one's steps are counted; then each exploration waits for it."""
    assert seen[1].waited >= 3


def test_servers_that_count_right_pass(seen: tuple[Run, World]) -> None:
    """Whether one step does it all, or a lock lets the second request wait: that is not taken for slowness."""
    assert seen[0]["test_right"].verdict is Verdict.PASS
    assert seen[0]["test_right"].evidence == ("its only step",)
    assert seen[0]["test_locked"].verdict is Verdict.PASS
    assert seen[0]["test_locked"].evidence == ("each of 4 steps (the second request had to wait 3 times)",)


def test_what_is_cut_while_another_comes_never_arrives(seen: tuple[Run, World]) -> None:
    """Only the connection that was held is reset: the second process keeps its own."""
    assert seen[0]["test_cut_meanwhile"].verdict is Verdict.PASS
    assert seen[0]["test_cut_meanwhile"].evidence == ("its only step",)


def test_what_the_server_is_asked_for_a_runs_rows_is_not_held(seen: tuple[Run, World]) -> None:
    """Nor does it wait for a step that the run before it never came to."""
    assert seen[0]["test_prepared_by_the_server"].verdict is Verdict.PASS, seen[0]["test_prepared_by_the_server"]
    assert seen[0]["test_prepared_by_the_server"].seconds < 10


def test_a_server_is_killed_between_two_writes(seen: tuple[Run, World]) -> None:
    """And at every other point: without a word of the service about what is written, none is left out."""
    verdict, reason, what = said(seen, "test_dies_between")

    assert (verdict, reason) == (Verdict.FAIL, "half")
    assert "your server was killed between its `set k" in what
    assert what.endswith("(step 2 of 2)")


def test_work_after_the_answer_is_found(seen: tuple[Run, World]) -> None:
    """A step that begins when the client has its answer is a step like others."""
    assert said(seen, "test_answers_before_it_works")[:2] == (Verdict.FAIL, "not-done")


def test_a_lost_answer_is_not_an_undone_step(seen: tuple[Run, World]) -> None:
    """Trying again is right when the service never got it, and wrong when it did."""
    verdict, reason, what = said(seen, "test_retries")

    assert (verdict, reason) == (Verdict.FAIL, "twice")
    assert "your server lost its connection to store after its `incr k" in what
    assert seen[0]["test_retries"].evidence == ("its only step",)


def test_what_was_cut_off_may_come_late(seen: tuple[Run, World]) -> None:
    """The server has its answer by another connection, and the service does what the first one had sent, too."""
    assert seen[0]["test_retries_while_it_is_under_way"].evidence == ("[(200, 2)]",)


def test_a_replica_can_be_the_one_whose_connection_is_cut(seen: tuple[Run, World]) -> None:
    """What is asked of it are its own steps, not those of the server."""
    verdict, reason, what = said(seen, "test_retries_at_a_replica")

    assert (verdict, reason) == (Verdict.FAIL, "twice")
    assert "your server lost its connection to store after its `incr k" in what


def test_a_silent_service_is_silent_on_every_connection_and_then_speaks(seen: tuple[Run, World]) -> None:
    """Who tries again elsewhere hears nothing there either; afterwards the next request is answered."""
    verdict, reason, what = said(seen, "test_silent")

    assert (verdict, reason) == (Verdict.FAIL, "as-it-should")
    assert what.startswith("what came of it; your server heard nothing more from store between its `get k")
    assert what.endswith("(step 2 of 2)")


def test_a_delay_and_a_bound_and_the_steps_themselves(seen: tuple[Run, World]) -> None:
    """What was left out is said; the steps of a request are evidence, too."""
    assert seen[0]["test_delayed"].evidence == ("each of 2 steps",)
    assert seen[0]["test_bounded"].evidence == ("1 of 2 steps",)
    assert seen[0]["test_steps"].evidence == ("get steps set steps 2",)


def test_the_time_line_names_the_steps(seen: tuple[Run, World]) -> None:
    """What was held, killed and cut, and which step of how many."""
    marks = [mark.text for mark in seen[1].marks]

    assert any(text.startswith("step 2 of 2: your server is held before set k") for text in marks)
    assert "your server goes on" in marks
    assert "step 2 of 2: your server is killed there, and started again" in marks
    assert any(text.startswith("step 1 of 1: the connection is cut after incr k") for text in marks)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """What is told in place of a verdict: check -> its first exploration."""
    world, names = World(), ("test_naive", "test_right", "test_retries")
    try:
        run = run_checks(tmp_path_factory.mktemp("shown"), CHECKS, url=world.shop.url, answerer=world,
                         only=[f"shop/step/{name}" for name in names], show={"step": 0})
        assert {one["check"] for one in run.events("finished")} == {f"shop/step/{name}" for name in names}
        yield {str(one["check"]).rpartition("/")[2]: one["told"] for one in reversed(run.events("explored"))}
    finally:
        world.close()


def test_a_failure_is_told_and_the_next_step_tried(shown: dict[str, dict[str, Any]]) -> None:
    """`labs explore` shows each step: what did not hold at one of them hides no other."""
    naive = shown["test_naive"]

    assert [step["kind"] for step in naive["steps"]] == ["get", "set"]
    assert [(row["step"], row["answers"], row["broken"] and row["broken"]["reason"]) for row in naive["rows"]] == [
        (1, ["200", "200"], None), (2, ["200", "200"], "lost")]
    assert naive["rows"][1]["broken"]["what"] == "the count"
    assert (naive["deed"], naive["during"]) == ("hold", "another one came")
    assert re.fullmatch(r"POST /naive/\{id\}", naive["request"])
    assert [row["broken"] for row in shown["test_right"]["rows"]] == [None]
    assert shown["test_retries"]["deed"] == "cut"


def test_one_step_can_be_told_alone(tmp_path: Path) -> None:
    """So that a failure that names its step can be looked at again."""
    world = World()
    try:
        run = run_checks(tmp_path, CHECKS, url=world.shop.url, answerer=world,
                         only=["shop/step/test_naive"], show={"step": 2})
        assert [row["step"] for one in run.events("explored") for row in one["told"]["rows"]] == [2]
    finally:
        world.close()


def test_what_is_tried_of_many_steps() -> None:
    """The first, the last, and some evenly between."""
    assert chosen(3, 40) == [0, 1, 2]
    assert chosen(5, 1) == [0]
    assert chosen(0, 40) == []
    some = chosen(100, 40)
    assert (len(some), some[0], some[-1]) == (40, 0, 99)
    assert max(later - sooner for sooner, later in itertools.pairwise(some)) == 3


def test_one_crash_point_stands_for_all_at_which_the_same_is_written() -> None:
    """The last of each stretch: it has the most that is not written yet."""
    steps = [StepTaken(number, "db", text, text, 1, 1) for number, text in enumerate(("BEGIN", "INSERT", "COMMIT", "SAY"), 1)]
    points = crash_points(steps, ["1", "1", "1", "2", "2"])

    assert [(point.step.text, point.after) for point in points] == [("COMMIT", False), ("SAY", True)]
    assert points[0].words("was killed") == "your server was killed between its `INSERT` and its `COMMIT`"
    assert points[1].words("was killed") == "your server was killed after its `SAY`, before it heard the answer"
    assert len(crash_points(steps, ["1", "2"])) == 5
    assert crash_points([], ["1"]) == []


def test_points_can_be_those_to_one_service() -> None:
    """What came before is told all the same."""
    steps = [StepTaken(1, "db", "BEGIN", "BEGIN", 1, 1), StepTaken(2, "cache", "GET k", "GET", 1, 2)]

    assert [point.words("was held") for point in before_each(steps, ["cache"])] == [
        "your server was held between its `BEGIN` and its `GET k`"]
    assert before_each(steps)[0].words("was held") == "your server was held before its first step, `BEGIN`"
