"""elasticsearch/index: what PostgreSQL has of events is found by the search, in time, and nothing else decides."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.checks import Late, expect, promises

TYPES = {"event": "keyword", "name": "text", "venue": "text", "starts_at": "date"}
LONGEST = 200
ROUNDS = 2
WIDE = "\U0001f39f"


@pytest.fixture
def a_day(fresh):
    """`a_day() -> [time]`: ten moments of one day of a year in which no other check has events, an hour apart."""

    def make(year):
        first = datetime(year, fresh.integer(1, 12), fresh.integer(1, 28), tzinfo=UTC)
        return [(first + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%SZ") for hour in range(10)]

    return make


@promises("health-elasticsearch", "health-asks", "get-health-200", "get-health-503")
def test_health_asks_elasticsearch(server, fault, evidence):
    """GET /health says whether Elasticsearch can be reached, at each call."""

    def says(state, status, when):
        answer = server.get("/health", deadline=10.0)
        said = expect.field(answer, "elasticsearch", str, reason="health-wrong")
        what = f"what GET /health says of `elasticsearch` while Elasticsearch {when}"
        expect.equal(state, said, what, reason="health-wrong")
        if status != 200 or "down" not in answer.json().values():
            expect.status(answer, status, reason="health-wrong")

    says("up", 200, "is up")
    try:
        with fault.down("elasticsearch"):
            says("down", 503, "cannot be reached")
    finally:
        server.restart_later()  # coming back by itself is the matter of elasticsearch/outage
    evidence("with the link to Elasticsearch cut, GET /health went from 200 up to 503 down")


@promises("names-exact", "events-index", "search-fresh", "post-events-201", "get-search-200", "found-starts-at", "json")
def test_a_new_event_is_a_document(elasticsearch, made_event, soon_found, search, event_found, instant, evidence):
    """A new event is one document of the index, with the fields of storage.md in their types, and it is found."""
    mapping = elasticsearch.mapping("events")
    seen = {name: mapping.get(name, {}).get("type") for name in TYPES}
    expect.equal(TYPES, seen, "the types of the fields of the index `events`", reason="mapping-wrong")
    event, body = made_event()
    params = {"venue": body["venue"]}
    soon_found(event, params, "after POST /events")
    items = expect.field(search(params), "items", list, reason="search-shape")
    expect.equal(1, len(items), "how many events GET /search finds at a venue that has one", reason="found-twice")
    event_found(items[0], event, body, "the new event in GET /search")
    document = elasticsearch.get("events", event) or {}
    what = f"the document with the `_id` {event} of the index `events`"
    expect.fields(document, {"event": event, "name": body["name"], "venue": body["venue"]}, what, "not-stored")
    stored = instant(expect.field(document, "starts_at", str, reason="not-stored"), f"`starts_at` in {what}")
    expect.equal(instant(body["starts_at"], "the time"), stored, f"`starts_at` in {what}", reason="not-stored")
    evidence("a new event was one document of `events`, with its id in `event`, and GET /search found it")


@promises("search-fresh", "patch-events-one-200", "get-search-200")
def test_a_change_is_found(
    server, made_event, soon_found, soon_gone, soon, item_of, event_found, instant, word, fresh, evidence
):
    """A PATCH of one field is found within two seconds, with all the other fields as they were."""
    event, body = made_event(name=f"{word()} {word()}")

    def as_found(venue):
        item = item_of(event, {"venue": venue}, "change-not-found")
        time = instant(item["starts_at"], "`starts_at` in GET /search").strftime("%Y-%m-%dT%H:%M:%SZ")
        return item["name"], time

    soon_found(event, {"venue": body["venue"]}, "after POST /events")
    for change in ({"name": word()}, {"venue": word()}, {"starts_at": fresh.time()}, {"price_cents": 7}):
        before, body = body, {**body, **change}
        expect.status(server.patch(f"/events/{event}", json=change), 200, reason="change-refused")
        (field,) = change
        params, when = {"venue": body["venue"]}, f"after a PATCH of its `{field}`"
        soon_found(event, params, when, "change-not-found")
        soon(lambda now=body: as_found(now["venue"]), (body["name"], body["starts_at"]),
             f"the name and the time of the event in GET /search {when}", "change-not-found")
        item = item_of(event, params, "change-lost")
        event_found(item, event, body, f"the event in GET /search {when}", "change-lost")
        if field == "venue":
            soon_gone(event, {"venue": before["venue"]}, "at the venue where it was before", "old-still-found")
    evidence("a PATCH of the name, the venue, the time and the price alone: each was found, the rest as it was")


@promises("search-fresh", "post-events-201")
def test_a_post_that_had_to_wait(server, postgres, new_event, made_event, soon_found, found, wait, word, evidence):
    """A POST that has waited for somebody else's open transaction is found, whatever was found meanwhile."""
    judged = 0
    for _ in range(ROUNDS):
        body = new_event(name=word(), venue=word())
        with ThreadPoolExecutor(1) as beside, postgres.as_learner() as other:
            other.execute(
                "INSERT INTO events (name, venue, starts_at, seats, price_cents) VALUES (%s, %s, %s, 1, 1)",
                [word(), body["venue"], body["starts_at"]],
            )
            held = beside.submit(server.post, "/events", json=body)
            with suppress(Late):  # a server whose table refuses nothing yet does not wait
                wait.until(lambda held=held: held.done() or postgres.waiting(), deadline=1.0, what="a POST that waits")
            _, after = made_event()
            with suppress(Late):  # whoever waits for more than a second may give up
                wait.until(lambda venue=after["venue"]: found({"venue": venue}), deadline=0.6, what="the next event")
            other.rollback()
            answer = held.result()
        expect.status(answer, 201, 503, reason="event-refused")
        if answer.status == 201:
            judged += 1
            event = expect.field(answer, "id", str, reason="answer-wrong")
            soon_found(event, {"venue": body["venue"]}, "after a POST that had to wait for somebody else's transaction",
                       "passed-over")
    evidence(f"{judged} of {ROUNDS} events whose POST had to wait were found, though a later one had been found before")


