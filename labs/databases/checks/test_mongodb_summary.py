"""mongodb/summary: how many stars a page has, worked out by MongoDB from the reviews that are there now."""

import pytest

from orchestrator.checks import NoAnswer, expect, promises

MANY, MOST_TRAVEL = 5_000, 20


@pytest.fixture
def summed(mongodb):
    """`summed(page) -> {...}`: what the summary of this page must be, from its documents."""

    def of(page):
        groups = mongodb.aggregate(
            "reviews", [{"$match": {"page": page}}, {"$group": {"_id": "$stars", "count": {"$sum": 1}}}]
        )
        found = [(one["_id"], one["count"]) for one in groups]
        count = sum(times for _, times in found)
        total = sum(stars * times for stars, times in found if isinstance(stars, int | float))
        counts = {str(number): sum(times for stars, times in found if stars == number) for number in range(1, 6)}
        return {"count": count, "average": total / count if count else None, "stars": counts}

    return of


@pytest.fixture
def summary_is():
    """`summary_is(expected, answer, what, reason)`: the answer is this summary, its average exact to 0.01."""

    def look(expected, answer, what, reason):
        expect.status(answer, 200, reason="summary-refused")
        rest = {name: expected[name] for name in ("count", "stars")}
        seen = {name: expect.field(answer, name, None, reason="answer-wrong") for name in expected}
        stars = {name: number for name, number in dict(seen["stars"]).items() if name in expected["stars"]}
        expect.equal(rest, {"count": seen["count"], "stars": stars}, f"the summary of {what}", reason=reason)
        average, right = seen["average"], expected["average"]
        if right is None or average is None:
            expect.equal(right, average, f"`average` in the summary of {what}", reason="average-wrong")
        else:
            expect.true(
                abs(average - right) <= 0.01 + 1e-9,
                f"`average` in the summary of {what}, with these stars: {expect.shown(expected['stars'])}",
                reason="average-wrong",
                expected=f"{right:.4f}, or as near as 0.01",
                seen=average,
            )

    return look


@promises("get-summary-200", "summary-now", "summary-average", "document-of-others", "get-summary-404", "unknown-id")
def test_a_summary_is_of_the_reviews_that_are_there(
    server, mongodb, plant_page, plant_review, make_review, summed, summary_is, reviews_stored, fresh, evidence
):
    """The summary follows the reviews, whoever writes, changes or deletes them; without any, the average is null."""
    page, other = plant_page(), plant_page()
    path = f"/pages/{page}/reviews/summary"
    for stars in (1, 1, 5):
        plant_review(other, stars=stars)

    earlier = []

    def look(what):
        now, answer = summed(page), server.get(path)
        expect.status(answer, 200, reason="summary-refused")
        stale = expect.field(answer, "count", int, reason="answer-wrong") in earlier
        summary_is(now, answer, what, "stale-summary" if stale else "summary-wrong")
        earlier.append(now["count"])

    look("a page without reviews")
    make_review(page, 4)
    look("a page after its first review")
    for stars in (2, 4, 4, 4, 4, 4, 2):  # a mean of 3.5
        plant_review(page, stars=stars)
    look("a page of whose eight reviews another client had written seven")
    plant_review(page, stars=5)  # and of 3.666...
    look("a page after another client had written one more review")
    # What another client writes may be a long.
    mongodb.change("reviews", {"page": page, "stars": 4}, [{"$set": {"stars": {"$toLong": "$stars"}}}])
    look("a page some of whose reviews have `stars` as a long")
    first, *rest = reviews_stored(page).values()
    mongodb.change("reviews", {"_id": first["_id"]}, {"$set": {"stars": 1}})
    look("a page after another client had changed the `stars` of a review")
    for document in rest[:3]:
        mongodb.delete("reviews", {"_id": document["_id"]})
    look("a page after another client had deleted three reviews")
    for document in (first, *rest[3:]):
        mongodb.delete("reviews", {"_id": document["_id"]})
    look("a page whose last review another client had deleted")
    for place in range(40):
        plant_review(page, stars=1 + (place * place + 3) % 5)
    look("a page with forty reviews")

    mongodb.delete("pages", {"_id": other})
    for one in (other, fresh.name("none").lower(), "No-Page"):
        expect.status(server.get(f"/pages/{one}/reviews/summary"), 404, reason="unknown-page-answer", code="not_found")
    evidence(
        "nine summaries were those of the documents that MongoDB had: the check had written, changed and deleted them"
    )


