"""mongodb/reviews: reviews are documents, whoever wrote them, on every page of their list, found by an index."""

from datetime import UTC, datetime

from orchestrator.checks import NoAnswer, expect, promises

MANY, RARE, MOST_READ = 20_000, 3, 200
DOCUMENT = {
    "_id": ("objectId",),
    "page": ("string",),
    "author": ("string",),
    "stars": ("int", "long"),
    "text": ("string",),
    "created_at": ("date",),
    "voters": ("array",),
    "helpful": ("int", "long"),
}


@promises(
    "post-reviews-201",
    "review-id",
    "review-created-at",
    "post-reviews-409",
    "one-review",
    "created-once",
    "get-reviews-200",
)
def test_a_review_is_a_document(
    server, mongodb, plant_page, new_review, reviews_stored, review_as_stored, written_at, evidence
):
    """A review is one document, with the types of storage.md; a second one by its author is refused."""
    page, other = plant_page(), plant_page()
    path, body, before = f"/pages/{page}/reviews", new_review(), datetime.now(UTC)
    empty = server.get(path)
    expect.status(empty, 200, reason="list-refused")
    expect.fields(empty, {"items": [], "next": None}, "the reviews of a page that has none", reason="list-shape")

    answer = server.post(path, json=body)
    expect.status(answer, 201, reason="review-refused")
    stored = reviews_stored(page)
    expect.equal(
        1, len(stored), f"how many documents `reviews` has of the page {page} after one POST", reason="not-stored"
    )
    (document,) = stored.values()
    expect.fields(document, {**body, "voters": [], "helpful": 0}, "the document of the new review", reason="not-stored")
    kinds = mongodb.aggregate(
        "reviews",
        [
            {"$match": {"page": page}},
            {
                "$project": {name: {"$type": f"${name}"} for name in DOCUMENT if name != "_id"}
                | {"own": {"$type": "$_id"}}
            },
        ],
    )[0]
    for name, allowed in DOCUMENT.items():
        kind = kinds["own" if name == "_id" else name]
        expect.true(
            kind in allowed,
            f"the type of `{name}` in the document of the new review",
            reason="schema-wrong-type",
            expected=" or ".join(allowed),
            seen=kind,
        )
    review_as_stored(answer, document, "the review that POST answered", "answer-wrong")
    late = abs((written_at(document) - before).total_seconds())
    expect.at_most(
        5, round(late), "how many seconds `created_at` is away from the moment of the POST", reason="time-wrong"
    )
    (item,) = expect.field(server.get(path), "items", list, reason="list-shape") or [{}]
    review_as_stored(item, document, "the review that GET lists", "answer-wrong")

    again = server.post(path, json={**new_review(), "author": body["author"]})
    expect.status(again, 409, reason="reviewed-twice", code="already_reviewed")
    expect.equal(
        1,
        len(reviews_stored(page)),
        "how many reviews of one page an author has after two POSTs",
        reason="reviewed-twice",
    )
    elsewhere = server.post(f"/pages/{other}/reviews", json=body)
    expect.true(
        elsewhere.status == 201,
        "the answer to a review of another page by the same author",
        reason="other-page-refused",
        expected="201",
        seen=f"{elsewhere.status} {elsewhere.text}",
    )
    evidence(f"MongoDB has one document for the review, with `stars` as {kinds['stars']} and `created_at` as a date")