@promises("search-fresh", "delete-events-one-204", "search-last-change")
def test_a_deleted_event_is_not_found(server, made_event, soon_found, soon_gone, soon, search, word, evidence):
    """A deleted event is found no more, also one that was made, changed and deleted in one go."""
    venue = word()
    event, body = made_event(venue=venue)
    soon_found(event, {"venue": venue}, "after POST /events")
    expect.status(server.delete(f"/events/{event}"), 204, reason="delete-refused")
    soon_gone(event, {"venue": venue}, "after DELETE")
    short_lived = [made_event(venue=venue)[0] for _ in range(5)]
    for one in short_lived:
        expect.status(server.patch(f"/events/{one}", json={"name": word()}), 200, reason="change-refused")
        expect.status(server.delete(f"/events/{one}"), 204, reason="delete-refused")
    kept, _ = made_event(venue=venue)
    for number in range(6):
        change = {"name": f"{body['name']} {number}"}
        expect.status(server.patch(f"/events/{kept}", json=change), 200, reason="change-refused")

    def left():
        return [(one["event"], one["name"]) for one in search({"venue": venue}).json()["items"]]

    what = ("which events GET /search finds at a venue, and their names, after 5 that were made, changed and deleted"
            " at once and one that was changed 6 times")
    soon(left, [(kept, f"{body['name']} 5")], what, "last-change-lost")
    evidence("six events were deleted, five of them right after they were made: the search has the seventh, as it is")


