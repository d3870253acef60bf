"""`labs connect` where a service's client program is not installed: a prompt of our own, in a real terminal."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pexpect
import psutil
import pytest
from support.cli import Labs
from support.wait import until

pytestmark = [pytest.mark.e2e, pytest.mark.engine("embedded")]

CONNECT = ("connect", "redis", "--name", "prompt")


@pytest.fixture(scope="module")
def bare(labs: Labs, tmp_path_factory: pytest.TempPathFactory) -> Labs:
    """A Redis that runs, and no program on PATH."""
    labs.ok("start", "databases", "redis", "--name", "prompt")
    return replace(labs, extra={"PATH": str(tmp_path_factory.mktemp("empty")), "TERM": "dumb"})


@pytest.fixture
def screen(bare: Labs) -> Iterator[pexpect.spawn]:
    program, *words = bare.command
    spawned = pexpect.spawn(program, [*words, *CONNECT], env=bare.environment, timeout=20, encoding="utf-8",
                            # A shell that runs the tests in the background ignores SIGINT for all that they start.
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    spawned.expect("No client program for Redis")
    spawned.expect("redis> ")
    yield spawned
    spawned.close(force=True)


def ask(screen: pexpect.spawn, statement: str, answer: str) -> None:
    screen.sendline(statement)
    screen.expect_exact(f"{statement}\r\n{answer}")
    screen.expect_exact("redis> ")


def test_a_line_is_a_statement_of_the_learners(screen: pexpect.spawn) -> None:
    """Answers as redis-cli shows them; what Redis refuses, and an empty line, are followed by the next prompt."""
    ask(screen, "SET note 'a b'", "OK\r\n")
    ask(screen, "GET note", "a b\r\n")
    ask(screen, "", "")
    ask(screen, "CONFIG GET dir", "error: Redis refused this: ")
    ask(screen, "GET 'open", "error: a quote is not closed in: GET 'open")
    ask(screen, "ACL WHOAMI", "learner_")
    screen.sendeof()
    screen.expect(pexpect.EOF)
    screen.close()

    assert screen.exitstatus == 0


def test_the_prompt_can_be_left_by_a_word(screen: pexpect.spawn) -> None:
    screen.sendline("exit")
    screen.expect(pexpect.EOF)
    screen.close()

    assert screen.exitstatus == 0


def test_ctrl_c_leaves_a_line_and_a_statement_but_not_the_prompt(screen: pexpect.spawn, labs: Labs) -> None:
    """As often as it is pressed."""
    for _ in range(2):
        screen.send("GET half")
        screen.expect_exact("GET half")
        # Python's line editor is not told of a signal that comes after the last key and before it sleeps again.
        until(lambda: psutil.Process(screen.pid).status() == psutil.STATUS_SLEEPING)
        screen.sendintr()
        screen.expect_exact("redis> ")
    screen.sendline("BLPOP nothing 0")
    until(lambda: "cmd=blpop" in labs.ok(*CONNECT, "-c", "CLIENT LIST"))
    screen.sendintr()
    screen.expect_exact("redis> ")

    ask(screen, "PING", "PONG\r\n")
    assert "cmd=blpop" not in labs.ok(*CONNECT, "-c", "CLIENT LIST")


def test_a_service_that_stops_is_said_in_a_line(screen: pexpect.spawn, labs: Labs) -> None:
    """And a signal ends the prompt."""
    labs.ok("stop", "--name", "prompt")
    try:
        ask(screen, "PING", "error: Redis at 127.0.0.1:")
    finally:
        labs.ok("start", "databases", "redis", "--name", "prompt")
    ask(screen, "PING", "PONG\r\n")

    screen.kill(signal.SIGTERM)
    screen.expect(pexpect.EOF)
    screen.close()
    assert screen.signalstatus == signal.SIGTERM


def test_without_a_terminal_there_is_no_prompt(bare: Labs, tmp_path: Path) -> None:
    """A script is told how to ask."""
    done = bare.run(*CONNECT, cwd=tmp_path)

    assert (done.returncode, done.stdout) == (3, "")
    assert "labs connect redis -c STATEMENT" in done.stderr
