"""The last net: whoever carries a run's id, and nobody else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from support.wait import until

from orchestrator.system.strays import VARIABLE, end_strays, strays

RUN = f"run-{os.getpid()}"


@pytest.fixture
def start() -> Iterator[object]:
    with ExitStack() as stack:
        def begin(run_id: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE,
                                       env={**os.environ, VARIABLE: run_id})
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield begin


def test_those_of_a_run_are_found_and_ended_and_no_others(start) -> None:
    """A run's id that begins alike is another run's."""
    mine, other = start(RUN), start(f"{RUN}-2")
    until(lambda: {process.pid for process in strays(RUN)} == {mine.pid})

    assert end_strays(RUN)

    assert mine.wait() == -9
    assert other.poll() is None


def test_we_are_not_our_own_stray() -> None:
    """A `labs` that was started by a server of a run goes on."""
    code = f"from orchestrator.system.strays import end_strays; print(end_strays({RUN!r}))"
    answer = subprocess.run([sys.executable, "-c", code], env={**os.environ, VARIABLE: RUN}, capture_output=True)

    assert answer.stdout == b"True\n"


def test_a_zombie_is_not_waited_for(start) -> None:
    """Its parent may never look."""
    process = start(RUN)
    until(lambda: bool(strays(RUN)))
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    assert strays(RUN) == []
    assert end_strays(RUN, seconds=0.1)
