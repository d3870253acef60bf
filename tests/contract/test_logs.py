"""What every engine promises of a service's log: all that it wrote, in order, and how it goes on."""

from __future__ import annotations

import subprocess

from support.bench import Bench
from support.wait import until


def test_logs_are_what_the_service_wrote(bench: Bench) -> None:
    """`logs` are oldest first; `tail` gives the last lines; they are there after the end, too."""
    spec = bench.up()
    log = until(lambda: bench.engine.logs(spec.name) if "eady to accept" in bench.engine.logs(spec.name) else "")
    last = bench.engine.logs(spec.name, tail=2)

    assert last.splitlines() == log.splitlines()[-2:]

    bench.engine.stop(spec.name)
    log = bench.engine.logs(spec.name)

    assert log.index("eady to accept") < log.index("bye bye")


def test_logs_of_this_start_are_told_apart(bench: Bench) -> None:
    """With `since_start` what earlier starts wrote is left out, whether it runs or has ended."""
    spec = bench.up()
    until(lambda: "eady to accept" in bench.engine.logs(spec.name, since_start=True))
    bench.engine.stop(spec.name)
    bench.engine.start(spec.name)
    until(lambda: "eady to accept" in bench.engine.logs(spec.name, since_start=True))

    this, everything = bench.engine.logs(spec.name, since_start=True), bench.engine.logs(spec.name)
    assert (this.count("eady to accept"), everything.count("eady to accept")) == (1, 2)
    assert "bye bye" not in this


def test_logs_can_be_followed(bench: Bench) -> None:
    """`follow` gives a program that shows the log and goes on, or nothing, and then the caller polls."""
    spec = bench.up()
    argv = bench.engine.follow(spec.name)
    if argv is None:
        assert "eady to accept" in until(lambda: bench.engine.logs(spec.name))
        return
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as follower:
        assert follower.stdout is not None
        try:
            assert any("eady to accept" in line for line in follower.stdout)
            assert follower.poll() is None
        finally:
            follower.kill()
