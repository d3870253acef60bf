"""redis/outage: Redis answers late, and PostgreSQL, which had answered before, has fallen silent by then."""

from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack

from orchestrator.checks import expect, promises

LATE = (0.6, 0.4)
"""Seconds for which Redis says nothing to the first requests and to those after them: who waits for less asks nobody else."""


@promises("two-silences", "silence-is-away", "postgres-away", "post-events-holds-503", "get-events-seats-503", "back-again")
def test_a_late_redis_leaves_postgres_the_rest(
    server, fault, make_buyer, make_event, used, holds_again, evidence
):
    """PostgreSQL falls silent in the middle of a request, while Redis is late: the answer comes within 2 seconds all the same."""
    used()
    buyer, event = make_buyer(), make_event()

    def in_time(method, path, body, late):
        answer = expect.within(
            2.0,
            lambda: server.request(method, path, json=body),
            what=f"{method} {path}, to which Redis answered {late:.1f} s late, and PostgreSQL nothing more from then on",
            reason="outage-slow",
        )
        if answer.status not in (200, 201):  # it may have had all that it needs
            expect.status(answer, 503, reason="outage-answer", code="unavailable")

    def asks(late, seat):
        yield "POST", f"/events/{event}/holds", {"seat": seat, "buyer": buyer}, late
        yield "GET", f"/events/{event}/seats", None, late

    with ThreadPoolExecutor(4) as beside, ExitStack() as later:
        with fault.hold("redis"):
            asked = []
            for seat, (late, rest) in enumerate(zip(LATE, (*LATE[1:], 0.0), strict=True), 7):
                asked += [beside.submit(in_time, *one) for one in asks(late, seat)]
                wait(asked, timeout=late - rest)
            later.enter_context(fault.hold("postgres"))
        for one in asked:
            one.result()
    holds_again(event, buyer, 9, "PostgreSQL spoke again")
    evidence(f"Redis was late for {len(asked)} requests, and PostgreSQL silent from then on: each was answered in time")
