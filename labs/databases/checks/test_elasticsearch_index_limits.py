"""elasticsearch/index: whole venues, wrong requests, a mapping that stays closed, and a second start."""

import pytest

from orchestrator.checks import expect, promises

WIDE = "\U0001f39f"
NO_TIMES = (
    "tomorrow", "2031-02-29T12:00:00Z", "2031-13-01T12:00:00Z", "now", "now-1d", "2031-05-01T12:00:00Z||+1d", "2031",
    "1930000000000", "2031-05-01T25:00:00Z",
)
"""Elasticsearch itself takes some of these for times."""


@pytest.fixture
def planted_or_refused(plant_documents):
    """`planted_or_refused(document) -> bool`: whether Elasticsearch took it."""

    def plant(one):
        try:
            plant_documents(one)
        except Exception as refused:
            if getattr(refused, "reason", None) != "schema-plant-refused":
                raise
            return False
        return True

    return plant


@promises("search-venue", "get-search-200")
def test_a_venue_is_the_whole_venue(plant_documents, document, word, finds, evidence):
    """`venue` finds the venue letter by letter: not one in other letter case, nor one with some of its words."""
    hall, street = word(), word()
    whole = f"{hall.capitalize()} Hall, {street} 1"
    venues = (
        whole, whole.lower(), whole.upper(), whole.replace("Hall", "H\u00e1ll"), f"{whole} ", f" {whole}",
        whole.replace(" ", "  "), whole[:-1], whole.replace(",", ""), f"{whole}0", hall, f"{street} 1", f"1 {whole}",
        f"{whole}*", f'"{whole}"', f"{word()}, {word()}", f"{word()}\\{word()}", f"{word()}' OR '1'='1",
        f"{hall}{WIDE}", f"{hall}{street}".ljust(200, "x"), f"{hall}{street}".ljust(199, "x"),
        hall.ljust(200, WIDE), hall.ljust(199, WIDE),
    )
    documents = [document(venue=one) for one in venues]
    plant_documents(*documents)
    for one in documents:
        finds({"venue": one["venue"]}, [one["event"]], "the one at this venue, letter by letter", "venue-wrong")
    for other in (whole.swapcase(), whole[:9], f"{whole[:-1]}?", "*", f"{hall[:-3]}*", f"{whole}\n"):
        finds({"venue": other}, [], "there is no such venue", "venue-wrong")
    evidence(f"{len(venues)} venues that look alike were found one by one, also with 200 characters of four bytes each")


@promises("search-fresh", "text-kept", "new-event-venue", "new-event-name", "post-events-201")
def test_texts_at_their_limits(made_event, soon_found, item_of, event_found, fresh, word, evidence):
    """Events whose texts are as long as they may be, or full of signs, are found like others."""
    for name, venue in (
        ("n" * 200, word().ljust(200, "v")), (WIDE * 200, word().ljust(200, WIDE)), (WIDE, f"{word()} {WIDE}"),
        (fresh.text("event"), fresh.text("venue")), ('"', f'{{"{word()}": []}}'), (f" {word()} ", f" {word()} "),
    ):
        event, body = made_event(name=name, venue=venue)
        soon_found(event, {"venue": venue}, "after POST /events", "text-not-found")
        item = item_of(event, {"venue": venue}, "text-not-found")
        event_found(item, event, body, "the event in GET /search", "text-changed")
    evidence("names and venues of 1 to 200 characters, with quotes, braces and emoji, were found as they are")


