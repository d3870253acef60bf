"""mongodb/validators: MongoDB itself refuses wrong shapes and duplicates, in new collections and in those that are there."""

import json
from datetime import UTC, datetime

import pytest

from orchestrator.checks import expect, promises

ABSENT = object()
"""In place of a value: there is no such field."""
FEW = 10
"""Changes of one client: all that it asks shares one time limit."""
NO_TEXT = (ABSENT, None, 7, ["a text"], {"text": "a text"}, True)
"""What a field that is a string must not be. A list of strings passes `{$type: "string"}`, which looks inside it."""


@pytest.fixture
def page_documents(fresh, new_page):
    """``page_documents() -> {kind: document}``: one of each kind, as another client writes it, with a new address."""
    return lambda: {
        kind: {"_id": fresh.name("page").lower(), **new_page(kind), "version": 1, "changed_at": datetime.now(UTC)}
        for kind in ("concert", "match", "play")
    }


@pytest.fixture
def wrong_pages(page_documents):
    """``wrong_pages() -> [(words, document, field, value)]``: pages of a wrong shape; with the value in the field they are."""

    def make():
        good = page_documents()
        details = {kind: one["details"] for kind, one in good.items()}
        (act, *_), (role, *_) = details["concert"]["acts"], details["play"]["roles"]
        cases = [
            *(("match", "kind", value) for value in (ABSENT, None, "opera", "Match", "", 7, ["match"])),
            *(("concert", "title", value) for value in NO_TEXT),
            *(("play", "version", value) for value in (ABSENT, None, "1", 1.5, 1.0, [1], True)),
            *(("match", "details", value) for value in (ABSENT, None, json.dumps(details["match"]), [details["match"]], 7, {})),
            *((kind, "details", details[other]) for kind in details for other in details if kind != other),
            *(("match", "details", {**details["match"], side: value}) for side in ("home", "away") for value in NO_TEXT),
            *(("concert", "details", {"acts": value}) for value in (ABSENT, None, "acts", {"0": act}, 7)),
            *(("play", "details", {"roles": value}) for value in (ABSENT, None, json.dumps([role]), {"0": role}, True)),
        ]
        return [(good[kind], field, without(value)) for kind, field, value in cases]

    return make


@pytest.fixture
def wrong_reviews(review_document):
    """``wrong_reviews(page) -> [(document, field, value)]``: reviews of a wrong shape; with the value in the field they are."""

    def make(page):
        stars = [("stars", value) for value in (ABSENT, None, 0, 6, -1, 4.5, "5", [5], True, float("nan"))]
        texts = [(field, value) for field in ("page", "author", "text") for value in NO_TEXT]
        return [(review_document(page), *one) for one in (*stars, *texts)]

    return make


def without(value):
    """A document without the fields that are absent."""
    return {name: one for name, one in value.items() if one is not ABSENT} if isinstance(value, dict) else value


def refuses(code, what, reason):
    """MongoDB has refused it, with any error."""
    expect.true(code is not None, f"whether MongoDB refuses {what}", reason, expected="it is refused, whoever writes it", seen="it was taken")


def words(field, value):
    """What is wrong with a document, for messages."""
    return f"no `{field}`" if value is ABSENT else f"`{field}`: {expect.shown(value)}"


@pytest.fixture
def updates(mongodb):
    """``updates(collection, [(query, change)]) -> codes``: with which MongoDB refuses each, ``None`` if it does not; all are undone."""

    def ask(collection, changes):
        codes = []
        for place in range(0, len(changes), FEW):
            with mongodb.as_learner() as database, database.client.start_session() as session:
                for query, change in changes[place:place + FEW]:
                    session.start_transaction()
                    code = None
                    try:
                        matched = database[collection].update_one(query, change, session=session).matched_count
                    except Exception as error:
                        code, matched = getattr(error, "code", None), 1
                        if code is None:
                            raise
                    finally:
                        session.abort_transaction()
                    expect.equal(1, matched, f"how many documents of {collection} another client found to change", reason="not-stored")
                    codes.append(code)
        return codes

    return ask


