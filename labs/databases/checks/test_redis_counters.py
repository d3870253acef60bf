"""redis/counters: each view counts, however many come at once, whichever process of the server they meet.

A view stands still before each of its steps while another process counts one: whatever is read and written back is
found, on any machine. The crowd after that shows that all of them are answered.
"""

from urllib.parse import quote

from orchestrator.checks import Call, expect, promises

VIEWS = 250


@promises("views-key", "key-of-others", "views-read-redis", "post-events-views-204", "get-events-views-200")
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


@promises("view-adds-one")
def test_a_view_between_two_steps_of_another(explore, server, redis, make_event, evidence):
    """Between any two steps of a view another process counts one: both are counted."""

    def holds(event, answer, _):
        if getattr(answer, "status", 204) != 204:
            expect.status(answer, 204, reason="view-refused")
        seen = redis.get(f"views:{event}")
        expect.true(
            seen in ("1", "2") if not hasattr(answer, "status") else seen == "2",
            f"the key views:{event} in Redis after a view, and one that another process counted meanwhile",
            reason="lost-views",
            expected="2",
            seen=seen,
        )

    seen = explore.interleave(
        lambda event: server.post(f"/events/{event}/views"),
        lambda event: redis.client.incr(f"views:{event}"),
        holds,
        prepare=make_event,
        during="another process counted a view",
    )
    evidence(f"another view was counted before {seen} of a view: Redis has 2 each time")


@promises("read-is-now", "views-read-redis", "get-events-views-200")
def test_two_counts_at_the_same_moment(explore, server, redis, make_event, evidence):
    """Between two steps of a GET of views the same process is asked again, for this event or another: it says what is there then."""

    def changed(event):
        """Three more, which another process counts; and then what the server says."""
        redis.client.incrby(f"views:{event}", 3)
        return server.get(f"/events/{event}/views")

    def look(which, answers=False):
        def holds(events, _, answer):
            if hasattr(answer, "status"):  # else it had to stand still for too long
                expect.status(answer, 200, reason="views-refused")
                what = (
                    f"the answer to GET /events/{events[which]}/views, asked for when there were 3, while GET "
                    f"/events/{events[0]}/views was under way at the same process"
                )
                expect.fields(answer, {"views": 3}, what, reason="anothers-answer")

        return explore.interleave(
            lambda events: server.get(f"/events/{events[0]}/views"), lambda events: changed(events[which]), holds,
            prepare=lambda: (make_event(), make_event()),
            during="another process counted three views, and the same process was asked again", answers=answers,
        ).tried

    tried = look(0) + look(1) + look(0, answers=True)
    evidence(f"views were asked for before or after {tried} steps of another GET: what Redis had then was answered")


@promises("view-adds-one")
def test_five_hundred_views_at_once(server, redis, make_event, evidence):
    """Five hundred views, two hundred and fifty for each of two events, are counted as five hundred."""
    for _ in range(2):
        event = make_event()
        key = f"views:{event}"
        for answer in server.parallel([Call("POST", f"/events/{event}/views")] * VIEWS, at_once=50):
            expect.status(answer, 204, reason="view-refused")
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
    evidence(f"Redis counted {VIEWS} of {VIEWS} views, 50 at a time, for each of two events")


@promises("get-events-views-404", "post-events-views-404", "get-events-views-200", "views-key")
def test_views_of_no_event(server, postgres, redis, make_event, fresh, evidence):
    """An event that nobody looked at has 0 views; one that does not exist is 404 and gets no key."""
    event, none = make_event(), fresh.name("none")
    expect.fields(server.get(f"/events/{event}/views"), {"views": 0}, "an event's first views", reason="view-refused")
    for method in ("POST", "GET"):
        answer = server.request(method, f"/events/{none}/views")
        expect.status(answer, 404, reason="unknown-id-answer", code="not_found")
    expect.equal(None, redis.get(f"views:{none}"), f"the key views:{none} in Redis", reason="unknown-id-counted")
    gone = make_event()
    expect.status(server.post(f"/events/{gone}/views"), 204, reason="view-refused")
    postgres.plant("DELETE FROM events WHERE id::text = %s RETURNING id", [gone])
    answer = server.post(f"/events/{gone}/views")  # somebody else may delete an event, also with SQL
    expect.status(answer, 404, reason="unknown-id-answer", code="not_found")
    evidence(f"event {event} has 0 views, and Redis has no key for an event that does not exist")