@promises("search-fresh", "post-events-409", "post-events-422", "patch-events-one-409", "patch-events-one-422")
def test_what_was_refused_is_not_found(
    server, made_event, soon_found, found, item_of, event_found, new_event, word, evidence
):
    """An event that was refused is not found, and a change that was refused changes nothing in the search."""
    venue = word()
    event, body = made_event(venue=venue)
    other, there = made_event(venue=venue)
    same = new_event(venue=venue, starts_at=body["starts_at"])
    expect.status(server.post("/events", json=same), 409, reason="refusal-wrong", code="event_exists")
    wrong = new_event(venue=venue, seats=0)
    expect.status(server.post("/events", json=wrong), 422, reason="refusal-wrong", code="invalid")
    change = {"name": word(), "starts_at": body["starts_at"]}
    expect.status(server.patch(f"/events/{other}", json=change), 409, reason="refusal-wrong", code="event_exists")
    change = {"name": word(), "price_cents": -1}
    expect.status(server.patch(f"/events/{other}", json=change), 422, reason="refusal-wrong", code="invalid")
    last, _ = made_event(venue=venue)
    soon_found(last, {"venue": venue}, "after POST /events")  # what came before it is there by now, too
    seen = found({"venue": venue})
    expect.equal(sorted([event, other, last]), sorted(seen), "which events GET /search finds at a venue with three"
                 " events, after two more were refused", reason="refused-found")
    item = item_of(other, {"venue": venue}, "refused-found")
    event_found(item, other, there, "an event in GET /search after two PATCHes that were refused", "refused-found")
    evidence("two events and two changes that were refused left nothing in the search")


@promises("found-of-others", "search-asks-elasticsearch", "search-by-time", "read-is-now", "get-search-200")
def test_documents_of_somebody_else(
    elasticsearch, plant_documents, document, search, found, event_found, fresh, evidence
):
    """Documents that somebody else writes, changes or deletes in the index are what your server finds, at once."""
    venue = document()["venue"]
    params = {"venue": venue}
    expect.equal([], found(params), "which events GET /search finds at a venue that has none", reason="of-others")
    signs = f"The \"{fresh.token(5)}\" & <b>O'Brien</b>"
    names = (signs, f"{WIDE} {fresh.text('night')}", "n" * LONGEST, WIDE * LONGEST)
    times = sorted(fresh.time() for _ in names)
    documents = [document(name, venue, time) for name, time in zip(names, times, strict=True)]
    plant_documents(*fresh.shuffled(documents))
    items = expect.field(search(params), "items", list, reason="search-shape")
    expect.equal([one["event"] for one in documents], [one["event"] for one in items],
                 "the events that GET /search finds at a venue, which another client wrote", reason="of-others")
    for one, item in zip(documents, items, strict=True):
        event_found(item, one["event"], one, "an event that another client wrote, in GET /search")
    changed = {**documents[1], "name": documents[0]["name"]}
    plant_documents(changed)
    elasticsearch.delete("events", {"ids": {"values": [documents[0]["event"]]}})
    items = expect.field(search(params), "items", list, reason="search-shape")
    expect.equal([one["event"] for one in documents[1:]], [one["event"] for one in items],
                 "the events that GET /search finds, after another client deleted one", reason="search-old")
    what = "an event that another client changed, in GET /search"
    event_found(items[0], changed["event"], changed, what, "search-old")
    evidence("documents written, changed and deleted in the index itself were found, changed and gone at once")


@promises("search-asks-elasticsearch", "get-search-200")
def test_postgresql_is_not_asked(server, elasticsearch, fault, plant_documents, document, evidence):
    """The search is answered by Elasticsearch alone: PostgreSQL may be silent meanwhile."""
    venue = document()["venue"]
    events = plant_documents(*(document(venue=venue) for _ in range(3)))
    with fault.hold("postgres"), elasticsearch.searches() as seen:
        answer = expect.within(2.0, lambda: server.get("/search", params={"venue": venue}),
                               what="GET /search while PostgreSQL is silent", reason="postgres-asked")
    expect.status(answer, 200, reason="postgres-asked")
    items = [item["event"] for item in expect.field(answer, "items", list, reason="search-shape")]
    expect.equal(sorted(events), sorted(items), "which events GET /search found while PostgreSQL was silent",
                 reason="postgres-asked")
    expect.at_least(1, seen.of("events"), "how often the index `events` was searched for it", reason="not-searched")
    evidence("while PostgreSQL was silent, GET /search answered with three events out of Elasticsearch")