@pytest.fixture
def guarded(mongodb, updates):
    """``guarded(collection, cases, reason) -> tried``: each is refused as a new document, and as a change of a good one."""

    def look(collection, cases, reason):
        there, changes = {}, []
        for good, field, value in cases:
            refuses(mongodb.refused(collection, without({**good, field: value})), f"a new document of `{collection}` with {words(field, value)}", reason)
            key = json.dumps(good, default=str)
            if key not in there:  # the good one itself must be taken
                there[key] = mongodb.plant(collection, good)[0]
            changes.append(({"_id": there[key]}, {"$unset": {field: ""}} if value is ABSENT else {"$set": {field: value}}))
        for (_, field, value), code in zip(cases, updates(collection, changes), strict=True):
            refuses(code, f"to change a document of `{collection}` to {words(field, value)}", reason)
        for id_ in there.values():
            mongodb.delete(collection, {"_id": id_})
        return len(cases)

    return look


@promises("mongodb-refuses", "page-shapes")
def test_wrong_pages_are_refused(guarded, wrong_pages, evidence):
    """MongoDB refuses a page of another shape than storage.md says, by insert and by update."""
    tried = guarded("pages", wrong_pages(), "wrong-page-taken")
    evidence(f"MongoDB refused {tried} pages of a wrong shape, each as a new document and as a change of a right one")


@promises("mongodb-refuses", "review-shapes")
def test_wrong_reviews_are_refused(guarded, wrong_reviews, plant_page, evidence):
    """MongoDB refuses a review with wrong stars or without its texts, by insert and by update."""
    tried = guarded("reviews", wrong_reviews(plant_page()), "wrong-review-taken")
    evidence(f"MongoDB refused {tried} reviews of a wrong shape, each as a new document and as a change of a right one")


@promises("mongodb-refuses", "review-unique", "history-unique", "author-by-letter")
def test_duplicates_are_refused(mongodb, updates, plant_page, review_document, evidence):
    """MongoDB refuses a second review of an author, and a second document of a version; what only looks alike it takes."""
    page, other = plant_page(versions=3), plant_page()

    def refused(collection, document, what):
        refuses(mongodb.refused(collection, document), what, "duplicate-taken")

    def taken(collection, document, what):
        code = mongodb.refused(collection, document)
        expect.equal(None, code, f"the error with which MongoDB refuses {what}", reason="good-document-refused")

    review = review_document(page)
    author = review["author"]
    mongodb.plant("reviews", review)
    refused("reviews", {**review_document(page), "author": author}, "a second review of a page by the same author")
    taken("reviews", {**review_document(other), "author": author}, "a review of another page by the same author")
    for name in (author.upper(), author.swapcase(), f"{author} ", f" {author}", f"{author}\u0301", f"{author}\n"):
        taken("reviews", {**review_document(page), "author": name}, f"a review by {expect.shown(name)}, where {author} has written one")
    second = mongodb.plant("reviews", review_document(page))[0]
    (code,) = updates("reviews", [({"_id": second}, {"$set": {"author": author}})])
    refuses(code, "to change the author of a review to one who has written another", "duplicate-taken")
    version = {name: value for name, value in mongodb.one("page_history", {"page": page, "version": 2}).items() if name != "_id"}
    refused("page_history", version, "a second document of `page_history` with the same page and version")
    taken("page_history", {**version, "version": 4}, "a new version of a page in `page_history`")
    taken("page_history", {**version, "page": other}, "the same version of another page in `page_history`")
    (code,) = updates("page_history", [({"page": page, "version": 1}, {"$set": {"version": 2}})])
    refuses(code, "to change a version in `page_history` to one that is there", "duplicate-taken")
    evidence("MongoDB refused a second review of one author and a second document of one version, and took six authors that look alike")