@promises("unknown-id", "post-events-views-404", "get-events-views-404")
def test_an_event_that_goes_while_it_is_looked_at(explore, server, postgres, make_event, views_in_redis, evidence):
    """PostgreSQL has told one request of the event; it is deleted, and the same process is asked again: 404, not counted."""

    def look(method):
        def ask(event):
            return server.request(method, f"/events/{event}/views")

        def gone(event):
            postgres.plant("DELETE FROM events WHERE id::text = %s RETURNING id", [event])
            return ask(event)

        def holds(event, _, answer):
            if hasattr(answer, "status"):  # else it had to stand still for too long
                expect.true(
                    answer.status == 404,
                    f"the answer to {method} /events/{event}/views, asked for when the event was deleted, while another "
                    f"{method} of it was under way at the same process",
                    reason="anothers-answer",
                    expected="404 not_found",
                    seen=str(answer.status),
                )
                expect.status(answer, 404, reason="unknown-id-answer", code="not_found")
                what = f"the key views:{event} in Redis after a view of it, and one when it was deleted"
                expect.at_most(1, views_in_redis(event), what, reason="unknown-id-counted")

        return explore.interleave(
            ask, gone, holds, prepare=make_event, services=("postgres",), answers=True,
            during="the event was deleted, and the same process was asked again",
        ).tried

    evidence(f"an event was deleted when PostgreSQL had answered {look('POST') + look('GET')} looks at it: the next one was 404")


@promises("view-never-twice", "post-events-views-503")
def test_a_view_without_its_answer(explore, server, make_event, views_in_redis, recovered, evidence):
    """A view whose connection to Redis breaks, also when Redis has counted it and not yet said so, is never counted twice."""

    def prepare():
        """An event that was looked at, now that the server has Redis again."""
        event = make_event()
        expect.status(recovered(f"/events/{event}/views", lambda: None, 204), 204, reason="view-refused")
        return event, views_in_redis(event)

    def holds(case, answer):
        event, before = case
        more = views_in_redis(event) - before
        what = f"how much higher the key views:{event} is after one view"
        status = getattr(answer, "status", 503)
        expect.true(more <= 1, what, reason="counted-twice", expected="1, or 0 if the answer is 503", seen=str(more))
        if status != 503:
            expect.status(answer, 204, reason="view-refused")
            expect.equal(1, more, f"{what} that was answered with 204", reason="lost-views")

    seen = [
        explore.cut(
            lambda case: server.post(f"/events/{case[0]}/views"),
            holds,
            answer=answer,
            prepare=prepare,
            services=("redis",),
        )
        for answer in ("lost", "never")
    ]
    prepare()  # so the next check, too, finds a server that has Redis
    evidence(f"{sum(one.tried for one in seen)} connections to Redis were cut in the middle of a view: none counts twice")


@promises("one-spelling", "unknown-id")
def test_one_event_has_one_counter(server, redis, make_event, spellings, evidence):
    """An id that is spelled otherwise, such as 07 for 7, is no event, or the same one: it never has a key of its own."""
    (*_, event), before = [make_event() for _ in range(10)], set(redis.keys("views:*"))
    tried = spellings(event)
    for text in tried:
        answer = server.post(f"/events/{quote(text, safe='')}/views")
        expect.status(answer, 404, 204, reason="unknown-id-answer")
    expect.equal(
        [],
        sorted(set(redis.keys("views:*")) - before - {f"views:{event}"}),
        f"new keys in Redis after views of event {event} with {len(tried)} other spellings of its id",
        reason="key-misnamed",
    )
    evidence(f"{len(tried)} other spellings of the id {event} made no key in Redis")