@promises("search-by-time", "search-times", "other-offset", "get-search-200")
def test_times_of_a_search(server, plant_documents, document, found, finds, a_day, evidence):
    """Events come by their time, earliest first; `from` is in it, `to` is not, to the millisecond."""
    venue, times = document()["venue"], a_day(2043)
    documents = [document(venue=venue, starts_at=one) for one in times]
    plant_documents(*documents[::2], *documents[1::2])
    events = [one["event"] for one in documents]
    for since, until, right in (
        (None, None, events), (times[3], None, events[3:]), (None, times[7], events[:7]),
        (times[3], times[7], events[3:7]), (times[4], times[4], []),
        (times[4].replace("Z", ".001Z"), None, events[5:]), (None, times[4].replace("Z", ".001Z"), events[:5]),
        (times[4].replace("Z", "+00:00"), times[6].replace("Z", ".000Z"), events[4:6]),
        ("1970-01-01T00:00:00Z", "2500-01-01T00:00:00Z", events),
    ):
        params = {name: value for name, value in (("from", since), ("to", until)) if value}
        for where in ({"venue": venue}, {}):
            if where or (since and until and since > "2000"):  # a year without other events
                seen = found({**params, **where})
                said = f"the events of GET /search from {since or 'the first one on'} to {until or 'the last one'}"
                expect.equal(right, seen, f"{said}, by their times", "wrong-times" if params else "list-order")
    with_offset = {"venue": venue, "from": f"{times[4][:11]}{int(times[4][11:13]) + 2:02}{times[4][13:19]}+02:00"}
    answer = server.get("/search", params=with_offset)
    expect.status(answer, 200, 422, reason="offset-wrong")
    if answer.status == 200:
        finds(with_offset, events[4:], "`from` is in another offset, and was not refused", "offset-wrong")
    old = [document(starts_at=time) for time in ("1970-01-01T00:00:00Z", "2500-12-31T23:59:59Z")]
    plant_documents(*old)
    for one in old:
        finds({"venue": one["venue"], "from": one["starts_at"]}, [one["event"]], "one at this time", "wrong-times")
        finds({"venue": one["venue"], "to": one["starts_at"]}, [], "one at this time, which is too late", "wrong-times")
    evidence("ten events an hour apart: nine pairs of `from` and `to` had exactly those between them, in order")


@promises("pages", "pages-full", "search-by-time", "limit")
def test_a_search_in_pages(plant_documents, document, pages, a_day, fresh, evidence):
    """Pages of a search have each event once, by time, and end with null."""
    venue, times = document()["venue"], [time.replace("Z", f".{part}Z") for time in a_day(2044) for part in (1, 25, 6)]
    documents = [document(venue=venue, starts_at=one) for one in sorted(times)]
    plant_documents(*fresh.shuffled(documents))
    for limit in (7, 15, 100):
        seen = [item["event"] for item in pages("/search", limit, venue=venue)]
        expect.equal([one["event"] for one in documents], seen,
                     f"the events of all pages of GET /search with limit={limit}", reason="pages-wrong")
    between = {"from": documents[3]["starts_at"], "to": documents[20]["starts_at"]}
    seen = [item["event"] for item in pages("/search", 4, **between)]
    expect.equal([one["event"] for one in documents[3:20]], seen,
                 "the events of all pages of GET /search with `from` and `to`", reason="pages-wrong")
    evidence(f"{len(documents)} events came once each, in pages of 4, 7, 15 and 100")