@promises("document-of-others", "get-reviews-200", "reviews-newest-first")
def test_reviews_of_others_are_shown(
    server, mongodb, plant_page, plant_review, reviews_stored, review_as_stored, fresh, evidence
):
    """Reviews that another client writes, changes or deletes are shown, changed or gone, in order of their times."""
    page, other = plant_page(), plant_page()
    path = f"/pages/{page}/reviews"
    for place in fresh.shuffled(range(6)):  # so the order of the ids is none of the times
        plant_review(page, after=place, voters=[fresh.name("voter")] * (place % 2))
    plant_review(other)
    stored = reviews_stored(page)
    mongodb.change(
        "reviews", {"page": page}, [{"$set": {"stars": {"$toLong": "$stars"}, "helpful": {"$toLong": "$helpful"}}}]
    )

    def shown(what, reason):
        answer = server.get(path)
        expect.status(answer, 200, reason=reason)
        items = expect.field(answer, "items", list, reason="list-shape")
        now = reviews_stored(page)
        expect.equal(
            [document["author"] for document in now.values()],
            [expect.field(item, "author", str, reason="list-shape") for item in items],
            f"the authors of the reviews that GET lists, {what}",
            reason=reason,
        )
        for item, document in zip(items, now.values(), strict=True):
            review_as_stored(item, document, f"a review that GET lists, {what}", reason)

    shown("six of which were written into MongoDB past your server", "list-order")
    first, second, third, *_ = stored.values()
    mongodb.change(
        "reviews", {"_id": first["_id"]}, {"$set": {"text": fresh.text("changed"), "stars": first["stars"] % 5 + 1}}
    )
    mongodb.delete("reviews", {"_id": second["_id"]})
    plant_review(page, after=2.5)
    mongodb.change("reviews", {"_id": third["_id"]}, {"$push": {"voters": fresh.name("voter")}, "$inc": {"helpful": 1}})
    shown("when others had been written, changed and deleted past your server", "stale-list")
    evidence(
        "six reviews that the check wrote into MongoDB were listed by their times; one changed and one vanished at once"
    )


@promises("get-reviews-404", "post-reviews-404", "unknown-id", "document-of-others")
def test_reviews_of_a_page_that_comes_or_goes(
    server, mongodb, plant_page, plant_review, new_page, new_review, reviews_stored, fresh, evidence
):
    """Without its page, or when that was deleted, a list of reviews is 404 and takes none; with it, it is there."""

    def refused(page, when):
        for method, body in (("GET", None), ("POST", new_review())):
            answer = server.request(method, f"/pages/{page}/reviews", json=body)
            expect.status(answer, 404, reason="unknown-page-answer", code="not_found")
        expect.equal({}, reviews_stored(page), f"the reviews of a page that {when}", reason="review-of-nothing")

    gone, coming = plant_page(), fresh.name("page").lower()
    plant_review(gone)
    expect.status(server.get(f"/pages/{gone}/reviews"), 200, reason="list-refused")
    mongodb.delete("pages", {"_id": gone})
    mongodb.delete("reviews", {"page": gone})
    refused(gone, "another client deleted with its reviews")
    plant_review(gone)
    expect.status(server.get(f"/pages/{gone}/reviews"), 404, reason="unknown-page-answer", code="not_found")
    for page in (coming, "No-Page", "a%20b"):
        refused(page, "was never there")
    mongodb.plant("pages", {"_id": coming, **new_page(), "version": 1, "changed_at": datetime.now(UTC)})
    expect.status(server.get(f"/pages/{coming}/reviews"), 200, reason="stale-list")
    expect.status(server.post(f"/pages/{coming}/reviews", json=new_review()), 201, reason="review-refused")
    evidence("a page that was deleted in MongoDB took no review any more, one that was written there took one at once")


