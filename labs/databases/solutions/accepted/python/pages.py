"""Pages: each kind with details of its own, each version kept, a page and its history never apart."""

import re
from datetime import datetime, timezone

from pymongo import ReturnDocument

import documents
from catalogue import no_such
from web import invalid, number_of, route, text_of

ADDRESS = re.compile("[a-z0-9-]{1,60}")
LARGEST_VERSION = 2**63 - 1


@route("PUT", "/pages/{page}")
def write_page(request, page):
    if not ADDRESS.fullmatch(page):
        raise invalid("A page's address is 1 to 60 of the letters a to z, digits and -.")
    content = content_of(request.json())
    written = documents.transaction(page, lambda db, session: write(db, session, page, content))
    return 201 if written.pop("new") else 200, shown(written)


def write(db, session, page, content):
    """A new version of the page, and its copy in the history."""
    now = datetime.now(timezone.utc)
    version = db.pages.find_one_and_update(
        {"_id": page},
        {"$set": {**content, "changed_at": now}, "$inc": {"version": 1}},
        upsert=True,
        return_document=ReturnDocument.AFTER,
        session=session,
    )
    new = version["version"] == 1
    newest = db.page_history.find_one({"page": page}, sort=[("version", -1)], session=session)
    if newest and newest["version"] >= version["version"]:
        # Somebody deleted the page and left its history: the versions in there stay what they are.
        version["version"] = newest["version"] + 1
        db.pages.update_one({"_id": page}, {"$set": {"version": version["version"]}}, session=session)
    copied = {name: version[name] for name in ("version", "kind", "title", "details", "changed_at")}
    db.page_history.insert_one({"page": page, **copied}, session=session)
    return {**version, "new": new}


@route("GET", "/pages/{page}")
def show_page(request, page):
    with documents.reachable() as db:
        found = db.pages.find_one({"_id": page})
    if found is None:
        raise no_such("page")
    return 200, shown(found)


@route("GET", "/pages/{page}/history")
def show_history(request, page):
    limit, after = request.limit(), request.query.get("after", str(LARGEST_VERSION))
    if not (after.isascii() and after.isdigit() and len(after) <= 19 and int(after) <= LARGEST_VERSION):
        raise invalid("after is what the page before gave as next.")
    with documents.reachable() as db:
        must_exist(db, page)
        older = {"page": page, "version": {"$lt": int(after)}}
        found = list(db.page_history.find(older).sort("version", -1).limit(limit + 1))
    items = [shown({**version, "_id": page}) for version in found[:limit]]
    return 200, {"items": items, "next": str(items[-1]["version"]) if len(found) > limit else None}


def must_exist(db, page):
    if not db.pages.find_one({"_id": page}, {"_id": 1}):
        raise no_such("page")


def shown(document):
    """A page as the API has it, from its document."""
    return {
        "page": document["_id"],
        **{name: document[name] for name in ("kind", "title", "details", "version", "changed_at")},
    }


# --- what a client wrote -----------------------------------------------------------------------------------------


def content_of(body):
    kind, details = body.get("kind"), body.get("details")
    if not isinstance(kind, str) or kind not in DETAILS:
        raise invalid("kind is concert, match or play.")
    if not isinstance(details, dict):
        raise invalid("details is an object.")
    return {"kind": kind, "title": text_of(body, "title"), "details": DETAILS[kind](details)}


def concert(details):
    return {"acts": list_of(details, "acts", {"name": name_of, "minutes": minutes_of})}


def match(details):
    return {"home": name_of(details, "home"), "away": name_of(details, "away")}


def play(details):
    return {"roles": list_of(details, "roles", {"role": name_of, "actor": name_of})}


DETAILS = {"concert": concert, "match": match, "play": play}


def list_of(details, name, fields):
    """The field `name`: a list of 1 to 50 objects that have these fields. Others are left out."""
    values = details.get(name)
    if not isinstance(values, list) or not 1 <= len(values) <= 50 or not all(isinstance(one, dict) for one in values):
        raise invalid(f"{name} is a list of 1 to 50 objects.")
    return [{field: read(one, field) for field, read in fields.items()} for one in values]


def name_of(body, name):
    return text_of(body, name, longest=100)


def minutes_of(body, name):
    return number_of(body, name, 1, 600)