@promises("document-of-others", "page-shapes", "review-shapes")
def test_good_documents_are_taken(server, mongodb, page_documents, review_document, make_page, make_review, page_shown, evidence):
    """What is right is taken: from other clients, with whole numbers as int or long, and from your server."""
    tried = 0
    for kind, document in page_documents().items():
        for one in (document, {**document, "version": 2**31}, {**document, "title": "t" * 200}):
            code = mongodb.refused("pages", one)
            expect.equal(None, code, f"the error with which MongoDB refuses a right {kind} of another client", reason="good-document-refused")
            tried += 1
        mongodb.plant("pages", document)
        mongodb.change("pages", {"_id": document["_id"]}, [{"$set": {"version": {"$toLong": "$version"}}}])
        answer = server.get(f"/pages/{document['_id']}")
        expect.status(answer, 200, reason="page-of-others")
        body = {name: document[name] for name in ("kind", "title", "details")}
        page_shown(answer, document["_id"], body, 1, "the answer to GET of a page that another client wrote", "page-of-others")
        page = make_page(kind)
        for stars in range(1, 6):
            planted = mongodb.plant("reviews", review_document(page, stars=stars, voters=["a", "b"]))[0]
            mongodb.change("reviews", {"_id": planted}, [{"$set": {"stars": {"$toLong": "$stars"}, "helpful": {"$toLong": "$helpful"}}}])
            make_review(page, stars)
            tried += 2
    evidence(f"MongoDB took {tried} right documents, with whole numbers as int and as long, of other clients and of your server")


@promises("mongodb-refuses", "page-shapes", "review-shapes", "review-unique", "history-unique", "start-twice")
def test_collections_that_are_there(server, mongodb, updates, page_documents, wrong_pages, wrong_reviews, review_document, evidence):
    """When your server finds collections that know no rules, it gives them the rules, and keeps what is in them."""
    server.stop()
    pages = page_documents()
    old = {**pages["match"], "_id": f"{pages['match']['_id']}-old", "kind": "opera"}
    review = review_document(pages["match"]["_id"])
    version = {"page": pages["match"]["_id"], **{name: value for name, value in pages["match"].items() if name != "_id"}}
    with mongodb.as_learner() as database:
        for name in ("pages", "page_history", "reviews"):
            database.drop_collection(name)
    # Made by the first document in it, as any client does.
    mongodb.plant("pages", *pages.values(), old)
    mongodb.plant("page_history", version)
    mongodb.plant("reviews", review)
    server.start()

    kept = {name: mongodb.count(name) for name in ("pages", "page_history", "reviews")}
    expect.equal({"pages": 4, "page_history": 1, "reviews": 1}, kept, "how many documents are left of those that were there before a start",
                 reason="restart-loses-documents")
    before = "in a collection that was there before your server was started"
    for collection, cases in (("pages", wrong_pages()), ("reviews", wrong_reviews(pages["match"]["_id"]))):
        for good, field, value in cases:
            code = mongodb.refused(collection, without({**good, field: value}))
            refuses(code, f"a new document of `{collection}` with {words(field, value)}, {before}", "old-collection")
    for collection, document, what in (
        ("reviews", {**review_document(review["page"]), "author": review["author"]}, "a second review of the same page and author"),
        ("page_history", version, "a second document with the same page and version"),
    ):
        document = {name: value for name, value in document.items() if name != "_id"}
        refuses(mongodb.refused(collection, document), f"in `{collection}` {what}, {before}", "old-collection")
    wrong = (("title", 7), ("details", "text"), ("kind", "ballet"))
    for (field, value), code in zip(wrong, updates("pages", [({"_id": old["_id"]}, {"$set": {field: value}}) for field, value in wrong]), strict=True):
        refuses(code, f"to change a page of an unknown kind, which was there before the rules, to {words(field, value)}", "old-document")
    answer = server.get(f"/pages/{pages['play']['_id']}")
    expect.status(answer, 200, reason="restart-loses-documents")
    evidence("three collections without rules, with six documents in them, kept these and refuse what is wrong since your server was started")
