"""Keys through a real terminal, and the terminal afterwards."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
import time
from collections.abc import Iterator

import pytest

from orchestrator.watch.keys import Keys

PROGRAM = """
import os, sys, time
from orchestrator.watch.keys import Keys
pressed = []
keys = Keys(0, pressed.append)
with keys:
    print("there" if keys.there else "none", flush=True)
    end = time.monotonic() + 20
    while "q" not in pressed and time.monotonic() < end:
        time.sleep(0.01)
    print("".join(pressed), flush=True)
    if "x" in pressed:
        raise RuntimeError("broken")
"""


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def run(slave: int) -> subprocess.Popen[str]:
    """The program with this as its controlling terminal."""
    own = f"import fcntl, os, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n{PROGRAM}"
    return subprocess.Popen([sys.executable, "-c", own], stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)


@pytest.mark.parametrize("broken", ["", "x"])
def test_keys_come_one_by_one_and_the_terminal_is_as_before(terminal: tuple[int, int], broken: str) -> None:
    """No Enter, no echo; arrows have names; other keys and pasted text are none; also an exception leaves the terminal as it was."""
    master, slave = terminal
    before = termios.tcgetattr(slave)
    program = run(slave)
    assert program.stdout is not None
    assert program.stdout.readline() == "there\n"
    assert termios.tcgetattr(slave)[3] & (termios.ICANON | termios.ECHO) == 0

    for data in (b"N", b"\x1b[A", b"\x1b[H", b"some pasted words, quite long", b"h", broken.encode(), b"q"):
        os.write(master, data)
        time.sleep(0.2)  # a terminal hands bytes on in its own time; what comes together is no single key
    told, _ = program.communicate(timeout=20)

    assert told == f"nuph{broken}q\n"
    assert program.returncode == (1 if broken else 0)
    assert termios.tcgetattr(slave) == before


def test_without_a_terminal_there_are_no_keys() -> None:
    """A pipe, or no descriptor at all: nothing is read, nothing breaks."""
    reading, writing = os.pipe()
    try:
        for descriptor in (reading, -1):
            with Keys(descriptor, lambda key: None) as keys:
                assert not keys.there
    finally:
        os.close(reading)
        os.close(writing)
