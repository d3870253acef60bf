"""mongodb/pages: a page is one document of its kind's shape, read in one go, and MongoDB has it, not the process."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from orchestrator.checks import expect, promises

SLACK = timedelta(seconds=2)
"""By how much a time may be off: whole seconds are allowed, and the server's clock is another one than the check's."""
ADDRESSES = {
    "an upper-case letter": "Page", "only capitals": "PAGE", "61 characters": "p" * 61, "a dot": "a.b", "an underscore": "a_b",
    "a space": "a b", "a space behind it": "page ", "a line feed behind it": "page\n", "a line feed before it": "\npage",
    "an umlaut": "k\u00f6ln", "a sharp s": "stra\u00dfe", "a digit of another script": "page-\u0663", "a wide letter": "\uff41bc",
    "the Kelvin sign": "\u212aiss", "an operator": '{"$ne":null}', "a dollar": "$page", "a plus": "a+b", "a star": "*", "a tilde": "~a",
}


@promises("health-mongodb", "health-asks", "get-health-200", "get-health-503")
def test_health_asks_mongodb(server, fault, evidence):
    """GET /health says whether MongoDB can be reached, at each call."""

    def says(state, status, when):
        answer = server.get("/health", deadline=10.0)
        said = expect.field(answer, "mongodb", str, reason="health-wrong")
        expect.equal(state, said, f"what GET /health says of `mongodb` while MongoDB {when}", reason="health-wrong")
        if status != 200 or "down" not in answer.json().values():
            expect.status(answer, status, reason="health-wrong")

    says("up", 200, "is up")
    try:
        with fault.down("mongodb"):
            says("down", 503, "cannot be reached")
    finally:
        server.restart_later()  # coming back by itself is the matter of mongodb/outage
    evidence("with the link to MongoDB cut, GET /health went from 200 up to 503 down")


@promises(
    "page-one-document", "names-exact", "put-pages-201", "get-pages-200", "page-changed-at", "new-page-kind", "new-page-title",
    "new-page-details", "json",
)
def test_a_page_is_one_document(server, new_page, fresh, page_shown, page_stored, evidence):
    """A page that the API makes is one document in MongoDB, with all its details inside, in the types of storage.md."""
    for kind in ("concert", "match", "play"):
        page, body, began = fresh.name("page").lower(), new_page(kind), datetime.now(UTC)
        made = server.put(f"/pages/{page}", json=body)
        expect.status(made, 201, reason="page-refused")
        stored = page_stored(page, body, 1, f"after PUT /pages/{page}")
        read = server.get(f"/pages/{page}")
        expect.status(read, 200, reason="page-missing")
        shown = [
            page_shown(answer, page, body, 1, f"the answer to {method} /pages/{page}", "answer-wrong")
            for method, answer in (("PUT", made), ("GET", read))
        ]
        for time, what in ((stored, "in MongoDB"), *zip(shown, ("in the answer to PUT", "in the answer to GET"), strict=True)):
            expect.true(
                began - SLACK <= time <= datetime.now(UTC) + SLACK and abs(time - stored) <= SLACK,
                f"`changed_at` of a new {kind} {what}",
                reason="changed-at-wrong",
                expected=f"the moment of the PUT, {began.isoformat(timespec='milliseconds')}",
                seen=time.isoformat(timespec="milliseconds"),
            )
    evidence("MongoDB has a concert, a match and a play as one document each, with acts, teams and roles inside")


@promises("document-of-others", "page-versions", "put-pages-200", "get-pages-200", "get-pages-404", "unknown-id")
def test_a_document_of_somebody_else(server, mongodb, plant_page, new_page, page_shown, page_stored, evidence):
    """A page that somebody else writes, changes or deletes in MongoDB is what your server shows, at once."""
    for kind in ("concert", "match", "play"):
        body = new_page(kind)
        page = plant_page(body=body, versions=2)
        path, answer = f"/pages/{page}", server.get(f"/pages/{page}")
        expect.status(answer, 200, reason="page-of-others")
        page_shown(answer, page, body, 2, f"the answer to GET {path}, which another client wrote", "page-of-others")

        changed = {**body, "title": new_page()["title"]}
        mongodb.change("pages", {"_id": page}, {"$set": {"title": changed["title"]}})
        answer = server.get(path)
        expect.status(answer, 200, reason="page-of-others")
        page_shown(answer, page, changed, 2, f"the answer to GET {path} after another client changed its title", "page-old")

        # An int may also be a long: drivers of other languages write one.
        for name, query in (("pages", {"_id": page}), ("page_history", {"page": page})):
            mongodb.change(name, query, [{"$set": {"version": {"$toLong": "$version"}}}])
        after = new_page()
        answer = server.put(path, json=after)
        expect.status(answer, 200, reason="version-wrong")
        page_shown(answer, page, after, 3, f"the answer to PUT {path}, of which another client wrote 2 versions", "version-wrong")
        page_stored(page, after, 3, "after another client wrote 2 versions and your server one more")

        mongodb.delete("pages", {"_id": page})
        expect.status(server.get(path), 404, reason="page-old", code="not_found")
    evidence("pages that were planted in MongoDB, changed there and deleted there were what GET showed each time")


@promises("page-replaced", "page-versions", "put-pages-200", "start-twice")
def test_a_page_is_replaced_whole(server, mongodb, new_page, fresh, page_shown, page_stored, evidence):
    """A further PUT takes the place of all that the page had, makes the next version, and a restart changes nothing."""
    page, version, last = fresh.name("page").lower(), 0, None
    path = f"/pages/{page}"
    own = {"concert": "acts", "match": "home", "play": "roles"}
    match = new_page("match")
    for body in (new_page("concert"), match, match, new_page("play"), new_page("match")):
        if body["kind"] == "play":
            server.restart()
            answer = server.get(path)
            expect.status(answer, 200, reason="page-missing")
            page_shown(answer, page, last, version, f"the answer to GET {path} after your server was started again", "restart-loses-page")
        version, last = version + 1, body
        answer = server.put(path, json=body)
        expect.status(answer, 201 if version == 1 else 200, reason="page-refused")
        page_shown(answer, page, body, version, f"the answer to PUT {path} for the {version}. time", "version-wrong")
        page_stored(page, body, version, f"after {version} PUTs")
        left = [field for kind, field in own.items() if kind != body["kind"] and field in mongodb.one("pages", {"_id": page})["details"]]
        expect.equal(
            [], left, f"which fields the `details` of a {body['kind']} still have in MongoDB, of what the page was before", reason="page-merged"
        )
    evidence(f"five PUTs, and a start in between: MongoDB has version {version} of the page, and nothing of the ones before")


@promises("page-one-read", "get-pages-200")
def test_a_page_is_one_read(server, mongodb, plant_page, new_page, page_shown, fresh, evidence):
    """A page of fifty roles is one read of MongoDB, as a page of one is."""
    calls = []
    for count in (1, 50):
        body = {**new_page("play"), "details": {"roles": [{"role": fresh.text("role"), "actor": fresh.text("actor")} for _ in range(count)]}}
        page = plant_page(body=body)
        server.get(f"/pages/{plant_page()}")  # connections are open now
        with mongodb.operations() as seen:
            answer = server.get(f"/pages/{page}")
        expect.status(answer, 200, reason="page-of-others")
        page_shown(answer, page, body, 1, f"the answer to GET /pages/{page}", "answer-wrong")
        what = f"how many operations MongoDB saw for GET /pages/{page}, a play of {count} role(s)"
        expect.at_least(1, seen.calls, what, reason="page-not-read")
        expect.at_most(1, seen.calls, what, reason="too-many-reads")
        calls += [one.name for one in seen.list]
    evidence(f"MongoDB saw one {calls[0]} for a page of one role, and one {calls[1]} for a page of fifty")


@promises("read-is-now", "document-of-others", "get-pages-200")
def test_two_looks_at_the_same_moment(explore, server, mongodb, plant_page, new_page, evidence):
    """A page is changed while your server looks at it for somebody: who asks after that gets the page as it is now."""

    def meanwhile(page):
        title = new_page()["title"]
        mongodb.change("pages", {"_id": page}, {"$set": {"title": title}})
        return title, server.get(f"/pages/{page}")

    def holds(page, _, second):
        title, answer = second
        expect.status(answer, 200, reason="page-missing")
        what = f"the title of {page}, asked for when it had been changed, while another GET of it was under way at the same process"
        expect.equal(title, expect.field(answer, "title", str, reason="answer-wrong"), what, reason="anothers-answer")

    tried = sum(
        explore.interleave(
            lambda page: server.get(f"/pages/{page}"), meanwhile, holds, prepare=plant_page,
            during="the page was changed, and the same process was asked again", answers=answers,
        ).tried
        for answers in (False, True)
    )
    evidence(f"a page was changed before or after each of {tried} steps of a GET: the next GET had the change each time")


@promises("page-address", "put-pages-422", "get-pages-404", "unknown-id", "id-spelled", "put-pages-201")
def test_an_address_is_letters_digits_and_dashes(server, mongodb, new_page, fresh, make_page, evidence):
    """A page has the address that its editor gave it, and another address than the contract allows makes no page."""
    for page in (fresh.choice("abcxyz"), "-", "0", fresh.token().lower().ljust(60, "-"), f"{fresh.integer(1, 10**9)}"):
        answer = server.put(f"/pages/{page}", json=new_page())
        expect.status(answer, 200, 201, reason="address-refused")
        expect.equal(page, expect.field(answer, "page", str, reason="answer-wrong"), f"`page` in the answer to PUT /pages/{page}", "answer-wrong")
        expect.equal(1, mongodb.count("pages", {"_id": page}), f"how many documents of `pages` have the `_id` {page}", reason="not-stored")
    before = mongodb.count("pages")
    for what, page in ADDRESSES.items():
        answer = server.put(f"/pages/{quoted(page)}", json=new_page())
        expect.true(
            answer.status == 422 and answer.json().get("code") == "invalid",
            f"the answer to PUT /pages/{quoted(page)}, an address with {what}",
            reason="address-accepted",
            expected="422 with invalid",
            seen=f"{answer.status} {answer.text}",
        )
        expect.status(server.get(f"/pages/{quoted(page)}"), 404, reason="unknown-id-answer", code="not_found")
    expect.equal(before, mongodb.count("pages"), "how many pages MongoDB has after PUTs that were refused", reason="address-accepted")
    page = make_page()
    for other in (page.upper(), page.capitalize(), f" {page}", f"{page}\n", f"{page}.0"):
        answer = server.get(f"/pages/{quoted(other)}")
        expect.status(answer, 200, 404, reason="unknown-id-answer")
        if answer.status == 200:
            expect.fields(answer, {"page": page}, f"the answer to GET /pages/{quoted(other)}, another spelling of {page}", reason="id-as-sent")
    evidence(f"{len(ADDRESSES)} addresses that the contract does not allow made no page: MongoDB still has {before}")


def quoted(page):
    """An address as it stands in a URL."""
    return quote(page, safe="")


@promises("other-method", "unknown-id", "get-pages-404")
def test_other_methods_and_pages_that_are_not_there(server, make_page, fresh, evidence):
    """A page that nobody wrote is 404; a method that the contract does not have is 405 with Allow."""
    for page in (fresh.name("none").lower(), "null", "507f1f77bcf86cd799439011"):
        expect.status(server.get(f"/pages/{page}"), 404, reason="unknown-id-answer", code="not_found")
    page = make_page()
    for method in ("POST", "DELETE"):
        answer = server.request(method, f"/pages/{page}")
        expect.status(answer, 405, reason="wrong-method-answer")
        allowed = {one.strip().upper() for one in (answer.headers.get("Allow") or "").split(",")}
        expect.true(
            allowed >= {"GET", "PUT"},
            f"the header Allow of the answer to {method} /pages/{page}",
            reason="wrong-method-answer",
            expected="the methods that a page knows, GET and PUT",
            seen=answer.headers.get("Allow") or "no header Allow",
        )
    evidence("pages that nobody wrote were 404, and POST and DELETE of one that is there 405")
