"""mongodb/outage: MongoDB has no primary for a while, or for a moment in the middle of a request."""

from orchestrator.checks import NoAnswer, expect, promises


@promises("mongodb-away", "back-again", "page-one-version", "created-once", "put-pages-503", "post-reviews-503")
def test_no_primary(
    mongodb, plant_page, together, needs_mongodb, server, mongodb_back, nothing_twice, evidence,
):
    """While MongoDB has stepped down, nothing can be written: 503 within 2 seconds; when it is primary again, all is as before."""
    page = plant_page()
    requests = needs_mongodb(page)

    def ask(method, path, body):
        answer = expect.within(
            2.0, lambda: server.request(method, path, json=body), what=f"{method} {path} while MongoDB has no primary", reason="outage-slow"
        )
        if method == "GET" and answer.status != 503:
            # Who lets others than a primary answer a look is right, too.
            expect.status(answer, 200, 404, reason="outage-answer")
        else:
            expect.status(answer, 503, reason="outage-answer", code="unavailable")

    with mongodb.without_primary():
        together([lambda one=one: ask(*one) for one in requests])
    mongodb_back(plant_page(), "MongoDB was primary again")
    nothing_twice(requests, "while MongoDB had no primary")
    evidence("what had to be written was refused while MongoDB had stepped down; the next page and review are in MongoDB")


@promises("page-one-version", "page-with-history", "created-once", "review-lost", "back-again", "mongodb-away")
def test_an_election_between_two_steps(explore, server, mongodb, plant_page, new_page, new_review, versions_of, evidence):
    """Between any two steps of a PUT or a POST MongoDB steps down and is primary again: it is done once, or 503."""
    page = plant_page()

    def elect(_):
        with mongodb.without_primary():
            pass

    def truly(answer, done, what, *good):
        """An answer that says it was done is true, and one that does not is 503."""
        if isinstance(answer, NoAnswer):
            return
        if answer.status in good:
            expect.equal(1, done, f"how often {what} was done that was answered with {answer.status}, with an election in its middle", "election-answer")
        else:
            expect.status(answer, 503, reason="election-answer", code="unavailable")

    def written(case, answer, _):
        one, body = case
        seen, done = versions_of(one), mongodb.count("page_history", {"page": one, "title": body["title"]})
        expect.true(
            seen in ({"history": [1], "pages": [1]}, {"history": [1, 2], "pages": [2]}), "the versions of a page that was written while "
            "MongoDB had an election", reason="done-twice", expected="1 and 2, or 1 alone, in both collections", seen=seen,
        )
        truly(answer, done, "a PUT", 200)

    def reviewed(body, answer, _):
        done = mongodb.count("reviews", {"page": page, "author": body["author"]})
        expect.at_most(1, done, "how many reviews MongoDB has of one POST with an election in its middle", reason="done-twice")
        truly(answer, done, "a review", 201)

    during = "MongoDB stepped down and was primary again"
    seen = [
        explore.interleave(
            lambda case: server.put(f"/pages/{case[0]}", json=case[1]), elect, written, prepare=lambda: (plant_page(), new_page()), during=during
        ),
        explore.interleave(lambda body: server.post(f"/pages/{page}/reviews", json=body), elect, reviewed, prepare=new_review, during=during),
    ]
    evidence(f"MongoDB stepped down before {seen[0]} of a PUT and {seen[1]} of a review: each was done once, or was 503")
