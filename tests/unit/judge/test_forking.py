"""Children that are forked from a server are what children of their own program are: apart, and ended for certain."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.child import MILESTONE, NONCE, NoCalls, first_message, make_lab
from support.wait import until

from orchestrator.judge import forking
from orchestrator.judge.child import Child
from orchestrator.judge.child_process import Spawned
from orchestrator.judge.control import ControlServer
from orchestrator.judge.forking import Forked, ForkServer, launcher
from orchestrator.judge.verdict import Judgement, expected_checks, judge
from orchestrator.model import Verdict

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux only")


class Nursery:
    """A fork server and the children that a test asks for."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self.server = stack.enter_context(ForkServer())

    def child(self, name: str, source: str, *more: Path) -> tuple[Child, Path]:
        self.server.expect(["orchestrator.services.redis.evidence"])
        checks = make_lab(self._folder / name, source)
        lab = self._folder / name
        child = Child(launcher(self.server, lab, [checks, *more], {}, {}), folder=self._folder, name=name)
        self._stack.callback(child.close)
        return child, checks

    def judge(self, name: str, source: str, budget: float = 60.0) -> tuple[Judgement, Child]:
        child, checks = self.child(name, source)
        with ControlServer() as control:
            transcript = child.converse(first_message(control=control.port), budget=budget, answerer=NoCalls(),
                                        on_event=lambda _: None)
        return judge(expected_checks(MILESTONE, checks.read_text()), transcript, NONCE), child


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    with contextlib.ExitStack() as stack:
        yield Nursery(tmp_path, stack)


def says(judgement: Judgement) -> str:
    """The only evidence of the only check."""
    assert judgement.verdict is Verdict.PASS, judgement
    ((said,),) = (check.evidence for check in judgement.checks)
    return said


def test_children_share_imports_and_nothing_else(nursery: Nursery) -> None:
    """Modules of the judge are there before a check asks; what one child does to itself, the next one does not see."""
    source = textwrap.dedent("""
        import os, random, sys
        def test_a(evidence):
            assert "redis" in sys.modules and "jsonschema" in sys.modules
            assert not hasattr(sys, "left_here")
            sys.left_here = True
            os.environ["LEFT_HERE"] = "1"
            assert os.getsid(0) == os.getpid() and os.getpgid(0) == os.getpid()
            assert sorted(name for name in os.environ if name.startswith("LABS_")) == [
                "LABS_CHANNEL", "LABS_READERS", "LABS_ROLES"]
            evidence(f"{os.getppid()} {random.random()}")
    """)
    said = [says(nursery.judge(name, source)[0]) for name in ("one", "two")]

    assert len({one.split()[0] for one in said}) == 1
    assert len({one.split()[1] for one in said}) == 2
    assert all(int(one.split()[0]) != os.getpid() for one in said)


def test_files_of_checks_are_run_in_their_order(nursery: Nursery, tmp_path: Path) -> None:
    """Those of one milestone in one child, as named: not by their names."""
    second = tmp_path / "a_second.py"
    second.write_text("def test_two(): pass\n")
    child, _ = nursery.child("in_order", "def test_one(): pass\n", second)
    with ControlServer() as control:
        transcript = child.converse(first_message(control=control.port), budget=60.0, answerer=NoCalls(),
                                    on_event=lambda _: None)

    started = [one["check"] for one in transcript.events if one.get("event") == "started"]
    assert started == [f"{MILESTONE}/test_one", f"{MILESTONE}/test_two"]


def test_what_a_child_printed_and_how_it_ended_is_known(nursery: Nursery) -> None:
    """Its output is in its own file, its exit status is that of the program."""
    judgement, child = nursery.judge("broken", "import no_such_module_here\ndef test_a(): pass\n")
    gone, _ = nursery.judge("gone", "import os\ndef test_a(): os._exit(41)\n")

    assert judgement.verdict is Verdict.ERROR
    assert "no_such_module_here" in child.output()
    assert gone.verdict is Verdict.ERROR
    assert "41" in gone.flaw


def test_a_child_that_hangs_is_ended_with_all_that_it_started(nursery: Nursery, tmp_path: Path) -> None:
    """The group's number is the child's own, as it is for a program."""
    note = tmp_path / "pid"
    judgement, child = nursery.judge("hangs", textwrap.dedent(f"""
        import pathlib, subprocess, time
        def test_a():
            other = subprocess.Popen(["sleep", "600"])
            pathlib.Path({str(note)!r}).write_text(str(other.pid))
            time.sleep(600)
    """), budget=1.0)

    assert judgement.verdict is Verdict.ERROR
    assert not child.alive()
    until(lambda: not _runs(int(note.read_text())))


def test_other_users_programs_cannot_look_into_it(nursery: Nursery) -> None:
    """Neither the server nor a child of it can be traced or dumped: their files in /proc are root's."""
    child, _ = nursery.child("quiet", "def test_a(): pass\n")
    process = child._process

    assert isinstance(process, Forked)
    pid = process.pid
    assert pid is not None
    assert Path(f"/proc/{pid}/environ").stat().st_uid == 0
    if os.getuid() != 0:
        with pytest.raises(PermissionError):
            Path(f"/proc/{pid}/environ").read_bytes()


def test_the_end_of_the_server_costs_no_verdict(nursery: Nursery) -> None:
    """A child that was promised is an error once; the next one has a new server."""
    passes = "def test_a(): pass\n"
    child, _ = nursery.child("first", passes)
    pid = child._process.pid
    assert pid is not None
    os.kill(_parent(pid), signal.SIGKILL)
    until(lambda: not child.alive())

    judgement, again = nursery.judge("second", passes)

    assert judgement.verdict is Verdict.PASS
    assert isinstance(again._process, Forked)


def test_where_nothing_can_be_forked_a_child_is_a_program(nursery: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS, and where the server ended before it had forked anything."""
    monkeypatch.setattr(forking, "FORKS", False)
    judgement, child = nursery.judge("program", "def test_a(): pass\n")

    assert judgement.verdict is Verdict.PASS
    assert isinstance(child._process, Spawned)


def test_a_server_that_cannot_import_is_not_tried_again() -> None:
    """Each child is a program then: one attempt is lost, no more."""
    with ForkServer() as server:
        assert server.begin()
        server.expect(["no_such_module_here"])
        until(lambda: not server.runs(1))

        assert not server.begin()


def _runs(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
