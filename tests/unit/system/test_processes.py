"""Whom signals go to: a process is its pid and its start time, a service all that descends from it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.wait import until

from orchestrator.system import processes
from orchestrator.system.processes import (
    Identity,
    Process,
    boot_id,
    destroy,
    find,
    freeze,
    identify,
    look,
    started_at,
    thaw,
    tree,
)

HERE = boot_id()


def crowd(*rows: tuple[int, int, int]) -> dict[int, Process]:
    """pid, parent, session: all started at their pid."""
    return {pid: Process(pid, parent, session, "S", str(pid)) for pid, parent, session in rows}


def pids(found: list[Process]) -> set[int]:
    return {process.pid for process in found}


def test_a_stat_line_is_read_from_its_last_bracket() -> None:
    """A program may call itself ``) Z (``; its parent, session, state and start are still found."""
    line = "77 (x) Z (y) S 12 13 14 0 -1 4194560 1 0 0 0 2 3 0 0 20 0 1 0 9988 1000 2 18446744073709551615"

    assert processes.parse_stat(line) == Process(77, 12, 14, "S", "9988")


def test_a_zombie_is_nobody() -> None:
    """An ended process that its parent has not waited for does not count as living."""
    assert processes.parse_stat("7 (x) Z 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 55 0") is None


@pytest.mark.skipif(sys.platform != "linux", reason="compares with /proc")
def test_looking_with_psutil_sees_what_proc_shows(family: Identity) -> None:
    """Where there is no /proc, psutil tells the same of every process: parents, sessions, who stands still."""
    def seen(found: dict[int, Process]) -> dict[int, tuple[int, bool]]:
        return {pid: (one.parent, one.frozen) for pid, one in found.items()}

    members = [process.pid for process in tree(family, look())]
    for act in (freeze, thaw):
        act(family)
        assert seen(processes._look_with_psutil(members)) == seen(look(members))
    assert set(members) <= set(processes._look_with_psutil(None))


def test_psutil_shows_no_zombie_and_nobody_who_is_gone() -> None:
    """An ended process that its parent has not waited for does not count as living."""
    with subprocess.Popen(["true"]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert processes._look_with_psutil([ended.pid]) == {}
    assert processes._look_with_psutil([ended.pid]) == {}


def test_the_kernels_process_is_never_looked_at() -> None:
    """On macOS it has pid 0, which means ourselves in every call that takes a pid: a signal to it would be our end."""
    assert 0 not in processes._look_with_psutil([0, os.getpid()])


def test_a_start_is_written_as_the_disk_of_macos_has_it() -> None:
    """As ``ps -o lstart`` wrote it in UTC: services that run since before an update are known again after it."""
    assert processes.date_of(1780547330.999) == "Thu Jun  4 04:28:50 2026"


def test_a_start_does_not_move(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for psutil at every look, though somebody sets the clock."""
    import psutil

    first = processes._look_with_psutil([os.getpid()])
    monkeypatch.setattr(psutil, "boot_time", lambda: 0.0)
    monkeypatch.setattr(psutil._psplatform, "boot_time", lambda: 0.0)

    assert processes._look_with_psutil([os.getpid()]) == first


def test_a_process_is_told_from_a_later_one_by_its_start() -> None:
    """The same as long as it lives; gone when it is, also while its parent has not looked."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        started = started_at(process.pid)
        own = started_at(os.getpid())
        assert started is not None
        assert own is not None
        assert started > own
        assert started_at(process.pid) == started
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert started_at(process.pid) is None
    assert started_at(process.pid) is None


@pytest.mark.skipif(sys.platform != "linux", reason="ticks")
def test_a_start_in_labels_is_seconds_since_boot() -> None:
    """As it stands in the labels of objects that were made before an update."""
    ticks = Path(f"/proc/{os.getpid()}/stat").read_text().rpartition(")")[2].split()[19]

    assert started_at(os.getpid()) == int(ticks) / os.sysconf("SC_CLK_TCK")


def test_a_start_in_labels_is_seconds_since_1970_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The date on the disk as a number."""
    monkeypatch.setattr(processes, "LINUX", False)
    monkeypatch.setattr(processes, "look", lambda pids: {7: Process(7, 1, 7, "S", "Thu Jun  4 04:28:50 2026")})

    assert started_at(7) == 1780547330.0


def test_a_tree_has_children_that_left_the_session_and_orphans_that_stayed() -> None:
    """PostgreSQL's children call setsid; a daemon's parent dies. Neighbours are never part of it."""
    everybody = crowd((10, 1, 10), (11, 10, 11), (12, 11, 11), (13, 1, 10), (20, 1, 20), (21, 20, 20))

    assert pids(tree(Identity(10, "10", HERE), everybody)) == {10, 11, 12, 13}


def test_of_a_dead_process_only_its_session_is_left() -> None:
    """The first process has ended; those of its session can still be found."""
    assert pids(tree(Identity(10, "10", HERE), crowd((13, 1, 10), (20, 1, 20)))) == {13}


@pytest.mark.parametrize("identity", [Identity(10, "9", HERE), Identity(10, "10", "another boot")])
def test_a_recycled_pid_has_no_tree(identity: Identity) -> None:
    """Another process has our pid by now, or the machine was restarted: nobody is ours, not even its children."""
    everybody = crowd((10, 1, 10), (11, 10, 10))

    assert tree(identity, everybody) == []
    assert find(identity, everybody) is None


def test_a_recycled_pid_gets_no_signal() -> None:
    """A process with our pid but another start is not signalled."""
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        processes.send(Process(sleeper.pid, 1, 1, "S", "another start"), signal.SIGKILL)
        assert destroy(Identity(sleeper.pid, "another start", HERE))

        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


@pytest.fixture
def family() -> Iterator[Identity]:
    """A shell whose grandchild has left its session, and one more whose parent is gone."""
    script = "setsid sh -c 'sleep 61 & sleep 62' & (sleep 63 &) ; sleep 64"
    shell = subprocess.Popen(["sh", "-c", script], start_new_session=True)
    identity = identify(shell.pid)
    assert identity is not None
    until(lambda: len(tree(identity, look())) == 6)
    yield identity
    destroy(identity)
    shell.wait()


def states(root: Identity) -> set[bool]:
    return {process.frozen for process in tree(root, look())}


def test_freeze_and_thaw_reach_every_process(family: Identity) -> None:
    """A paused service answers from none of its processes, and each goes on afterwards."""
    assert freeze(family)
    assert states(family) == {True}

    assert thaw(family)
    assert states(family) == {False}


def test_destroy_leaves_nobody(family: Identity) -> None:
    """SIGKILL reaches those who left the session and those who lost their parent, paused or not."""
    members = tree(family, look())
    freeze(family)

    assert destroy(family)
    assert not [process for process in look([one.pid for one in members]).values() if process in members]


def test_destroy_wins_against_a_process_that_keeps_forking() -> None:
    """A tree that makes children faster than one can kill them is frozen first."""
    shell = subprocess.Popen(["sh", "-c", "while :; do sh -c 'setsid sleep 65 & sleep 66' & sleep 0.002; done"],
                             start_new_session=True)
    identity = identify(shell.pid)
    assert identity is not None
    until(lambda: len(tree(identity, look())) > 10)

    assert destroy(identity)

    shell.wait()
    assert tree(identity, look()) == []


def test_waiting_for_the_end_has_an_end() -> None:
    """Whoever is still there at the deadline is returned."""
    me = look([os.getpid()])[os.getpid()]

    assert processes.wait_gone([me], until=time.monotonic() + 0.02) == [me]
