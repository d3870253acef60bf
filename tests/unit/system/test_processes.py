"""Whom signals go to: a process is its pid and its start time, a service all that descends from it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
from support.wait import until

from orchestrator.system import processes
from orchestrator.system.processes import Identity, Process, boot_id, destroy, find, freeze, identify, look, thaw, tree

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
    assert processes.parse_ps("7 1 7 Z+ Mon Nov 23 04:29:50 2026") is None


def test_a_line_of_ps_is_read() -> None:
    """Where there is no /proc, ``ps`` tells the same; the start is a date with blanks in it."""
    assert processes.parse_ps("  77    1   76 Ss   Mon Nov 23 04:29:50 2026") == Process(
        77, 1, 76, "S", "Mon Nov 23 04:29:50 2026")


def test_looking_with_ps_sees_what_proc_shows() -> None:
    """Both ways of looking agree about this very process' parent."""
    seen = processes._look_with_ps([os.getpid()])[os.getpid()]

    assert seen.parent == os.getppid() == look([os.getpid()])[os.getpid()].parent


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
