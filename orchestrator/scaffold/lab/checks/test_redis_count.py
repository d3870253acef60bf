"""redis/count: each visit counts, however many come at once, whichever process of the server they meet."""

from orchestrator.checks import Call, expect

VISITS, ROUNDS = 200, 3


def test_many_visits_at_once(server, redis, make_link, evidence):
    """Two hundred visits at two processes of your server, forty at a time, are counted as two hundred."""
    twin = server.replica()
    for _ in range(ROUNDS):
        code, _ = make_link()
        visit = Call("POST", f"/links/{code}/visits")
        for one in (server, twin):
            for answer in one.parallel([visit] * (VISITS // 2), at_once=40):
                expect.status(answer, 204, reason="visit-refused")
        expect.equal(str(VISITS), redis.get(f"visits:{code}"),
                     f"the key visits:{code} in Redis after {VISITS} visits were answered with 204",
                     reason="lost-visits")
        for one in (server, twin):
            seen = expect.field(one.get(f"/links/{code}/visits"), "visits", int, reason="answer-wrong")
            expect.equal(VISITS, seen, f"the visits that GET /links/{code}/visits answers", reason="count-in-process")
    evidence(f"Redis counted {VISITS} of {VISITS} visits at two processes, {ROUNDS} times")


def test_a_count_goes_on(server, redis, make_link, fresh):
    """A number that somebody else wrote goes on; a link that nobody followed has none; no link has no visits."""
    code, _ = make_link()
    answer = server.get(f"/links/{code}/visits")
    expect.status(answer, 200, reason="answer-wrong")
    expect.equal(0, expect.field(answer, "visits", int, reason="answer-wrong"), "the visits of a new link",
                 reason="answer-wrong")
    planted = fresh.integer(1_000, 9_000)
    redis.plant(f"visits:{code}", planted)
    expect.status(server.post(f"/links/{code}/visits"), 204, reason="visit-refused")
    expect.equal(str(planted + 1), redis.get(f"visits:{code}"),
                 f"the key visits:{code}, which I had set to {planted}, after one more visit", reason="count-in-process")
    seen = expect.field(server.get(f"/links/{code}/visits"), "visits", int, reason="answer-wrong")
    expect.equal(planted + 1, seen, f"the visits that GET /links/{code}/visits answers then", reason="count-in-process")
    nobody = fresh.token()
    for answer in (server.post(f"/links/{nobody}/visits"), server.get(f"/links/{nobody}/visits")):
        expect.status(answer, 404, reason="unknown-code", code="not_found")
    expect.equal(None, redis.get(f"visits:{nobody}"), "the visits of a link that does not exist",
                 reason="visit-of-nothing")
