"""mongodb/reviews: wrong requests and hostile text change nothing; names differ by a letter; answers get lost."""

import json
from urllib.parse import quote

from orchestrator.checks import NoAnswer, expect, promises

LATE = 1.2
"""Seconds that an answer of MongoDB may be late: less than those in which yours must come."""


@promises(
    "new-review-author",
    "new-review-stars",
    "new-review-text",
    "text-kept",
    "text-nul",
    "more-fields",
    "bad-body",
    "post-reviews-422",
    "post-reviews-201",
)
def test_both_sides_of_every_limit_of_a_review(server, edges, fresh, plant_page, new_review, reviews_stored, evidence):
    """What openapi.yaml just allows in a review is taken and comes back unchanged; what is just past it is refused."""
    tried = 0
    for edge in edges.body("POST", "/pages/{page}/reviews"):
        page = plant_page()
        answer = server.post(
            f"/pages/{page}/reviews", json={**edge.within(new_review()), fresh.token(): "one field more"}
        )
        what, tried = f"POST of a review with `{edge.field}`: {edge.why}", tried + 1
        stored = list(reviews_stored(page).values())
        if not edge.allowed:
            expect.status(answer, 422, reason="bad-body-accepted", code="invalid")
            expect.equal(0, len(stored), f"how many reviews MongoDB has after {what}", reason="bad-body-stored")
            continue
        expect.status(answer, 201, reason="good-body-refused")
        expect.equal(1, len(stored), f"how many reviews MongoDB has after {what}", reason="not-stored")
        for one in (answer, stored[0]):
            expect.fields(one, {edge.field: edge.value}, what, reason="value-changed")
    page = plant_page()
    right = new_review()
    for body in (
        *({name: right[name] for name in right if name != lacking} for lacking in right),
        [right],
        "text",
        None,
    ):
        expect.status(server.post(f"/pages/{page}/reviews", json=body), 422, reason="bad-body-accepted", code="invalid")
    broken = server.post(f"/pages/{page}/reviews", content=b'{"author": ', headers={"Content-Type": "application/json"})
    expect.status(broken, 422, reason="bad-body-accepted", code="invalid")
    expect.equal(
        {}, reviews_stored(page), "the reviews of a page after bodies that were refused", reason="bad-body-stored"
    )
    evidence(f"{tried} values at both sides of the limits of a review were taken or refused as they must be")


@promises("limit", "reviews-stars", "reviews-by-stars", "pages-full", "get-reviews-422", "bad-page")
def test_both_sides_of_every_limit_of_a_page(server, edges, plant_page, crowd, evidence):
    """A page has as many reviews as `limit` says, 20 without it; `stars` is 1 to 5; all else is refused."""
    page = plant_page()
    crowd(page, 130, rare=30)
    path = f"/pages/{page}/reviews"
    for edge in edges.query("GET", "/pages/{page}/reviews"):
        answer = server.get(path, params={edge.field: edge.value})
        if not edge.allowed:
            expect.status(answer, 422, reason="bad-limit-accepted", code="invalid")
            continue
        expect.status(answer, 200, reason="list-refused")
        items = expect.field(answer, "items", list, reason="list-shape")
        of_each = int(edge.value) if edge.field == "limit" else 20
        expect.equal(
            of_each,
            len(items),
            f"the number of items of GET {path} with {edge.field}={edge.value}",
            reason="page-length",
        )
        expect.field(answer, "next", str, reason="list-shape")
        if edge.field == "stars":
            stars = sorted({item["stars"] for item in items})
            expect.equal(
                [int(edge.value)],
                stars,
                f"the `stars` of the reviews of GET {path} with stars={edge.value}",
                reason="stars-wrong",
            )
    items = expect.field(server.get(path), "items", list, reason="list-shape")
    expect.equal(20, len(items), f"the number of items of GET {path} without `limit`", reason="page-length")
    evidence("pages of 1, 20 and 100 reviews, and of 1 and of 5 stars, were as asked")


