"""mongodb/outage: MongoDB away, cut off in other ways, or silent: 503 at once, nothing twice, and back by itself."""

import time
from urllib.parse import quote

from orchestrator.checks import expect, promises

LATE = 1.0
"""Seconds that one answer of MongoDB is late before it falls silent."""
AWAY = 5.0
"""Seconds for which MongoDB is away at the least: a pause between two tries that doubles is a long one by then."""


@promises("pages-alone")
def test_pages_need_no_other_service(server, fault, settled, make_page, new_page, new_review, evidence):
    """Pages and reviews go on while PostgreSQL and Redis cannot be reached."""
    settled()
    page = make_page()
    with fault.down("postgres"), fault.down("redis"):
        for method, path, body, status in (
            ("GET", f"/pages/{page}", None, 200), ("PUT", f"/pages/{page}", new_page(), 200),
            ("POST", f"/pages/{quote(page)}/reviews", new_review(), 201), ("GET", f"/pages/{page}/reviews", None, 200),
        ):
            answer = expect.within(
                2.0, lambda: server.request(method, path, json=body),  # noqa: B023
                what=f"{method} {path} while PostgreSQL and Redis cannot be reached", reason="needless-others",
            )
            expect.status(answer, status, reason="needless-others")
    evidence("a page was written, reviewed and read while neither PostgreSQL nor Redis could be reached")


@promises(
    "mongodb-away", "back-again", "get-pages-503", "put-pages-503", "post-reviews-503", "health-mongodb", "get-health-503", "health-asks", "page-one-version",
    "created-once", "without-redis",
)
def test_mongodb_is_away(
    server, fault, settled, plant_page, together, wait, needs_mongodb, without_mongodb, mongodb_health, mongodb_back, nothing_twice, evidence,
):
    """While MongoDB cannot be reached, what needs it says 503 at once; what does not goes on; and all comes back by itself."""
    settled()
    page, asked = plant_page(), []
    others = {path: server.get(path).status for path in ("/events?limit=1", "/buyers/none")}
    mongodb_health("up", "is up")

    def goes_on(path):
        answer = expect.within(2.0, lambda: server.get(path), what=f"GET {path} while MongoDB cannot be reached", reason="needless-mongodb")
        expect.equal(others[path], answer.status, f"the answer to GET {path}, as it was before MongoDB was away", reason="needless-mongodb")

    how = "cannot be reached"
    with fault.down("mongodb"):
        began = time.monotonic()
        for requests in (needs_mongodb(page), needs_mongodb(page)):
            asked += requests
            together([
                *(lambda one=one: without_mongodb(*one, how) for one in requests), lambda: mongodb_health("down", how),
                *(lambda path=path: goes_on(path) for path in others),
            ])

        def over():
            without_mongodb("GET", f"/pages/{page}", None, how)
            return time.monotonic() - began >= AWAY

        wait.until(over, deadline=AWAY + 2, every=0.1, what="the end of the outage")
        away = time.monotonic() - began
    mongodb_back(page, f"MongoDB was back (it had been away for {away:.1f} s)")
    nothing_twice(asked, "while MongoDB was away")
    evidence(f"{len(asked)} requests were refused in time while MongoDB was away, for {away:.1f} s; a page and a review made after are in MongoDB")


@promises("mongodb-away", "back-again", "get-health-503", "health-mongodb")
def test_mongodb_is_shut(fault, plant_page, together, needs_mongodb, without_mongodb, mongodb_health, mongodb_back, nothing_twice, evidence):
    """A MongoDB that takes connections and ends them before a word is said counts as one that cannot be reached."""
    page, how = plant_page(), "ends every connection at once"
    requests = needs_mongodb(page)
    with fault.shut("mongodb"):
        together([*(lambda one=one: without_mongodb(*one, how) for one in requests), lambda: mongodb_health("down", how)])
    mongodb_back(page, "MongoDB took connections again")
    nothing_twice(requests, "while MongoDB ended every connection")
    evidence(f"{len(requests)} requests were refused in time while each connection to MongoDB was ended, and the next ones were right")


@promises("silence-is-away", "mongodb-away", "back-again", "get-health-503", "health-mongodb", "page-one-version", "created-once", "page-with-history")
def test_a_silent_mongodb_is_no_mongodb(
    mongodb, fault, plant_page, together, needs_mongodb, without_mongodb, mongodb_health, mongodb_back, nothing_twice, evidence,
):
    """While MongoDB is silent, connected and without a word, the same is right; what was sent into the silence is done once at most."""
    page, how = plant_page(), "is silent"
    requests = needs_mongodb(page)
    with fault.hold("mongodb"):
        together([*(lambda one=one: without_mongodb(*one, how) for one in requests), lambda: mongodb_health("down", how)])
    # What the page's own PUT has begun, and nobody goes on with, MongoDB may keep for a minute: other pages are written now.
    mongodb_back(plant_page(), "MongoDB spoke again")
    nothing_twice(requests, "while MongoDB was silent")
    evidence(f"{len(requests)} requests were refused in time while MongoDB was silent, and none of them was done twice")


@promises("silence-is-away", "mongodb-away", "page-one-version", "page-with-history")
def test_a_late_answer_and_then_none(
    explore, server, settled, plant_page, new_page, mongodb_back, nothing_twice, evidence,
):
    """MongoDB is late once and silent from then on: the answer comes within 2 seconds of the request, not of each step."""
    settled()
    what = f"while the first answer of MongoDB is {LATE:g} s late, and no other one comes"

    def within(method, path, body=None):
        answer = expect.within(
            2.0, lambda: server.request(method, path, json=body), what=f"{method} {path} {what}", reason="outage-slow"
        )
        if answer.status not in (200, 201):  # who needed no second answer
            expect.status(answer, 503, reason="outage-answer", code="unavailable")

    asks = [
        (lambda page: within("GET", f"/pages/{page}/reviews"), plant_page, lambda *_: None),
        (lambda case: within(*case), lambda: ("PUT", f"/pages/{plant_page()}", new_page()), lambda case, _: nothing_twice([case], what)),
    ]
    seen = [explore.silence(ask, holds, late=LATE, pick=lambda steps: steps[:1], prepare=prepare) for ask, prepare, holds in asks]
    mongodb_back(plant_page(), "MongoDB spoke again")
    evidence(f"MongoDB answered {LATE:g} s late at {seen[0]} of a look and {seen[1]} of a PUT, and was silent then: your answers came in time")
