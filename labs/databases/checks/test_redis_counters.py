"""redis/counters: each view counts, however many come at once, whichever process of the server they meet.

Beside each round a naive control runs on a key of the checker's own: a few threads that GET a number, add one and SET
it. If the control loses nothing, nothing overlapped on this machine, the round proves nothing and is repeated.
"""

from orchestrator.checks import Call, expect
from orchestrator.checks.errors import MachineSlow

VIEWS, ROUNDS, TRIES = 250, 2, 6
CONTROL = "labs-control"


def test_the_count_is_not_in_the_server(server, redis, make_event, evidence):
    """The count is where every process of your server finds it: it outlives a restart and follows Redis."""
    event = make_event()
    key, path = f"views:{event}", f"/events/{event}/views"

    def answers(views):
        answer = server.get(path)
        expect.equal(
            views,
            expect.field(answer, "views", int, reason="answer-wrong"),
            f"the views that GET {path} answers",
            reason="views-in-process",
        )

    with redis.commands() as seen:
        for _ in range(3):
            expect.status(server.post(path), 204, reason="view-refused")
    expect.equal("3", redis.get(key), f"the key {key} in Redis after 3 views", reason="views-in-process")

    redis.plant(key, 1_000)
    expect.status(server.post(path), 204, reason="view-refused")
    expect.equal(
        "1001",
        redis.get(key),
        f"the key {key}, which I had set to 1000, after one more view",
        reason="views-in-process",
    )
    answers(1_001)

    twin = server.replica()
    expect.status(twin.post(path), 204, reason="view-refused")
    expect.status(server.post(path), 204, reason="view-refused")
    expect.equal(
        "1003",
        redis.get(key),
        f"the key {key} after one more view at a second instance of your server, and one at the first",
        reason="views-in-process",
    )
    answers(1_003)

    server.restart()
    expect.status(server.post(path), 204, reason="view-refused")
    expect.equal(
        "1004",
        redis.get(key),
        f"the key {key} after a restart of your server and one more view",
        reason="views-in-process",
    )
    answers(1_004)

    unseen = server.get(f"/events/{make_event()}/views")
    expect.equal(
        0,
        expect.field(unseen, "views", int, reason="answer-wrong"),
        "the views of an event that nobody looked at",
        reason="views-wrong",
    )
    expect.status(server.post("/events/none/views"), 404, reason="unknown-id-answer", code="not_found")
    expect.equal(
        None,
        redis.get("views:none"),
        "the key views:none in Redis after a view of an event that does not exist",
        reason="view-of-nothing",
    )
    evidence(
        f"Redis ran {', '.join(sorted(seen.calls)) or 'nothing'} for three views; the count went on from 1000 to "
        "1004 over two instances and a restart"
    )


def test_five_hundred_views_at_once(server, redis, make_event, together, evidence):
    """Five hundred views, two hundred and fifty at a time, are counted as five hundred."""

    def naive():
        for _ in range(40):
            redis.plant(CONTROL, int(redis.get(CONTROL)) + 1)

    def look():
        return server.parallel([Call("POST", f"/events/{event}/views")] * VIEWS, at_once=50)

    counted = lost = 0
    for _ in range(TRIES):
        event = make_event()
        redis.plant(CONTROL, 0)
        answers, *_ = together([look, *[naive] * 3])
        control = 3 * 40 - int(redis.get(CONTROL))
        for answer in answers:
            expect.status(answer, 204, reason="view-refused")
        key = f"views:{event}"
        seen = redis.get(key)
        expect.true(
            seen is not None,
            f"the key {key} in Redis after {VIEWS} views were answered with 204",
            reason="views-not-in-redis",
            expected=str(VIEWS),
            seen="no such key",
        )
        expect.equal(
            str(VIEWS),
            seen,
            f"the key {key} in Redis after {VIEWS} views, 50 at a time, were answered with 204",
            reason="lost-views",
        )
        answer = server.get(f"/events/{event}/views")
        expect.status(answer, 200, reason="views-refused")
        expect.equal(
            VIEWS,
            expect.field(answer, "views", int, reason="answer-wrong"),
            f"the views that GET /events/{event}/views answers",
            reason="views-in-process",
        )
        counted, lost = counted + (control > 0), lost + control
        if counted == ROUNDS:
            break
    else:
        raise MachineSlow(
            f"in {TRIES} rounds a naive control never lost a view: nothing overlaps on this machine, so the "
            "rounds prove nothing"
        )
    redis.delete(CONTROL)
    evidence(f"Redis counted {VIEWS} of {VIEWS} views, {ROUNDS} times; a naive control beside them lost {lost}")
