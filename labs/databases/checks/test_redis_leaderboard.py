"""redis/leaderboard: the order of the most viewed events is kept by Redis, in a sorted set."""

import pytest

from orchestrator.checks import Call, expect, promises

MANY = 20_000
"""Events in a long list, and a few more: more than anybody would cut it to because nobody asks for the others."""


@pytest.fixture
def trending(server):
    """`trending(limit) -> [(event, views)]`: what GET /trending answers."""

    def ask(limit):
        answer = server.get("/trending", params={"limit": str(limit)})
        expect.status(answer, 200, reason="trending-refused")
        return [
            (
                expect.field(item, "event", str, reason="answer-wrong"),
                expect.field(item, "views", int, reason="answer-wrong"),
            )
            for item in expect.field(answer, "items", list, reason="answer-wrong")
        ]

    return ask


@promises("trending-key", "view-adds-one")
def test_views_go_into_a_sorted_set(server, redis, make_event, fresh, evidence):
    """Each view adds one to the event's score in the sorted set `trending`."""
    counts = {make_event(): views for views in fresh.shuffled([1, 2, 4, 7, 11])}
    views = [Call("POST", f"/events/{event}/views") for event, times in counts.items() for _ in range(times)]
    for answer in server.parallel(fresh.shuffled(views), at_once=10):
        expect.status(answer, 204, reason="view-refused")
    kind = redis.type("trending")
    expect.equal(
        "zset",
        kind,
        f"the type of the key `trending` in Redis after {sum(counts.values())} views",
        reason="not-a-sorted-set",
    )
    scores = dict(redis.zset("trending"))
    expect.equal(
        counts,
        {event: scores.get(event) for event in counts},
        "the scores of five events in `trending`",
        reason="scores-wrong",
    )
    evidence(
        f"Redis has the sorted set `trending` with the scores {sorted(counts.values(), reverse=True)} of five events"
    )


@pytest.fixture
def is_sorted_set(redis):
    """`is_sorted_set()`: the key `trending` is one, or is not there yet."""

    def look():
        kind, what = redis.type("trending"), "the type of the key `trending` in Redis"
        expect.true(kind in ("zset", "none"), what, reason="not-a-sorted-set", expected="zset", seen=kind)

    return look


@pytest.fixture
def counted(redis, views_in_redis, is_sorted_set):
    """`counted(event) -> (views, score)`: the two numbers of an event in Redis, 0 where there is none."""

    def read(event):
        is_sorted_set()
        score = float(dict(redis.zset("trending")).get(event, 0))
        return views_in_redis(event), int(score) if score.is_integer() else score

    return read


@promises("views-and-score-apart", "key-of-others", "view-adds-one")
def test_a_view_adds_to_whatever_is_there(
    server, redis, make_event, counted, views_in_redis, is_sorted_set, fresh, evidence
):
    """A view adds one to each of the two numbers, also where somebody changed or deleted one: neither is the other."""
    event, score, views = make_event(), fresh.integer(400, 600), fresh.integer(7_000, 9_000)
    key = f"views:{event}"
    for change, deed, right in (
        (lambda: redis.client.zadd("trending", {event: score}), f"I had set the score to {score}", (1, score + 1)),
        (lambda: redis.delete(key), f"I had deleted {key}", (1, score + 2)),
        (lambda: redis.plant(key, views), f"I had set {key} to {views}", (views + 1, score + 3)),
        (lambda: redis.client.zrem("trending", event), "I had taken the event out of `trending`", (views + 2, 1)),
    ):
        is_sorted_set()
        change()
        there = views_in_redis(event)
        answer = server.get(f"/events/{event}/views")
        expect.status(answer, 200, reason="views-refused")
        expect.fields(answer, {"views": there}, f"the answer to GET /events/{event}/views after {deed}", reason="scores-wrong")
        expect.status(server.post(f"/events/{event}/views"), 204, reason="view-refused")
        expect.equal(
            right, counted(event), f"{key} and the score in `trending` after {deed}, and one view", reason="scores-wrong"
        )
    evidence(f"Redis has {views + 2} views and a score of 1: each was raised by one, whatever the other was")


