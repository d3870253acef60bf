"""mongodb/history: each version of a page is one document of `page_history`, and all of them can be read, newest first."""

from orchestrator.checks import expect, promises


@promises("history-one-each", "history-whole", "get-pages-history-200", "page-replaced", "document-of-others")
def test_each_version_stays(server, mongodb, plant_page, new_page, fresh, page_shown, page_document, evidence):
    """After each PUT `page_history` has one document more, as the page is now; those of before stay as they were."""
    old = new_page("play")
    planted = plant_page(body=old, versions=2)
    for page, bodies in ((fresh.name("page").lower(), []), (planted, [old, old])):
        path = f"/pages/{page}"
        for kind in ("concert", "match", "match"):
            bodies.append(new_page(kind))
            answer = server.put(path, json=bodies[-1])
            expect.status(answer, 201 if len(bodies) == 1 else 200, reason="page-refused")
            stored = mongodb.find("page_history", {"page": page}, sort=[("version", 1)])
            expect.equal(
                list(range(1, len(bodies) + 1)),
                [one.get("version") for one in stored],
                f"which versions of the page {page} the collection `page_history` has after PUT {path}",
                reason="history-gap",
            )
            times = [
                page_document(one, body, version, f"version {version} of the page {page} in the collection `page_history`")
                for version, (one, body) in enumerate(zip(stored, bodies, strict=True), start=1)
            ]
            now = mongodb.one("pages", {"_id": page})["changed_at"]
            what = f"`changed_at` of the newest version of {page} in `page_history`, beside that of the page in `pages`"
            expect.equal(now.isoformat(), times[-1].isoformat(), what, reason="history-apart")
        shown = expect.field(server.get(f"{path}/history"), "items", list, reason="list-shape")
        expect.equal(
            list(range(len(bodies), 0, -1)), [one["version"] for one in shown], f"the versions in the answer to GET {path}/history", reason="history-wrong"
        )
        for one, body, time in zip(shown, reversed(bodies), reversed(times), strict=True):
            what = f"version {one['version']} in the answer to GET {path}/history"
            seen = page_shown(one, page, body, one["version"], what, "history-wrong")
            expect.true(
                abs((seen - time).total_seconds()) <= 1, f"`changed_at` of {what}", reason="history-wrong",
                expected=f"{time.isoformat()}, as in MongoDB", seen=seen.isoformat(),
            )
    evidence("MongoDB has each version of a new page, and of one that somebody else had written, as one document each")


@promises("history-stable", "pages", "pages-full", "limit", "bad-page", "get-pages-history-200", "get-pages-history-422", "history-whole")
def test_the_history_in_pages(server, plant_page, new_page, pages, edges, evidence):
    """The history comes in pages, and a version that is added meanwhile makes none appear twice or be skipped."""
    count = 103
    page, other = plant_page(versions=count), plant_page(versions=3)
    path = f"/pages/{page}/history"
    for edge in edges.query("GET", "/pages/{page}/history"):
        answer = server.get(path, params={edge.field: edge.value})
        if not edge.allowed:
            expect.status(answer, 422, reason="bad-limit-accepted", code="invalid")
            continue
        expect.status(answer, 200, reason="list-refused")
        items = expect.field(answer, "items", list, reason="list-shape")
        expect.equal(int(edge.value), len(items), f"the number of items of GET {path} with limit={edge.value}", reason="page-length")
    items = expect.field(server.get(path), "items", list, reason="list-shape")
    expect.equal(20, len(items), f"the number of items of GET {path} without `limit`", reason="page-length")
    for after in ("nothing", "-1", '{"$gt":0}', "$version", "99999999999999999999999", "1 or 1", "1.5", "1e3", "\u0663"):
        answer = server.get(path, params={"after": after})
        # What `next` looks like is the server's: a number of it may be good, a text with an operator in it never is.
        expect.true(answer.status in (200, 422), f"the answer to GET {path} with after={after}", "bad-after", "422, or a page", str(answer.status))
        if answer.status == 200:
            seen = [one["version"] for one in answer.json()["items"]]
            right = all(0 < version <= count for version in seen) and seen == sorted(seen, reverse=True)
            expect.true(right, f"the versions in the answer to GET {path} with after={after}", "bad-after", "422, or older versions", seen)
    for name in ("after[$gt]", "after[$ne]", "limit[$gt]"):
        answer = server.get(path, params={name: "0"})
        if answer.status != 422:
            expect.status(answer, 200, reason="bad-after")
            expect.equal(20, len(answer.json()["items"]), f"the number of items of GET {path}?{name}=0", reason="page-length")

    added = []

    def meanwhile(_):
        answer = server.put(f"/pages/{page}", json=new_page())
        expect.status(answer, 200, reason="page-refused")
        added.append(expect.field(answer, "version", int, reason="answer-wrong"))

    for limit in (40, 100):
        top = count + len(added)
        seen = [one["version"] for one in pages(path, limit, between=meanwhile)]
        what = f"the versions of a page that has {top}, read {limit} at a time while a new one comes after each page"
        expect.equal(list(range(top, 0, -1)), seen, what, reason="history-unstable")
    seen = [one["version"] for one in pages(f"/pages/{other}/history", 1)]
    expect.equal([3, 2, 1], seen, "the versions of a page that has 3, read one at a time", reason="history-wrong")
    evidence(f"{count} planted versions were read in pages, each once, while {len(added)} new ones came")


@promises("get-pages-history-404", "unknown-id", "id-spelled", "other-method", "document-of-others", "no-operators")
def test_the_history_of_no_page(server, mongodb, plant_page, fresh, evidence):
    """A page that nobody wrote, or that somebody deleted, has no history: 404. POST is 405."""
    gone, there = plant_page(versions=2), plant_page()
    mongodb.delete("pages", {"_id": gone})
    mongodb.delete("page_history", {"page": gone})
    for page in (fresh.name("none").lower(), gone, "%7B%22%24ne%22%3Anull%7D", "$ne", "$page"):
        expect.status(server.get(f"/pages/{page}/history"), 404, reason="unknown-id-answer", code="not_found")
    for other in (there.upper(), there.capitalize(), f"{there}%0A"):
        answer = server.get(f"/pages/{other}/history")
        expect.status(answer, 200, 404, reason="unknown-id-answer")
        if answer.status == 200:
            names = [one["page"] for one in answer.json()["items"]]
            expect.equal([there], names, f"the address in the answer to GET /pages/{other}/history", reason="id-as-sent")
    answer = server.post(f"/pages/{there}/history", json={})
    expect.status(answer, 405, reason="wrong-method-answer")
    expect.true(
        "GET" in (answer.headers.get("Allow") or "").upper(), f"the header Allow of the answer to POST /pages/{there}/history",
        reason="wrong-method-answer", expected="the methods that it knows, GET", seen=answer.headers.get("Allow") or "no header Allow",
    )
    evidence("the history of a page that is not there, or not any more, was 404")