@promises("summary-in-mongodb", "summary-average", "get-summary-200")
def test_of_thousands_of_reviews_few_documents_travel(
    server, mongodb, plant_page, crowd, summed, summary_is, evidence
):
    """Of 5,000 reviews at most 20 documents travel to your server for their summary."""
    page, other = plant_page(), plant_page()
    crowd(page, MANY, rare=7)
    crowd(other, 3)
    path = f"/pages/{page}/reviews/summary"
    with mongodb.operations() as seen:
        answer = server.get(path)
    summary_is(summed(page), answer, f"a page with {MANY} reviews", "summary-wrong")
    expect.true(
        bool(seen.list),
        "what your server asked MongoDB for the summary",
        reason="not-from-mongodb",
        expected="at least one operation",
        seen="none",
    )
    travelled = sum(one.returned for one in seen.list)
    names = ", ".join(dict.fromkeys(f"{one.name} on {one.collection}" for one in seen.list))
    expect.at_most(
        MOST_TRAVEL,
        travelled,
        f"how many documents travelled to your server for the summary of {MANY} reviews ({names})",
        reason="summed-in-the-server",
    )
    evidence(f"{travelled} documents travelled for the summary of {MANY} reviews: {names}")


@promises("read-is-now", "summary-now")
def test_a_review_between_two_steps_of_a_summary(
    explore, server, plant_page, plant_review, summed, summary_is, evidence
):
    """A review comes before or after each step of a summary: it is of one moment, and the next one has it."""

    def prepare():
        page = plant_page()
        for stars in (5, 4, 1):
            plant_review(page, stars=stars)
        return page, summed(page)

    def ask(case):
        return server.get(f"/pages/{case[0]}/reviews/summary")

    def meanwhile(case):
        plant_review(case[0], stars=2)
        return ask(case)

    def holds(case, first, second):
        page, before = case
        after = summed(page)
        if not isinstance(second, NoAnswer):
            what = (
                f"the page {page}, asked for when a review had come, while GET of it was under way at the same process"
            )
            summary_is(after, second, what, "anothers-answer")
        if not isinstance(first, NoAnswer):
            expect.status(first, 200, reason="summary-refused")
            stars = expect.field(first, "stars", dict, reason="answer-wrong")
            seen = {
                "count": expect.field(first, "count", int, reason="answer-wrong"),
                "stars": {name: number for name, number in stars.items() if name in before["stars"]},
            }
            right = [{name: one[name] for name in ("count", "stars")} for one in (before, after)]
            expect.true(
                seen in right,
                "the summary of a page that gets a review in the middle of it",
                reason="never-was-so",
                expected=" or ".join(map(expect.shown, right)),
                seen=seen,
            )
            summary_is(
                before if seen == right[0] else after,
                first,
                "a page that gets a review in the middle of it",
                "never-was-so",
            )

    tried = sum(
        explore.interleave(
            ask,
            meanwhile,
            holds,
            prepare=prepare,
            during="a review came, and the same process was asked again",
            answers=answers,
        ).tried
        for answers in (False, True)
    )
    evidence(f"a review came before or after {tried} steps of a summary: each answer was that of one moment")


@promises("summary-now", "mongodb-away", "get-summary-200")
def test_a_summary_whose_connection_is_lost(
    explore, server, fault, plant_page, plant_review, summed, summary_is, evidence
):
    """Whichever step of a summary loses its connection: the answer is 503, or it is true; away, it is 503, also if it was asked before."""

    def prepare():
        page = plant_page()
        for stars in (5, 4, 4, 1):
            plant_review(page, stars=stars)
        return page

    def holds(page, answer):
        if not isinstance(answer, NoAnswer) and answer.status < 500:
            summary_is(summed(page), answer, "a page whose summary lost a connection on its way", "counted-again")

    tried = sum(
        explore.cut(lambda page: server.get(f"/pages/{page}/reviews/summary"), holds, answer=answer, prepare=prepare).tried
        for answer in ("never", "lost")
    )
    page = prepare()
    expect.status(server.get(f"/pages/{page}/reviews/summary"), 200, reason="summary-refused")
    try:
        with fault.down("mongodb"):
            answer = server.get(f"/pages/{page}/reviews/summary", deadline=10.0)
            expect.status(answer, 503, reason="outage-answer", code="unavailable")
    finally:
        server.restart_later()  # coming back by itself is the matter of mongodb/outage
    evidence(f"{tried} steps of summaries lost their connection: no review was counted twice or left out")