@promises("view-adds-one", "key-of-others", "trending-key")
def test_no_view_takes_another_events_place(server, redis, postgres, make_event, is_sorted_set, fresh, evidence):
    """A view of an event that is new to a long list gets its score, and nobody else falls out of the list."""
    is_sorted_set()
    many = MANY + fresh.integer(1, 999)
    rows = postgres.plant(
        "INSERT INTO events (name, venue, starts_at, seats, price_cents)"
        " SELECT %s, %s, %s::timestamptz + place * interval '1 minute', 100, 1000 FROM generate_series(1, %s) place"
        " RETURNING id::text",
        [fresh.name("event"), fresh.name("venue"), fresh.time(), many],
    )
    scores = {row[0]: fresh.integer(2, 90) for row in rows}
    event = make_event()
    redis.client.zadd("trending", scores)
    try:
        for _ in range(2):
            expect.status(server.post(f"/events/{event}/views"), 204, reason="view-refused")
        board = dict(redis.zset("trending"))
    finally:
        redis.delete("trending")  # the other checks read the whole list, again and again
    expect.equal(
        [],
        [one for one in scores if board.get(one) != scores[one]][:5],
        f"which of {many} events (the first five) do not have the score in `trending` that I gave them, after two views of "
        "another one",
        reason="scores-wrong",
    )
    expect.equal(
        2, board.get(event), f"the score of an event that was viewed twice, beside {many} others", reason="scores-wrong"
    )
    evidence(f"Redis has {len(board)} members in `trending` after two views of a new event, none was lost")


@promises("view-never-twice", "view-adds-one")
def test_a_score_without_its_answer(explore, server, make_event, counted, recovered, evidence):
    """A view whose connection to Redis breaks, before or after Redis has counted it, never adds two to the score."""

    def prepare():
        """An event that was looked at, now that the server has Redis again."""
        event = make_event()
        expect.status(recovered(f"/events/{event}/views", lambda: None, 204), 204, reason="view-refused")
        return event, counted(event)

    def holds(case, answer):
        event, before = case
        more = [now - then for now, then in zip(counted(event), before, strict=True)]
        what = f"how much higher views:{event} and the score in `trending` are after one view"
        expect.true(max(more) <= 1, what, reason="counted-twice", expected="1, or 0 if the answer is 503", seen=str(more))
        if getattr(answer, "status", 503) == 204:
            expect.equal([1, 1], more, f"{what} that was answered with 204", reason="scores-wrong")

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
    evidence(f"{sum(one.tried for one in seen)} connections to Redis were cut in the middle of a view: no score has it twice")


@promises("view-adds-one", "trending-key")
def test_a_view_between_two_steps_of_another(explore, server, redis, make_event, is_sorted_set, evidence):
    """Between any two steps of a view another process counts one: the score has both."""

    def prepare():
        is_sorted_set()
        return make_event()

    def another(event):
        redis.client.incr(f"views:{event}")
        redis.client.zincrby("trending", 1, event)

    def holds(event, answer, _):
        if hasattr(answer, "status"):  # else it had to stand still for too long, and what it did is not known
            expect.status(answer, 204, reason="view-refused")
            expect.equal(
                [2],
                [score for member, score in redis.zset("trending") if member == event],
                "the score in `trending` after a view, and one that another process counted meanwhile",
                reason="scores-wrong",
            )

    seen = explore.interleave(
        lambda event: server.post(f"/events/{event}/views"),
        another,
        holds,
        prepare=prepare,
        during="another process counted a view",
    )
    evidence(f"another view was counted before {seen} of a view: the score in Redis is 2 each time")


@promises("no-keys")
def test_nothing_searches_the_keys(server, redis, make_event, evidence):
    """Neither a view nor GET /trending makes Redis run KEYS, which reads every key there is."""
    events = [make_event() for _ in range(5)]
    with redis.commands() as seen:
        for event in events:
            expect.status(server.post(f"/events/{event}/views"), 204, reason="view-refused")
        expect.status(server.get("/trending"), 200, reason="trending-refused")
    expect.equal(
        0,
        seen.calls.get("KEYS", 0),
        "how often Redis ran KEYS for five views and one GET /trending",
        reason="keys-command",
    )
    evidence(
        "Redis ran "
        f"{', '.join(f'{name} {calls} times' for name, calls in sorted(seen.calls.items())) or 'nothing'}, and "
        "KEYS never"
    )