@promises("field-names", "more-fields", "bad-body", "post-reviews-422")
def test_a_field_in_another_letter_case(server, edges, plant_page, new_review, reviews_stored, evidence):
    """`AUTHOR` is not `author`: beside it, it is a further field, and alone it leaves `author` lacking."""
    page, tried = plant_page(), 0
    path = f"/pages/{page}/reviews"
    for field, others in edges.misnamed("POST", "/pages/{page}/reviews").items():
        names = " and ".join(f"`{one}`" for one in others)
        for behind in (True, False):
            right, value = new_review(), new_review()[field]
            body = {**right, **dict.fromkeys(others, value)} if behind else {**{one: [] for one in others}, **right}
            answer, what = (
                server.post(path, json=body),
                f"POST of a review with {names} {'behind' if behind else 'before'} `{field}`",
            )
            expect.true(
                answer.status == 201, f"the answer to {what}", "name-by-letter", "201", f"{answer.status} {answer.text}"
            )
            stored = [one for one in reviews_stored(page).values() if one.get("author") == right["author"]]
            expect.fields((stored or [{}])[0], right, f"the document after {what}", reason="name-by-letter")
        lacking, before = new_review(), len(reviews_stored(page))
        body = {**dict.fromkeys(others, lacking.pop(field)), **lacking}
        expect.status(server.post(path, json=body), 422, reason="name-by-letter", code="invalid")
        expect.equal(
            before,
            len(reviews_stored(page)),
            f"how many reviews there are after one without `{field}`",
            reason="name-by-letter",
        )
        tried += 3
    evidence(f"{tried} bodies had fields such as `AUTHOR` and `Stars`: no document has anything of them")


@promises("no-operators", "text-kept", "more-fields", "post-reviews-422", "unknown-id")
def test_text_is_text_and_never_an_operator(
    server, mongodb, plant_page, plant_review, new_review, reviews_stored, written_at, smuggled, tampered, fresh,
    evidence,
):
    """What a client writes is a text or is refused: nothing of it becomes part of a query, or another field."""
    page, mark = plant_page(), fresh.token()
    path = f"/pages/{page}/reviews"
    for stars in (1, 3, 5):
        plant_review(page, stars=stars)
    before, tried = reviews_stored(page), 0
    with mongodb.operations() as seen:
        for name in ("$ne", "$gt", "$regex"):
            for field in ("author", "stars", "text"):
                answer = server.post(path, json={**new_review(), field: {name: mark}})
                expect.status(answer, 422, reason="operator-accepted", code="invalid")
                tried += 1
            for field, value in (
                ("after", mark),
                ("stars", mark),
                ("stars", "5"),
                ("limit", mark),
                ("page", mark),
                ("author", mark),
            ):
                asked = f"{field}[{name}]={value}"
                answer = server.get(f"{path}?{quote(asked, safe='=')}")
                expect.status(answer, 200, 422, reason="operator-accepted")  # no such parameter: ignored, or refused
                if answer.status == 200:
                    items = expect.field(answer, "items", list, reason="list-shape")
                    expect.equal(
                        list(before),
                        [item["review"] for item in items],
                        f"the reviews of GET {path}?{asked}",
                        reason="operator-accepted",
                    )
                tried += 1
            for field in ("after", "stars", "limit"):
                answer = server.get(path, params={field: json.dumps({name: mark})})
                allowed = (200, 422) if field == "after" else (422,)  # what `next` looks like is the server's own
                expect.status(answer, *allowed, reason="operator-accepted")
                tried += 1
            elsewhere = quote(json.dumps({name: mark}), safe="")
            for method, body in (("GET", None), ("POST", new_review())):
                answer = server.request(method, f"/pages/{elsewhere}/reviews", json=body)
                expect.status(answer, 404, reason="operator-accepted", code="not_found")
                tried += 1
        following = expect.field(server.get(path, params={"limit": "1"}), "next", str, reason="list-shape")
        for text in tampered(following, mark):
            answer = server.get(path, params={"after": text})
            expect.true(
                answer.status < 500,
                f"the answer to `after`, made of a `next` of yours with an operator in it: {text}",
                reason="operator-accepted",
                expected="422",
                seen=f"{answer.status} {answer.text}",
            )
            tried += 1
    expect.equal(
        [], smuggled(seen, mark), "which operators of a client your server sent to MongoDB", reason="operator-accepted"
    )
    expect.equal(
        before,
        reviews_stored(page),
        "the reviews of the page after requests with operators",
        reason="operator-accepted",
    )

    own = {
        "voters": [fresh.name("voter")],
        "helpful": 99,
        "page": fresh.name("other").lower(),
        "created_at": "2001-01-01T00:00:00Z",
        "_id": fresh.token(),
        "review": fresh.token(),
        "$set": {"stars": 1},
        "$where": "true",
        "a.b": 1,
        "": 2,
    }
    texts = (
        "$text",
        "$$ROOT",
        "a.b",
        "$ne",
        "{$gt: ''}",
        "$author.$text",
        "\\u0024",
        f"'; return '{mark}",
        fresh.text("author"),
    )
    for text in texts:
        body = {**new_review(), "author": text, "text": text}
        answer = server.post(path, json={**own, **body})
        expect.true(
            answer.status == 201,
            f"the answer to a review by {expect.shown(text)} with fields that nobody asked for",
            reason="text-refused",
            expected="201",
            seen=f"{answer.status} {answer.text}",
        )
        stored = [one for one in reviews_stored(page).values() if one.get("author") == text]
        expect.fields(
            (stored or [{}])[0],
            {**body, "voters": [], "helpful": 0},
            f"the document of a review by {expect.shown(text)} with fields that nobody asked for",
            reason="field-of-a-client",
        )
        age = abs((written_at(stored[0]) - max(one["created_at"] for one in before.values())).total_seconds())
        expect.at_most(
            60,
            round(age),
            "how many seconds `created_at` is away from the other reviews, when a body named a time",
            reason="field-of-a-client",
        )
    evidence(
        f"{tried} requests had operators in them: none came as far as MongoDB; {len(texts)} names full of `$` were kept"
    )