@promises("get-search-422", "search-times", "limit", "bad-page", "pages-full", "other-method")
def test_wrong_requests(server, edges, plant_documents, document, searched, search, fresh, evidence):
    """A time that is none, a bad `limit` and a bad `after` are 422; limits are 1 to 100, and 20 without one."""
    venue = document()["venue"]
    plant_documents(*(document(venue=venue) for _ in range(105)))
    for name in ("from", "to"):
        for text in NO_TIMES:
            answer = server.get("/search", params={"venue": venue, name: text})
            expect.status(answer, 422, reason="bad-time-accepted", code="invalid")
    for edge in edges.query("GET", "/search"):
        answer = searched({"venue": venue, edge.field: edge.value})
        if not edge.allowed:
            expect.status(answer, 422, reason="bad-limit-accepted", code="invalid")
            continue
        expect.status(answer, 200, reason="search-refused")
        items = expect.field(answer, "items", list, reason="search-shape")
        what = f"how many items GET /search has with limit={edge.value}"
        expect.equal(int(edge.value), len(items), what, reason="page-length")
    answer = search({"venue": venue})
    items = expect.field(answer, "items", list, reason="search-shape")
    expect.equal(20, len(items), "how many items GET /search has without `limit`", reason="page-length")
    for after in (fresh.text("after"), "{", '["', f"{fresh.token()} {fresh.token()}", WIDE):
        refused = server.get("/search", params={"venue": venue, "after": after})
        expect.status(refused, 422, reason="bad-after-accepted", code="invalid")
    following = expect.field(answer, "next", str, reason="search-shape")
    for after in (following[:-1], f"{following}{following}", following[::-1], following.swapcase()):
        answer = searched({"venue": venue, "after": after})
        expect.true(answer.status < 500, f"the answer to `after={after}`, which is no `next` of yours",
                    reason="bad-after-accepted", expected="422", seen=f"{answer.status} {answer.text}")
    for method in ("POST", "DELETE"):
        answer = server.request(method, "/search")
        expect.status(answer, 405, reason="wrong-method")
        allow = answer.headers.get("Allow") or ""
        what = f"the header Allow of the 405 to {method} /search"
        expect.true("GET" in allow.upper(), what, reason="wrong-method", expected="the method that it knows, GET", seen=allow or "no header")
    evidence(f"{len(NO_TIMES)} texts that are no times, and limits and places that are none, were refused")


@promises("mapping-closed", "found-of-others", "more-fields", "get-search-200")
def test_the_mapping_stays_as_it_is(
    elasticsearch, plant_documents, planted_or_refused, document, made_event, soon_found, found, word, fresh, evidence,
):
    """A field that nobody asked for becomes no part of the mapping, whoever brings it."""
    before, venue = set(elasticsearch.mapping("events")), word()
    extra = {fresh.token(): "text", fresh.token(): 7, fresh.token(): {fresh.token(): True}, fresh.token(): fresh.time()}
    taken = []
    for name, value in extra.items():
        one = {**document(venue=venue), name: value}
        if planted_or_refused(one):
            taken.append(one["event"])
    event, _ = made_event(venue=venue, **{fresh.token(): "more", fresh.token(): {"x": 1}})
    soon_found(event, {"venue": venue}, "after a POST /events with more fields than asked for")
    expect.equal([], sorted(set(elasticsearch.mapping("events")) - before),
                 "which fields came into the mapping of `events`", reason="mapping-open")
    expect.equal(sorted([*taken, event]), sorted(found({"venue": venue})),
                 "which events GET /search finds, of those that Elasticsearch took", reason="of-others")
    evidence(f"Elasticsearch took {len(taken)} of {len(extra)} documents with a field more: none is in the mapping")



@promises("start-twice", "search-fresh", "get-search-200")
def test_a_second_start_loses_nothing(server, made_event, soon_found, found, word, evidence):
    """After a restart, and while a second process of the server starts, the search has what it had."""
    venue = word()
    events = [made_event(venue=venue)[0] for _ in range(3)]
    for event in events:
        soon_found(event, {"venue": venue}, "after POST /events")

    def still(via, when):
        seen = sorted(found({"venue": venue}, via=via, reason="restart-loses"))
        expect.equal(sorted(events), seen, f"which events GET /search finds {when}", reason="restart-loses")

    other = server.replica()
    still(server, "after a second process of your server started")
    still(other, "in a second process of your server")
    event, _ = made_event(via=other, venue=venue)
    soon_found(event, {"venue": venue}, "after a POST to the second process", via=server)
    events.append(event)
    server.restart()
    still(server, "after your server was started again")
    evidence("a second process and a restart left the search with all that it had")
