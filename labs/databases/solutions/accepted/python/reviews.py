"""Reviews of pages, in pages by time; how many stars they give; who found them helpful."""

from datetime import datetime, timedelta, timezone

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

import documents
from catalogue import no_such
from pages import must_exist, name_of
from web import Problem, invalid, number_of, route, text_of

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MILLISECOND = timedelta(milliseconds=1)
STARS = (1, 2, 3, 4, 5)


@route("POST", "/pages/{page}/reviews")
def add_review(request, page):
    body = request.json()
    now = datetime.now(timezone.utc)
    review = {
        "_id": ObjectId(),
        "page": page,
        "author": name_of(body, "author"),
        "stars": number_of(body, "stars", STARS[0], STARS[-1]),
        "text": text_of(body, "text", longest=2000),
        "created_at": now - timedelta(microseconds=now.microsecond % 1000),  # as exact as MongoDB keeps it
        "voters": [],
        "helpful": 0,
    }
    try:
        with documents.reachable() as db:
            must_exist(db, page)
            db.reviews.insert_one(review)
    except DuplicateKeyError:
        raise Problem(409, "already_reviewed", "This author has reviewed this page already.") from None
    return 201, shown(review)


@route("GET", "/pages/{page}/reviews")
def list_reviews(request, page):
    limit, stars, after = request.limit(), request.query.get("stars"), request.query.get("after")
    if stars is not None and stars not in map(str, STARS):
        raise invalid("stars is a number from 1 to 5.")
    wanted, order = {"page": page}, {"created_at": -1, "_id": -1}
    if stars is not None:
        # Sorted by the stars, too, though they are all the same: so no index but the one that has them is in order.
        wanted, order = {**wanted, "stars": int(stars)}, {"stars": 1, **order}
    with documents.reachable() as db:
        must_exist(db, page)
        found = list(db.reviews.find(wanted if after is None else older(wanted, after)).sort(order).limit(limit + 1))
    last = name_of_place(found[limit - 1]) if len(found) > limit else None
    return 200, {"items": [shown(review) for review in found[:limit]], "next": last}


def name_of_place(review):
    """The place of a review in the list, by its time and id: it stays the same also if the review is deleted."""
    return f"{(review['created_at'] - EPOCH) // MILLISECOND}_{review['_id']}"


def older(wanted, after):
    """What is wanted, behind this place. Both halves have a range of an index of their own."""
    milliseconds, _, id = after.partition("_")
    try:
        time = EPOCH + int(milliseconds) * MILLISECOND
    except (ValueError, OverflowError):
        time = None
    if time is None or not ObjectId.is_valid(id):
        raise invalid("after is what the page before gave as next.")
    halves = {"created_at": {"$lt": time}}, {"created_at": time, "_id": {"$lt": ObjectId(id)}}
    return {"$or": [{**wanted, **half} for half in halves]}


@route("GET", "/pages/{page}/reviews/summary")
def summarize(request, page):
    with documents.reachable() as db:
        must_exist(db, page)
        counted = db.reviews.aggregate(
            [{"$match": {"page": page}}, {"$group": {"_id": "$stars", "count": {"$sum": 1}}}]
        )
        of_stars = {group["_id"]: group["count"] for group in counted}
    counts = {stars: of_stars.get(stars, 0) for stars in STARS}
    count = sum(counts.values())
    average = sum(stars * times for stars, times in counts.items()) / count if count else None
    return 200, {"count": count, "average": average, "stars": counts}


@route("POST", "/pages/{page}/reviews/{review}/votes")
def vote(request, page, review):
    voter = name_of(request.json(), "voter")
    if not ObjectId.is_valid(review):
        raise no_such("review")
    wanted = {"_id": ObjectId(review), "page": page}
    with documents.reachable() as db:
        must_exist(db, page)
        # One step: who looks first whether the voter is there, and then adds one, counts twice who votes twice at once.
        counted = db.reviews.find_one_and_update(
            {**wanted, "voters": {"$ne": voter}},
            {"$push": {"voters": voter}, "$inc": {"helpful": 1}},
            return_document=ReturnDocument.AFTER,
        )
        found = counted or db.reviews.find_one(wanted)  # this voter was counted before, or there is no such review
    if found is None:
        raise no_such("review")
    return 200, {"helpful": found["helpful"]}


def shown(review):
    """A review as the API has it, from its document."""
    fields = "page", "author", "stars", "text", "helpful", "created_at"
    return {"review": str(review["_id"]), **{name: review[name] for name in fields}}
