"""The conversation between `labs check` and a `labs run` that judges for it, without services."""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.reports import report as any_report

from orchestrator.attach import host as attach
from orchestrator.attach.host import Host
from orchestrator.errors import EnvironmentFault
from orchestrator.judge.attempt import Listener
from orchestrator.judge.request import RunRequest
from orchestrator.model import Lab, Milestone, Role, ServerContract, Track, Verdict, Workspace
from orchestrator.report.result import CheckResult, MilestoneResult, Report
from orchestrator.report.timeline import Timeline
from orchestrator.system.files import make_folder, read_json, write_json
from orchestrator.system.home import Home
from orchestrator.system.interrupt import Cancel
from orchestrator.workspace.select import PlannedMilestone

ONE = Milestone("shop/one", "One", (), (), (Path("c.py"),), Path("b.md"), (), 10.0, 1, "core")
LAB = Lab("shop", "Shop", "", "shop", "1", Path(), (), ServerContract({}, 5, 5), (Track("shop", "", ""),), (ONE,))
REPORT = any_report()
LINE = Timeline("shop/one", "One", Verdict.PASS, "", 7, {}, ())

Judge = Callable[[tuple[PlannedMilestone, ...], int, Listener, Cancel], Report]


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def on_phase(self, milestone: str, phase: str) -> None:
        self.events.append((milestone, phase))

    def on_check(self, milestone: str, result: CheckResult) -> None:
        self.events.append(result)

    def on_timeline(self, timeline: Timeline) -> None:
        self.events.append(timeline)

    def on_milestone(self, result: MilestoneResult) -> None:
        self.events.append(result)


@dataclasses.dataclass
class Place:
    """A home and a workspace; ``host`` is a `labs run` in it, ``ask`` a `labs check`."""

    home: Home
    workspace: Path

    @property
    def request(self) -> RunRequest:
        return RunRequest(LAB, Workspace(self.workspace, "shop", (), ("true",)), (PlannedMilestone(ONE, "asked"),), 7,
                          self.home.cache)

    @contextmanager
    def host(self, judge: Judge, name: str = "lease") -> Iterator[Host]:
        with Host(make_folder(self.home.runs / name), self.request, judge) as host:
            yield host

    def ask(self, listener: Listener | None = None) -> Report | None:
        return attach.ask(self.home, self.request, listener or Heard())

    def file(self, name: str = "lease") -> Path:
        return self.home.runs / name / attach.FILE


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "work").mkdir()
    return Place(Home(tmp_path / "data", tmp_path / "state", tmp_path / "cache"), tmp_path / "work")


def right(_milestones: tuple[PlannedMilestone, ...], _seed: int, listener: Listener, _cancel: Cancel) -> Report:
    listener.on_phase("shop/one", "checks")
    listener.on_timeline(LINE)
    listener.on_milestone(REPORT.milestones[1])
    return REPORT


def test_a_report_comes_back_whole(place: Place) -> None:
    """What was asked arrives, each event on its way, and the report as it was made."""
    asked: list[object] = []

    def judge(milestones: tuple[PlannedMilestone, ...], seed: int, listener: Listener, cancel: Cancel) -> Report:
        asked.extend([milestones, seed])
        return right(milestones, seed, listener, cancel)

    heard = Heard()
    with place.host(judge):
        assert place.ask(heard) == REPORT

    assert asked == [place.request.milestones, 7]
    assert heard.events == [("shop/one", "checks"), LINE, REPORT.milestones[1]]


def test_nobody_who_judges(place: Place) -> None:
    """No file, another workspace's, one whose `labs run` has ended, one that is torn: none of them is asked."""
    assert place.ask() is None
    elsewhere = dataclasses.replace(place, workspace=place.home.data)
    make_folder(place.home.data)
    with elsewhere.host(right):
        assert place.ask() is None
    with place.host(right):
        left_behind = read_json(place.file())
    assert not place.file().exists()
    write_json(place.file(), left_behind)
    assert place.ask() is None
    place.file().write_text("{")
    assert place.ask() is None


def test_a_server_that_was_given_another_services_address(place: Place) -> None:
    """It has one database's address and would be judged by what is in the other: not judged at all, and why is said."""
    lab = dataclasses.replace(LAB, roles=(Role("store", ("pg", "my"), "STORE_URL"),))
    request = dataclasses.replace(place.request, lab=lab)
    folder = make_folder(place.home.runs / "lease")

    with Host(folder, request, right, addresses={"STORE_URL": "my"}), pytest.raises(EnvironmentFault) as caught:
        place.ask()
    assert caught.value.code == "attached-elsewhere"
    assert str(caught.value).startswith(
        "shop/one is about pg, and the server of labs run has the address of my in STORE_URL")
    with Host(folder, request, right, addresses={"STORE_URL": "pg"}):
        assert place.ask() == REPORT


