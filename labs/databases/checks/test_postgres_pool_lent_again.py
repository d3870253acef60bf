"""postgres/pool: what was refused, or was in a hurry, leaves the pool as large and its connections as patient as before."""

import time
from concurrent.futures import ThreadPoolExecutor

from orchestrator.checks import Call, expect, promises

POOL_MAX = 8  # DB_POOL_MAX of lab.toml
HELD = 1.0  # seconds for which a read has the only connection, so that those behind it have little time left
HELD_AGAIN = 0.75  # seconds for which the same read waits afterwards: less than before


@promises("pool-clean")
def test_no_setting_of_a_request_stays_behind(server, postgres, wait, fresh, make_buyer, make_event, new_event, evidence):
    """A read waits for a table as long as before, also on a connection whose last request had little time left."""
    small = server.replica(env={"DB_POOL_MAX": "1"})
    event, gone = make_event(), make_event()
    late = [
        Call("POST", "/buyers", json={"name": fresh.name("buyer"), "balance_cents": 5}),
        Call("POST", "/events", json=new_event()),
        Call("PATCH", f"/events/{event}", json={"price_cents": 7}),
        Call("DELETE", f"/events/{gone}"),
        Call("POST", "/orders", json={"event": event, "seat": 1, "buyer": make_buyer()}),
    ]

    def read(seconds, behind=()):
        """The answer to a read whose table is locked for so long, and how long it was; `behind` come while it waits."""
        with postgres.as_learner() as keeper, ThreadPoolExecutor(2) as beside:
            keeper.execute("LOCK TABLE events")
            reading = beside.submit(small.get, "/events", deadline=4.0)
            wait.until(
                lambda: reading.done() or postgres.value("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"),
                deadline=3.0, every=0.005, what="a read that waits for a table",
            )
            began = time.monotonic()
            others = beside.submit(small.parallel, list(behind), deadline=4.0, unanswered="keep")
            wait.until(
                lambda: reading.done() or time.monotonic() - began >= seconds, deadline=seconds + 1.0, what="the time"
            )
            waited = time.monotonic() - began
            keeper.rollback()
            others.result()
            return reading.result(), waited

    first, before = read(HELD, late)
    again, _ = read(HELD_AGAIN)
    if first.status != 200:  # it waits less than that for a table, which is its own affair
        evidence(f"with DB_POOL_MAX=1, a read waited {before:.1f} s for a table and was given up, before and after other requests")
        return
    expect.true(
        again.status == 200 or again.elapsed >= before,
        f"the answer to GET /events while somebody had the table locked for {HELD_AGAIN} s, at a server with DB_POOL_MAX=1: the same "
        f"read had waited {before:.1f} s before, and been answered; then came {len(late)} other requests, which had waited "
        "for the connection meanwhile",
        reason="setting-kept",
        expected=f"200, since a read waits {before:.1f} s if it has to",
        seen=f"{again.status} after {again.elapsed:.2f} s",
    )
    evidence(
        f"with DB_POOL_MAX=1, a read waited {before:.1f} s for a table, and so it could after {len(late)} requests that had waited "
        "for its connection"
    )


@promises("refused-is-away", "postgres-away", "back-again", "pool-size")
def test_an_attempt_that_is_refused_takes_no_place(server, postgres, fault, wait, make_buyer, evidence):
    """While PostgreSQL gives out no session, or ends each at once, the answer is 503; then the pool has all its places, and no more."""
    calls = [Call("GET", f"/buyers/{make_buyer()}") for _ in range(2 * POOL_MAX)]

    def working():
        return sum(session.state == "active" for session in postgres.sessions())

    def ask(count):
        return server.parallel(calls[:count], at_once=count, deadline=3.0, unanswered="keep")

    def said(count=POOL_MAX):
        return sorted({str(getattr(answer, "status", "no answer")) for answer in ask(count)})

    def lent(reads=2 * POOL_MAX):
        """How many connections are lent at once to reads that have to wait for a table."""
        wait.until(lambda: not working(), deadline=3.0, every=0.01, what="sessions that have nothing to do")
        with postgres.as_learner() as keeper, ThreadPoolExecutor(1) as beside:
            keeper.execute("LOCK TABLE buyers")
            asked, soon, enough = beside.submit(ask, reads), time.monotonic() + 0.5, min(reads, POOL_MAX + 1)
            wait.until(
                lambda: asked.done() or time.monotonic() > soon or working() >= enough,
                deadline=3.0, every=0.01, what="requests that wait for a table",
            )
            seen = min(working() for _ in range(5))  # some may be at other work for a moment
            keeper.rollback()
            asked.result()
            return seen

    def refused(reads, how):
        what = f"{reads} reads at once while PostgreSQL {how}"
        for answer in expect.within(2.0, lambda: ask(reads), what=what, reason="outage-slow"):
            expect.true(
                getattr(answer, "status", None) == 503,
                f"the answer to a read while PostgreSQL {how}",
                reason="outage-answer",
                expected="503",
                seen=str(getattr(answer, "status", "no answer")),
            )
            expect.status(answer, 503, reason="outage-answer", code="unavailable")

    def works(after):
        expect.eventually(
            said, ["200"], within=3.0, reason="no-recovery", what=f"the answers to {POOL_MAX} reads at once {after}"
        )

    before = lent(POOL_MAX)
    with postgres.limit_connections(0):
        postgres.terminate()
        refused(POOL_MAX + 1, "gave your server no session (`too many connections`)")
    after = "after PostgreSQL had ended all sessions of your server, and refused each new one"
    works(f"{after} (your server was not restarted)")
    with fault.shut("postgres"):
        refused(POOL_MAX, "took each new connection and ended it before a word was said")
    after += ", first with an error and then without a word (your server was not restarted)"
    works(after)
    sessions = expect.eventually(
        lent,
        lambda seen: seen >= before,
        within=3.0,
        reason="place-lost",
        what=f"how many sessions work at once for {2 * POOL_MAX} reads, {before} for {POOL_MAX} before, {after}",
    )
    expect.at_most(
        POOL_MAX,
        sessions,
        f"how many sessions of your server (DB_POOL_MAX is {POOL_MAX}) work at once for {2 * POOL_MAX} reads {after}: who connected "
        "in vain has given a place back twice",
        reason="too-many-sessions",
    )
    evidence(
        f"PostgreSQL ended all sessions and gave out no new one: 503 for {2 * POOL_MAX + 1} reads; then {sessions} sessions worked "
        "at once again"
    )
