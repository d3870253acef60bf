"""Which lines of a log are its last ones."""

from __future__ import annotations

import os

import pytest

from orchestrator.system.tail import last_lines
from orchestrator.targets.output import Output

FRAMES = [f"\tat org.springframework.web.Filter{number}.doFilter(Filter{number}.java:101)" for number in range(60)]
JAVA = [
    "2026-11-28 12:00:00.000 ERROR 7 --- [exec-1] o.a.c.c.C.[dispatcherServlet] : Servlet.service() threw exception",
    "org.springframework.dao.DataAccessResourceFailureException: could not execute statement",
    *FRAMES,
    "Caused by: org.postgresql.util.PSQLException: ERROR: relation \"tickets\" does not exist",
    *FRAMES,
    "\t... 23 more",
]


@pytest.mark.parametrize("count", [40, 12, 5])
def test_an_exceptions_own_lines_come_before_its_frames(count: int) -> None:
    """Of a Java server the last lines are all `at ...`: what it was, and what caused it, stood above them."""
    tail = last_lines(JAVA, count)

    assert len(tail) <= count
    assert [line for line in tail if not line.startswith("\t")] == [JAVA[0], JAVA[1], JAVA[62]][-count:]
    assert tail[tail.index(JAVA[1]) + 1].startswith(FRAMES[0])
    assert tail[-1].endswith("(more frames left out)")


def test_a_log_that_fits_is_whole() -> None:
    """Nothing is left out without need, and what is no stack has its last lines."""
    assert last_lines(JAVA, len(JAVA)) == JAVA
    assert last_lines([str(number) for number in range(100)], 3) == ["97", "98", "99"]
    assert last_lines(last_lines(JAVA, 40), 5)[:3] == last_lines(JAVA, 5)[:3]


def test_the_tail_of_a_server_keeps_them() -> None:
    """It is what a failure shows, a start and a build, also after a flood."""
    for before in ([], ["x" * 100] * 2000):
        reading, writing = os.pipe()
        output = Output(reading)
        with os.fdopen(writing, "w") as out:
            out.write("\n".join([*before, *JAVA]))
        output.finish(10)

        assert JAVA[1] in output.text(40)
        assert JAVA[62] in output.text(40)
