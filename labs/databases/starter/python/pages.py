"""Pages and their reviews, in memory like the rest. Milestone by milestone they move to MongoDB."""

import itertools
import queue
import re
import threading
from datetime import datetime, timezone

from web import Problem, Stream, invalid, number_of, route, text_of

lock = threading.RLock()  # taken by each request before it touches any of these
ids = itertools.count(1)

versions = {}  # page -> all its versions, oldest first     MongoDB: collections pages and page_history
reviews = {}  # page -> its reviews, oldest first           MongoDB: collection reviews
listeners = {}  # page -> the mailboxes of its listeners    MongoDB: a change stream of page_history


# --- pages: mongodb/pages, mongodb/validators, mongodb/history -----------------------------------------------------


def name_of(body, name):
    return text_of(body, name, longest=100)


def list_of(body, name, fields):
    """The field `name`: a list of 1 to 50 objects with these fields."""
    found = body.get(name)
    if not isinstance(found, list) or not 1 <= len(found) <= 50 or not all(isinstance(one, dict) for one in found):
        raise invalid(f"{name} is a list of 1 to 50 objects.")
    return [{field: read(one, field) for field, read in fields.items()} for one in found]


def minutes_of(body, name):
    return number_of(body, name, 1, 600)


DETAILS = {
    "concert": lambda details: {"acts": list_of(details, "acts", {"name": name_of, "minutes": minutes_of})},
    "match": lambda details: {"home": name_of(details, "home"), "away": name_of(details, "away")},
    "play": lambda details: {"roles": list_of(details, "roles", {"role": name_of, "actor": name_of})},
}


@route("PUT", "/pages/{page}")
def write_page(request, page):
    if not re.fullmatch("[a-z0-9-]{1,60}", page):
        raise invalid("A page's address is 1 to 60 of the letters a to z, digits and -.")
    body = request.json()
    kind, title, details = text_of(body, "kind"), text_of(body, "title"), body.get("details")
    if kind not in DETAILS or not isinstance(details, dict):
        raise invalid("kind is concert, match or play, and details is an object.")
    content = {"kind": kind, "title": title, "details": DETAILS[kind](details)}
    with lock:
        kept = versions.setdefault(page, [])
        now = datetime.now(timezone.utc)
        kept.append({"page": page, **content, "version": len(kept) + 1, "changed_at": now})
        for mailbox in listeners.get(page, ()):
            mailbox.put(kept[-1])
        return 201 if len(kept) == 1 else 200, kept[-1]


def before_of(request):
    """A page of a list begins before the number that the page before it ended with."""
    after = request.query.get("after")
    if after is None:
        return float("inf")
    if not (after.isascii() and after.isdigit() and len(after) < 20):
        raise invalid("after is what the page before gave as next.")
    return int(after)


def of_page(kept, page):
    """What is kept of a page: `of_page(versions, page)`."""
    if page not in versions:
        raise Problem(404, "not_found", "There is no such page.")
    return kept.get(page, [])


@route("GET", "/pages/{page}")
def show_page(request, page):
    with lock:
        return 200, of_page(versions, page)[-1]


@route("GET", "/pages/{page}/history")
def show_history(request, page):
    limit, before = request.limit(), before_of(request)
    with lock:
        found = [version for version in reversed(of_page(versions, page)) if version["version"] < before]
        items = found[:limit]
        return 200, {"items": items, "next": str(items[-1]["version"]) if len(found) > limit else None}


# --- each new version, live: mongodb/live ---------------------------------------------------------------------------


@route("GET", "/pages/{page}/live")
def live(request, page):
    last = request.headers.get("Last-Event-ID", "")
    with lock:
        of_page(versions, page)
    return Stream(versions_after(page, int(last) if last.isascii() and last.isdigit() and len(last) < 20 else None))


def versions_after(page, last):
    """The versions after `last`; without it, those that are still to come."""
    mailbox = queue.SimpleQueue()
    with lock:
        for version in versions[page] if last is not None else ():
            if version["version"] > last:
                mailbox.put(version)
        listeners.setdefault(page, set()).add(mailbox)
    try:
        yield None
        while True:
            try:
                version = mailbox.get(timeout=5)
                number = version["version"]
                yield "version", {"version": number, "title": version["title"]}, number
            except queue.Empty:
                yield None  # writing to a client that has gone away fails, and that ends this loop
    finally:
        with lock:
            listeners[page].discard(mailbox)


# --- reviews: mongodb/reviews, mongodb/summary, mongodb/votes -------------------------------------------------------


@route("POST", "/pages/{page}/reviews")
def add_review(request, page):
    body = request.json()
    fields = {"author": name_of(body, "author"), "stars": number_of(body, "stars", 1, 5)}
    fields["text"] = text_of(body, "text", longest=2000)
    with lock:
        of_page(versions, page)
        kept = reviews.setdefault(page, [])
        if any(review["author"] == fields["author"] for review in kept):
            raise Problem(409, "already_reviewed", "This author has reviewed this page already.")
        now = datetime.now(timezone.utc)
        kept.append({"review": str(next(ids)), "page": page, **fields, "created_at": now, "voters": set()})
        return 201, shown(kept[-1])


def shown(review):
    """A review as the API has it: with the number of its voters."""
    voters = review["voters"]
    return {**{name: value for name, value in review.items() if name != "voters"}, "helpful": len(voters)}


@route("GET", "/pages/{page}/reviews")
def list_reviews(request, page):
    limit, before, stars = request.limit(), before_of(request), request.query.get("stars")
    if stars not in (None, "1", "2", "3", "4", "5"):
        raise invalid("stars is a number from 1 to 5.")
    with lock:
        found = [review for review in reversed(of_page(reviews, page)) if int(review["review"]) < before]
        if stars:
            found = [review for review in found if review["stars"] == int(stars)]
        items = [shown(review) for review in found[:limit]]
        return 200, {"items": items, "next": items[-1]["review"] if len(found) > limit else None}


@route("GET", "/pages/{page}/reviews/summary")
def summarize(request, page):
    with lock:
        stars = [review["stars"] for review in of_page(reviews, page)]
    average = sum(stars) / len(stars) if stars else None
    return 200, {"count": len(stars), "average": average, "stars": {n: stars.count(n) for n in range(1, 6)}}


@route("POST", "/pages/{page}/reviews/{review}/votes")
def vote(request, page, review):
    voter = name_of(request.json(), "voter")
    with lock:
        for one in of_page(reviews, page):
            if one["review"] == review:
                one["voters"].add(voter)
                return 200, {"helpful": len(one["voters"])}
    raise Problem(404, "not_found", "There is no such review.")