@promises("author-by-letter", "text-kept", "post-reviews-201", "post-reviews-409")
def test_two_authors_whose_names_look_alike(
    server, plant_page, plant_review, new_review, reviews_stored, fresh, evidence
):
    """Names that differ in one letter, accent or space are different authors, and each may review the page once."""
    page, name = plant_page(), f"Zoé {fresh.name('author')}"
    path = f"/pages/{page}/reviews"
    names = (
        name,
        name.lower(),
        name.upper(),
        f"{name} ",
        f" {name}",
        name.replace("é", "e"),
        name.replace("é", "e\u0301"),
        name.replace(" ", "  "),
        f"{name}\n",
        name[:-1],
    )
    plant_review(page, author=names[0])
    for one in names[1:]:
        answer = server.post(path, json={**new_review(), "author": one})
        expect.true(
            answer.status == 201,
            f"the answer to a review by {expect.shown(one)}, where there was one by {expect.shown(name)}",
            reason="another-author-refused",
            expected="201",
            seen=f"{answer.status} {answer.text}",
        )
    expect.equal(
        sorted(names),
        sorted(str(document.get("author")) for document in reviews_stored(page).values()),
        "the authors in MongoDB",
        reason="value-changed",
    )
    for one in names:
        answer = server.post(path, json={**new_review(), "author": one})
        expect.status(answer, 409, reason="reviewed-twice", code="already_reviewed")
    evidence(f"{len(names)} authors whose names look alike reviewed the page once each")


@promises("review-lost", "created-once", "post-reviews-503", "post-reviews-409")
def test_a_review_whose_connection_is_lost(
    explore, server, plant_page, plant_review, new_review, reviews_stored, review_as_stored, recovered, evidence
):
    """When the connection to MongoDB breaks in a POST, nobody is told that his own review was there before him."""
    spare = plant_page()

    def prepare(there):
        page, body = plant_page(), new_review()
        if there:
            plant_review(page, author=body["author"])
        expect.status(recovered(f"/pages/{spare}/reviews", new_review, 201), 201, reason="review-refused")
        return page, body, list(reviews_stored(page))

    def holds(case, answer):
        page, body, there = case
        stored = reviews_stored(page)
        whose = "who had one there and sent one POST" if there else "who sent one POST"
        what = f"how many reviews of the page MongoDB has by an author {whose}"
        expect.at_most(1, len(stored), what, reason="reviewed-twice")
        if isinstance(answer, NoAnswer) or answer.status in (500, 503):
            return
        if there:
            expect.status(answer, 409, reason="anothers-review", code="already_reviewed")
            return
        expect.status(answer, 201, 503, reason="own-review-refused")
        expect.equal(1, len(stored), f"{what}, which was answered with 201", reason="not-stored")
        (document,) = stored.values()
        expect.fields(document, body, "the review in MongoDB, beside what was sent", reason="not-stored")
        review_as_stored(answer, document, "the review that POST answered when its connection was lost", "answer-wrong")

    tried = sum(
        explore.cut(
            lambda case: server.post(f"/pages/{case[0]}/reviews", json=case[1]),
            holds,
            answer=answer,
            prepare=lambda there=there: prepare(there),
            services=("mongodb",),
        ).tried
        for answer in ("never", "lost")
        for there in (False, True)
    )
    prepare(False)  # so the next check, too, finds a server that has MongoDB
    late = explore.delay(
        lambda case: server.post(f"/pages/{case[0]}/reviews", json=case[1]), holds, answers=True, seconds=LATE,
        pick=lambda steps: [step for step in steps if "insert" in step.text.lower()][-1:] or steps[-1:],
        prepare=lambda: prepare(False), services=("mongodb",),
    )
    evidence(
        f"{tried} connections to MongoDB were cut in the middle of a review, and the answer was {LATE:g} s late at {late} of one: "
        "each answer of yours was true, or 503"
    )
