"""mongodb/validators: who has reviewed a page once is told so, in a race and when a connection is lost, too."""

import pytest

from orchestrator.checks import Call, NoAnswer, expect, promises


@pytest.fixture
def reviews_of(mongodb):
    """``reviews_of(page, author)``: the reviews of this author, with what was asked for."""
    return lambda page, author: mongodb.find("reviews", {"page": page, "author": author}, fields=["stars", "text"])


@promises("one-review", "post-reviews-409", "author-by-letter", "document-of-others", "review-unique")
def test_a_second_review_is_refused(server, mongodb, make_page, new_review, review_document, reviews_of, evidence):
    """Whoever has reviewed a page, at your server or past it, is told so with 409; who is spelled otherwise is another."""
    page, body = make_page(), new_review()
    path, planted = f"/pages/{page}/reviews", review_document(page)
    mongodb.plant("reviews", planted)
    expect.status(server.post(path, json=body), 201, reason="review-refused")
    for author in (body["author"], planted["author"]):
        answer = server.post(path, json={**new_review(), "author": author})
        expect.status(answer, 409, reason="duplicate-answer", code="already_reviewed")
        expect.equal(1, len(reviews_of(page, author)), "how many reviews of one page by one author MongoDB has", reason="duplicate-taken")
    kept = reviews_of(page, body["author"])[0]
    expect.equal({name: body[name] for name in kept}, kept, "the review in MongoDB after a second one was refused", reason="review-changed")
    for author in (body["author"].upper(), f"{body['author']} ", f" {body['author']}"):
        answer = server.post(path, json={**new_review(), "author": author})
        expect.true(
            answer.status == 201, f"the answer to a review by {expect.shown(author)}, where {body['author']} has written one",
            reason="another-author-refused", expected="201: names are the same letter by letter, or not at all", seen=f"{answer.status} {answer.text}",
        )
    expect.status(server.post(f"/pages/{make_page()}/reviews", json=body), 201, reason="review-refused")
    evidence("a second review of an author was 409, also where the first one was written past your server; MongoDB has one of each")


@promises("one-review", "post-reviews-409", "post-reviews-201", "review-unique")
def test_a_review_between_two_steps_of_another(explore, server, twin, make_page, new_review, reviews_of, evidence):
    """Between any two steps of a review its author sends it at a second process, too: one is made, the other one is 409."""
    page = make_page()

    def holds(case, *answers):
        stored = reviews_of(page, case["author"])
        expect.equal(1, len(stored), "how many reviews of one page MongoDB has by an author who sent two at the same moment", reason="duplicate-in-a-race")
        for answer in answers:
            if not isinstance(answer, NoAnswer) and answer.status != 201:
                expect.status(answer, 409, reason="duplicate-answer", code="already_reviewed")
        made = [getattr(answer, "status", None) for answer in answers].count(201)
        lost = sum(isinstance(answer, NoAnswer) for answer in answers)
        expect.between(1 - lost, 1, made, "how many of two such reviews were answered with 201", reason="duplicate-in-a-race")

    seen = explore.interleave(
        lambda case: server.post(f"/pages/{page}/reviews", json=case), lambda case: twin.post(f"/pages/{page}/reviews", json={**case, "text": "again"}),
        holds, prepare=new_review, during="the same author sent a review to a second process",
    )
    body = new_review()
    answers = server.parallel([Call("POST", f"/pages/{page}/reviews", json=body) for _ in range(8)])
    holds(body, *answers)
    evidence(f"an author's second review came before {seen} of the first, and eight at once: MongoDB has one each time")


@promises("review-lost", "post-reviews-201", "post-reviews-409", "created-once", "post-reviews-503")
def test_a_review_whose_connection_is_lost(explore, server, mongodb, make_page, new_review, review_document, reviews_of, evidence):
    """When the connection is lost in the middle of a review, the one that it made itself is no other review: no 409."""
    page = make_page()
    path = f"/pages/{page}/reviews"

    def beside():
        body = new_review()
        mongodb.plant("reviews", {**review_document(page), "author": body["author"]})
        return body

    def alone_holds(body, answer):
        stored = reviews_of(page, body["author"])
        expect.at_most(1, len(stored), "how many reviews MongoDB has of one POST whose connection was lost", reason="duplicate-in-a-race")
        if isinstance(answer, NoAnswer):
            return
        if answer.status != 201:
            expect.status(answer, 500, 503, reason="own-review-refused", code=("internal", "unavailable"))
            return
        asked = {name: body[name] for name in ("stars", "text")}
        expect.equal([asked], stored, "the reviews of an author in MongoDB after a POST that was answered with 201", reason="not-stored")

    def beside_holds(body, answer):
        count = len(reviews_of(page, body["author"]))
        expect.equal(1, count, "how many reviews of an author MongoDB has of whom one was there before POST", reason="duplicate-in-a-race")
        if not isinstance(answer, NoAnswer) and answer.status not in (500, 503):
            expect.status(answer, 409, reason="duplicate-answer", code="already_reviewed")

    seen = 0
    for answer in ("never", "lost"):
        for prepare, holds in ((new_review, alone_holds), (beside, beside_holds)):
            seen += explore.cut(lambda body: server.post(path, json=body), holds, answer=answer, prepare=prepare).tried
    evidence(f"{seen} connections were lost in a review: each answer was true of the review that it had made, or of another one")


@promises("post-reviews-201", "document-of-others", "review-lost")
def test_the_first_review_goes_meanwhile(explore, server, mongodb, make_page, new_review, review_document, reviews_of, evidence):
    """Somebody deletes an author's review between two steps of a second one: 201 is for a review that is there."""
    page = make_page()

    def beside():
        body = new_review()
        mongodb.plant("reviews", {**review_document(page), "author": body["author"]})
        return body

    def holds(body, answer, _):
        stored = reviews_of(page, body["author"])
        if not isinstance(answer, NoAnswer) and answer.status == 201:
            asked = {name: body[name] for name in ("stars", "text")}
            what = "the reviews of an author in MongoDB, whose second one was answered with 201 while the first was deleted"
            expect.equal([asked], stored, what, reason="not-stored")

    seen = sum(
        explore.interleave(
            lambda body: server.post(f"/pages/{page}/reviews", json=body),
            lambda body: mongodb.delete("reviews", {"page": page, "author": body["author"]}),
            holds, prepare=beside, during="somebody deleted the author's first review", answers=answers,
        ).tried
        for answers in (False, True)
    )
    evidence(f"an author's first review was deleted before or after {seen} steps of a second one: 201 was the truth each time")