@promises("reviews-stable", "reviews-newest-first", "pages", "reviews-by-stars")
def test_pages_repeat_and_skip_nothing(server, mongodb, plant_page, plant_review, reviews_stored, pages, evidence):
    """Page by page each review is shown once, also those of one moment, and while others are added and deleted."""
    page = plant_page()
    path = f"/pages/{page}/reviews"
    for place in range(21):  # seven times three of the same millisecond, and nine of one more
        plant_review(page, after=place // 3, stars=1 + place % 2)
    for _ in range(9):
        plant_review(page, after=3, stars=2)
    for place in range(8):  # before 1970, and far ahead: a date is a date, also where a page ends
        plant_review(page, after=place - 2_000_000_000, stars=2)
        plant_review(page, after=place + 2_500_000_000, stars=2)

    def read(between=None, **query):
        wanted = reviews_stored(page, **{name: int(value) for name, value in query.items()})
        items = pages(path, 4, between=between, refused="next-refused", **query)
        ids = [expect.field(item, "review", str, reason="list-shape") for item in items]
        what = f"which reviews the pages of GET {path}{' with `stars`' if query else ''}"
        gone = set(wanted) - set(reviews_stored(page))
        expect.equal(
            [], [id_ for id_ in wanted if id_ not in ids and id_ not in gone], f"{what} left out", reason="page-skips"
        )
        expect.equal(
            [], sorted({id_ for id_ in ids if ids.count(id_) > 1}), f"{what} showed twice", reason="page-repeats"
        )
        strange = [item for item in items if query and item["stars"] != int(query["stars"])]
        expect.equal(
            [],
            strange,
            f"which reviews with other `stars` {what.removeprefix('which reviews ')} showed",
            reason="stars-wrong",
        )
        times = [wanted[id_]["created_at"] for id_ in ids if id_ in wanted]
        expect.true(
            times == sorted(times, reverse=True),
            f"the order of the pages of GET {path}",
            reason="list-order",
            expected="the newest first",
            seen=[str(time) for time in times],
        )
        if not between:
            again = [item["review"] for item in pages(path, 7, refused="next-refused", **query)]
            expect.equal(
                ids, again, f"the reviews of GET {path} with limit=7, beside those with limit=4", reason="list-order"
            )
        return len(ids)

    seen = read() + read(stars="2")

    def others_come(shown):
        plant_review(page, after=100, stars=2)
        plant_review(page, after=3, stars=2)
        plant_review(page, after=-100, stars=2)

    def the_last_goes(shown):  # what `next` may name is gone when it is sent
        id_ = expect.field(shown[-1], "review", str, reason="list-shape")
        document = reviews_stored(page).get(id_)
        expect.true(
            document is not None,
            f"the document of the review {expect.shown(id_)} that GET {path} lists",
            reason="not-from-mongodb",
            expected="one in the collection `reviews`",
            seen="none",
        )
        mongodb.delete("reviews", {"_id": document["_id"]})

    seen += read(others_come) + read(others_come, stars="2") + read(the_last_goes)
    evidence(f"{seen} reviews, many of the same millisecond, came on pages of 4: none twice, none left out")


@promises("reviews-stable", "pages-full")
def test_others_come_and_go_between_two_steps_of_a_page(
    explore, server, mongodb, plant_page, plant_review, reviews_stored, evidence
):
    """Between two steps of a page one of its reviews is deleted and others are added: all the others are found once."""
    limit = 3

    def prepare(count):
        page = plant_page()
        for place in range(count):
            plant_review(page, after=place // 2)
        return page, list(reviews_stored(page).items())

    def one_goes(case):
        mongodb.delete("reviews", {"_id": case[1][1][1]["_id"]})

    def some_come(case):
        one_goes(case)
        for after in (-5, 3, 100):
            plant_review(case[0], after=after)

    def ask(case, **after):
        return server.get(f"/pages/{case[0]}/reviews", params={"limit": str(limit), **after})

    def holds(case, answer, _):
        ids = []
        for _ in range(20):
            if isinstance(answer, NoAnswer):
                return
            expect.status(answer, 200, reason="list-refused")
            ids += [
                expect.field(item, "review", str, reason="list-shape")
                for item in expect.field(answer, "items", list, reason="list-shape")
            ]
            following = expect.field(answer, "next", (str, type(None)), reason="list-shape")
            if following is None:
                break
            answer = ask(case, after=following)
        others = [id_ for place, (id_, _) in enumerate(case[1]) if place != 1]
        what = "which reviews the pages of GET .../reviews {}, while another one was deleted"
        expect.equal([], [id_ for id_ in others if id_ not in ids], what.format("left out"), reason="page-ends")
        expect.equal(
            [], [id_ for id_ in others if ids.count(id_) > 1], what.format("showed twice"), reason="page-repeats"
        )

    tried = sum(
        explore.interleave(ask, meanwhile, holds, prepare=lambda count=count: prepare(count), during=what).tried
        for count, meanwhile, what in (
            (3 * limit, some_come, "one review was deleted and others were added"),
            (limit + 1, one_goes, "one review was deleted"),
        )
    )
    evidence(f"reviews came and went before {tried} steps of a page: all others were found once")


@promises("read-is-now", "document-of-others")
def test_two_looks_at_the_same_moment(explore, server, plant_page, plant_review, evidence):
    """Before or after each step of a GET a review is added, and the same process is asked again: it is in the list."""

    def changed(page):
        return plant_review(page), server.get(f"/pages/{page}/reviews")

    def holds(page, _, pair):
        if isinstance(pair, NoAnswer):
            return
        review, answer = pair
        expect.status(answer, 200, reason="list-refused")
        expect.equal(
            [review],
            [item["review"] for item in expect.field(answer, "items", list, reason="list-shape")],
            f"the reviews that GET /pages/{page}/reviews lists, asked for when there was one, while the same was under "
            "way at the same process",
            reason="anothers-answer",
        )

    tried = sum(
        explore.interleave(
            lambda page: server.get(f"/pages/{page}/reviews"),
            changed,
            holds,
            prepare=plant_page,
            during="a review was added, and the same process was asked again",
            answers=answers,
        ).tried
        for answers in (False, True)
    )
    evidence(f"a review was added before or after {tried} steps of a GET: the next GET had it")


@promises("reviews-by-index")
def test_a_page_of_twenty_thousand(server, mongodb, plant_page, plant_review, crowd, reviews_stored, evidence):
    """MongoDB looks at 200 documents at most for 20 of 20,000 reviews of a page, also far behind and by stars."""
    page, quiet = plant_page(), plant_page()
    crowd(page, MANY, RARE)
    for place in range(RARE):
        plant_review(quiet, after=-1_000_000 + place)
    path, deep, most = f"/pages/{page}/reviews", {}, 0
    for _ in range(5):
        answer = server.get(path, params={"limit": "100", **deep})
        expect.status(answer, 200, reason="list-refused")
        deep = {"after": expect.field(answer, "next", str, reason="list-shape")}
    looks = (
        (path, {}, {"page": page}, 0, f"the newest of {MANY} reviews"),
        (path, deep, {"page": page}, 500, f"the {MANY} reviews of a page, from the 501st on"),
        (
            path,
            {"stars": "1"},
            {"page": page, "stars": 1},
            0,
            f"the {RARE} reviews with one star of the {MANY} of a page",
        ),
        (
            f"/pages/{quiet}/reviews",
            {},
            {"page": quiet},
            0,
            f"the {RARE} reviews of a page, beside {MANY} of another one",
        ),
    )
    for where, params, query, skipped, what in looks:
        server.get(
            where, params=params
        )  # MongoDB tries its indexes on the first query of a kind, and remembers the best
        with mongodb.operations() as seen:
            answer = server.get(where, params=params)
        expect.status(answer, 200, reason="list-refused")
        items = expect.field(answer, "items", list, reason="list-shape")
        wanted = mongodb.find("reviews", query, sort=[("created_at", -1)], limit=skipped + 20, fields=["author"])[
            skipped:
        ]
        expect.equal(
            [one["author"] for one in wanted],
            [item["author"] for item in items],
            f"the authors of {what}",
            reason="list-order",
        )
        read, worst = (
            sum(one.docs_examined for one in seen.list),
            max(seen.list, key=lambda one: one.docs_examined, default=None),
        )
        expect.true(
            bool(seen.list),
            f"what your server asked MongoDB for {what}",
            reason="not-from-mongodb",
            expected="at least one operation",
            seen="none",
        )
        memory = ", sorted in memory" if worst.sorted_in_memory else ""
        plan = f" ({worst.name} on {worst.collection}, plan {worst.plan or 'unknown'}{memory})"
        expect.at_most(MOST_READ, read, f"how many documents MongoDB looked at for {what}{plan}", reason="no-index")
        most = max(most, read)
    evidence(f"MongoDB looked at {most} documents at most for a page of {MANY} reviews")