@promises("trending-order", "get-trending-200", "key-of-others", "views-read-redis")
def test_trending_is_the_order_of_the_set(server, redis, make_event, trending, is_sorted_set, fresh, evidence):
    """GET /trending lists the events in the order that Redis has them, most views first."""
    is_sorted_set()
    for event in (make_event() for _ in range(8)):
        redis.client.zadd("trending", {event: fresh.integer(1_000, 9_000)})
    for limit in (8, 3, 1, 3):  # the last a second time, after a change
        redis.client.zadd("trending", {make_event(): fresh.integer(10_000, 90_000)})
        board = redis.zset("trending")
        seen = trending(limit)
        expect.equal(
            [int(score) for _, score in board[:limit]],
            [views for _, views in seen],
            f"the views that GET /trending?limit={limit} lists, beside the scores that I wrote into `trending`",
            reason="plant-not-seen",
        )
        expect.equal(
            [],
            [pair for pair in seen if pair not in [(event, int(score)) for event, score in board]],
            "events that GET /trending lists with views that they do not have in `trending`",
            reason="plant-not-seen",
        )
    for limit in ("0", "101", "many"):
        expect.status(
            server.get("/trending", params={"limit": limit}), 422, reason="bad-limit-accepted", code="invalid"
        )
    evidence(
        f"GET /trending listed the scores {[int(score) for _, score in board[:3]]} in the order in which "
        "ZREVRANGE gives them"
    )


@promises("read-is-now", "trending-order", "limit", "get-trending-200")
def test_two_lists_at_the_same_moment(explore, server, redis, make_event, is_sorted_set, fresh, evidence):
    """Between two steps of GET /trending the same process is asked for it, with another `limit`: each list is its own, and new."""
    is_sorted_set()
    redis.client.zadd("trending", {make_event(): fresh.integer(100_000, 200_000) for _ in range(6)})
    scores, top, tried = iter(range(300_000, 400_000)), {}, 0

    def ask(limit):
        return server.get("/trending", params={"limit": str(limit)})

    def changed(limit):
        """A new first one, and the list that is asked for when it is there."""
        top.update(event=make_event(), views=next(scores))
        redis.client.zadd("trending", {top["event"]: top["views"]})
        return ask(limit)

    for mine, theirs, answers in ((1, 5, False), (5, 1, False), (5, 5, False), (5, 5, True)):

        def holds(_, first, second, mine=mine, theirs=theirs):
            while_held = f"while another one with limit={mine} was under way at the same process"
            for limit, answer, how in ((mine, first, "into which another one came"), (theirs, second, while_held)):
                if hasattr(answer, "status"):  # else it had to stand still for too long
                    expect.status(answer, 200, reason="trending-refused")
                    items = expect.field(answer, "items", list, reason="answer-wrong")
                    what = f"the number of items of GET /trending with limit={limit}, {how}"
                    expect.equal(limit, len(items), what, reason="anothers-answer")
            if hasattr(second, "status"):
                what = f"the first item of GET /trending with limit={theirs}, asked for when it was there, {while_held}"
                expect.fields(items[0], dict(top), what, reason="anothers-answer")

        tried += explore.interleave(
            lambda _, mine=mine: ask(mine), lambda _, theirs=theirs: changed(theirs), holds,
            during="an event came to the top, and the same process was asked for the list again", answers=answers,
        ).tried
    evidence(f"GET /trending was asked for again before or after {tried} steps of another one: each list was as long as asked, and new")


@promises("get-trending-422", "get-trending-200", "limit", "bad-page")
def test_the_list_is_as_long_as_asked(server, redis, edges, make_event, is_sorted_set, fresh, evidence):
    """GET /trending has as many events as `limit` says, 20 without it; other limits are refused."""
    is_sorted_set()
    redis.client.zadd("trending", {make_event(): fresh.integer(1, 900) for _ in range(101)})
    for edge in edges.query("GET", "/trending"):
        answer = server.get("/trending", params={edge.field: edge.value})
        if edge.allowed:
            expect.status(answer, 200, reason="trending-refused")
            items = expect.field(answer, "items", list, reason="answer-wrong")
            what = f"the number of items of GET /trending with limit={edge.value}"
            expect.equal(int(edge.value), len(items), what, reason="list-length")
        else:
            expect.status(answer, 422, reason="bad-limit-accepted", code="invalid")
    items = expect.field(server.get("/trending"), "items", list, reason="answer-wrong")
    expect.equal(20, len(items), "the number of items of GET /trending without `limit`", reason="list-length")
    evidence("lists of 1, 20 and 100 events were as long as asked, and the limits 0 and 101 were refused")