def test_a_port_that_somebody_else_has_now(place: Place) -> None:
    """What answers there is not taken for a judge, and learns only a key that opens nothing any more."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        def serve() -> None:
            connection, _ = other.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        write_json(place.file(), {"v": 1, "workspace": str(place.workspace), "port": other.getsockname()[1],
                                  "key": "k"})
        assert place.ask() is None
        thread.join()


@pytest.mark.parametrize("words", [b"", b"\xff\n", b"[]\n", b"{}\n", b'{"key": 1}\n', b'{"key": "wrong"}\n',
                                   b'{"key": "KEY", "milestones": [["shop/none", "asked"]], "seed": 1}\n'])
def test_who_does_not_know_the_words_hears_nothing(place: Place, words: bytes) -> None:
    """Another user's process, a port scanner: no run for them, and the next right one is answered."""
    with place.host(right):
        found = read_json(place.file())
        with socket.create_connection(("127.0.0.1", found["port"]), timeout=5) as stranger:
            stranger.sendall(words.replace(b"KEY", found["key"].encode()))
            stranger.shutdown(socket.SHUT_WR)
            assert stranger.recv(100) == b""
        assert place.ask() == REPORT


@pytest.mark.parametrize(("error", "code", "words"), [
    (EnvironmentFault("Redis is gone", code="service-gone", hint="labs run"), "service-gone", "Redis is gone"),
    (RuntimeError("oh"), "bug", "our mistake"),
])
def test_an_error_is_said_where_it_was_asked_for(place: Place, error: Exception, code: str, words: str) -> None:
    """With its code; and the host goes on."""
    def judge(*_: object) -> Report:
        raise error

    with place.host(judge):
        for _ in range(2):
            with pytest.raises(EnvironmentFault, match=words) as caught:
                place.ask()
            assert caught.value.code == code


def test_one_at_a_time(place: Place) -> None:
    """The second is told so at once."""
    begun, go_on = threading.Event(), threading.Event()

    def judge(*_: object) -> Report:
        begun.set()
        assert go_on.wait(10)
        return REPORT

    with place.host(judge):
        first: list[Report | None] = []
        thread = threading.Thread(target=lambda: first.append(place.ask()))
        thread.start()
        assert begun.wait(10)
        with pytest.raises(EnvironmentFault) as caught:
            place.ask()
        assert caught.value.code == "attached-busy"
        go_on.set()
        thread.join(10)
    assert first == [REPORT]


def test_the_run_ends_when_nobody_waits_for_it(place: Place) -> None:
    """`labs check` was killed: whoever judges is told to stop, and the next one is served."""
    cancelled = threading.Event()

    def judge(_milestones: object, seed: int, _listener: Listener, cancel: Cancel) -> Report:
        while seed == 1 and not cancel.asked:
            cancelled.wait(0.01)
        if seed == 1:
            cancelled.set()
        return REPORT

    with place.host(judge):
        found = read_json(place.file())
        with socket.create_connection(("127.0.0.1", found["port"]), timeout=5) as asking:
            asking.sendall(json.dumps({"key": found["key"], "seed": 1, "milestones": []}).encode() + b"\n")
            assert asking.recv(100) == b'{"hello": 1}\n'
        assert cancelled.wait(10)


def test_ctrl_c_still_gets_the_report(place: Place) -> None:
    """The run there is ended, and what it says last is the report."""
    class Pressed(Heard):
        def on_phase(self, milestone: str, phase: str) -> None:
            raise KeyboardInterrupt

    def judge(_milestones: object, _seed: int, listener: Listener, cancel: Cancel) -> Report:
        listener.on_phase("shop/one", "checks")
        ended = threading.Event()
        while not cancel.asked:
            ended.wait(0.01)
        return dataclasses.replace(REPORT, interrupted=True)

    with place.host(judge):
        report = place.ask(Pressed())
    assert report is not None
    assert report.interrupted


def test_the_end_of_the_host_ends_the_run(place: Place) -> None:
    """Leaving the block asks the run to end, and waits for it; who asked gets its report."""
    begun, answers = threading.Event(), list[Report | None]()

    def judge(_milestones: object, _seed: int, _listener: Listener, cancel: Cancel) -> Report:
        begun.set()
        ended = threading.Event()
        while not cancel.asked:
            ended.wait(0.01)
        return dataclasses.replace(REPORT, interrupted=True)

    with place.host(judge):
        thread = threading.Thread(target=lambda: answers.append(place.ask()))
        thread.start()
        assert begun.wait(10)
    thread.join(10)
    assert answers == [dataclasses.replace(REPORT, interrupted=True)]
