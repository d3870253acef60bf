"""postgres/crud: buyers and events are rows, whoever wrote them; wrong requests and hostile text change nothing."""

from urllib.parse import quote

from orchestrator.checks import NoAnswer, expect, promises

EVENT = "SELECT name, venue, starts_at, seats, price_cents FROM events WHERE id::text = %s"


def new_event(fresh, **fields):
    event = {
        "name": fresh.name("event"),
        "venue": fresh.name("venue"),
        "starts_at": fresh.time(),
        "seats": fresh.integer(50, 500),
        "price_cents": fresh.integer(100, 9_000),
    }
    return {**event, **fields}


@promises("json", "post-buyers-201", "post-events-201", "id-as-text", "other-offset")
def test_what_is_posted_is_a_row(server, postgres, fresh, instant, event_as_stored, evidence):
    """Buyers and events that the API creates are rows in PostgreSQL."""
    name, cents = fresh.name("buyer"), fresh.integer(1, 1_000_000_000)
    answer = server.post("/buyers", json={"name": name, "balance_cents": cents})
    expect.status(answer, 201, reason="create-refused")
    buyer = expect.field(answer, "id", str, reason="create-no-id")
    rows = postgres.rows("SELECT name, balance_cents FROM buyers WHERE id::text = %s", [buyer])
    expect.equal(
        [(name, cents)],
        rows,
        f"the rows of `buyers` with the id {buyer!r} that POST /buyers had just answered",
        reason="not-stored",
    )
    expect.fields(answer, {"name": name, "balance_cents": cents}, "the answer to POST /buyers", reason="answer-wrong")
    expect.equal(
        1,
        postgres.value("SELECT count(*) FROM buyers WHERE name = %s", [name]),
        "how many rows `buyers` has after one POST /buyers",
        reason="stored-twice",
    )
    expect.equal(
        f"/buyers/{buyer}",
        answer.location,
        "the header Location of POST /buyers",
        reason="location-wrong",
    )

    event = new_event(fresh)
    answer = server.post("/events", json=event)
    expect.status(answer, 201, reason="create-refused")
    event_id = expect.field(answer, "id", str, reason="create-no-id")
    rows = postgres.rows(EVENT, [event_id])
    expected = [
        (
            event["name"],
            event["venue"],
            instant(event["starts_at"], "the time sent"),
            event["seats"],
            event["price_cents"],
        )
    ]
    expect.equal(
        expected,
        rows,
        f"the rows of `events` with the id {event_id!r} that POST /events had just answered",
        reason="not-stored",
    )
    event_as_stored(answer, event_id, "the event that POST /events answered", reason="answer-wrong")
    expect.equal(
        f"/events/{event_id}",
        answer.location,
        "the header Location of POST /events",
        reason="location-wrong",
    )
    moment = {**event, "venue": fresh.name("venue"), "starts_at": "2027-05-01T21:30:00+02:00"}
    answer = server.post("/events", json=moment)
    expect.status(answer, 201, 422, reason="time-wrong")
    if answer.status == 201:  # it may be converted, or refused
        event_as_stored(answer, expect.field(answer, "id", str, reason="answer-wrong"), "an event made with +02:00", "time-wrong")
        expect.equal(
            instant(moment["starts_at"], "the time sent"),
            instant(expect.field(answer, "starts_at", str, reason="time-wrong"), "the time answered"),
            "the time of an event that was posted with `starts_at` 2027-05-01T21:30:00+02:00",
            reason="time-wrong",
        )
    evidence(
        f"PostgreSQL has buyer {buyer} with {cents} cents and event {event_id} with {event['seats']} seats, as "
        "they were posted"
    )


@promises("get-buyers-one-200", "get-events-one-200", "row-of-others", "sold-counted")
def test_what_is_in_the_tables_is_answered(server, make_buyer, make_event, make_sale, fresh, event_as_stored, evidence):
    """Rows that somebody else wrote into the tables are answered by the API."""
    name, cents = fresh.name("buyer"), fresh.integer(2, 1_000_000)
    buyer = make_buyer(cents, name)
    answer = server.get(f"/buyers/{buyer}")
    expect.status(answer, 200, reason="plant-not-seen")
    expect.fields(
        answer,
        {"id": buyer, "name": name, "balance_cents": cents},
        "the answer to GET /buyers/ID of a row that I wrote into `buyers` with SQL",
        reason="plant-not-seen",
    )

    venue, starts_at, seats, price = fresh.name("venue"), fresh.time(), fresh.integer(10, 90), fresh.integer(5, 5_000)
    event = make_event(seats, price, venue, starts_at)
    make_sale(event, buyer, 3, price)
    make_sale(event, buyer, 7, price)
    answer = server.get(f"/events/{event}")
    expect.status(answer, 200, reason="plant-not-seen")
    what = "the answer to GET /events/ID of a row that I wrote into `events` with SQL (with two tickets)"
    event_as_stored(answer, event, what, reason="plant-not-seen")
    evidence(
        f"a buyer and an event that were written with SQL came back over HTTP: {cents} cents, {seats} seats, 2 sold"
    )


@promises("patch-events-one-200", "delete-events-one-204", "get-events-one-404")
def test_a_change_changes_the_row(server, postgres, make_event, fresh, event_as_stored, evidence):
    """PATCH changes what it names and nothing else; DELETE takes the row away."""
    event, other = make_event(seats=40, price_cents=700), make_event()
    before, others = postgres.one(EVENT, [event]), postgres.one(EVENT, [other])
    name, seats = fresh.name("event"), fresh.integer(41, 90)

    answer = server.patch(f"/events/{event}", json={"name": name, "seats": seats})
    expect.status(answer, 200, reason="change-refused")
    expect.equal(
        (name, before[1], before[2], seats, before[4]),
        postgres.one(EVENT, [event]),
        "the row of the event after PATCH with a new `name` and new `seats`",
        reason="not-stored",
    )
    event_as_stored(answer, event, "the event that PATCH answered", reason="answer-wrong")

    answer = server.delete(f"/events/{event}")
    expect.status(answer, 204, reason="delete-refused")
    expect.equal(
        [],
        postgres.rows(EVENT, [event]),
        "the row of the event after DELETE was answered with 204",
        reason="not-deleted",
    )
    expect.status(server.get(f"/events/{event}"), 404, reason="not-deleted", code="not_found")
    expect.equal(
        others,
        postgres.one(EVENT, [other]),
        "the row of another event, which nobody asked to change",
        reason="changes-others",
    )
    evidence("PostgreSQL had the changed row after PATCH, no row after DELETE, and the row beside it untouched")


@promises("start-twice")
def test_a_restart_forgets_nothing(server, fresh, evidence):
    """What was created is still there when your server comes back from a restart."""
    name = fresh.name("buyer")
    answer = server.post("/buyers", json={"name": name, "balance_cents": 5})
    expect.status(answer, 201, reason="create-refused")
    path = f"/buyers/{expect.field(answer, 'id', str, reason='create-no-id')}"
    server.restart()
    answer = server.get(path)
    expect.status(answer, 200, reason="restart-forgets")
    expect.equal(
        name,
        expect.field(answer, "name", str, reason="answer-wrong"),
        "the buyer's name after the restart",
        reason="restart-forgets",
    )
    evidence("a buyer created before a restart of your server was answered after it")


@promises("pages", "pages-stable", "get-events-200")
def test_pages_repeat_and_skip_nothing(server, postgres, fresh, make_event, pages, event_as_stored, evidence):
    """Reading GET /events page by page shows each event once, also while others are added or deleted."""
    planted = [make_event() for _ in range(12)]
    # Whatever a list may be sorted by, there are equal ones: only what no two events share keeps them apart.
    name, venue, starts_at = fresh.name("event"), fresh.name("venue"), fresh.time()
    planted += [make_event(name=name, starts_at=starts_at) for _ in range(7)]
    planted += [make_event(name=name, venue=venue) for _ in range(7)]
    there = {row[0] for row in postgres.rows("SELECT id::text FROM events")}

    def add_meanwhile(_):  # around the others in every order a list may have: by time, by name, by id
        make_event(starts_at="2026-12-01T10:00:00Z")
        make_event(starts_at="2099-01-01T10:00:00Z")

    items = pages("/events", 5, between=add_meanwhile)

    ids = [expect.field(item, "id", str, reason="list-shape") for item in items]
    expect.equal(
        [],
        sorted(set(planted) - set(ids)),
        "which of the events in PostgreSQL the pages of GET /events left out",
        reason="page-skips",
    )
    expect.equal(
        [],
        sorted(id_ for id_ in there if ids.count(id_) > 1),
        "which events the pages of GET /events showed twice",
        reason="page-repeats",
    )
    expect.equal(
        [],
        sorted(there - set(ids)),
        "which of the events in PostgreSQL the pages of GET /events left out",
        reason="page-skips",
    )
    for item in items[:3]:
        event_as_stored(item, item["id"], "an event that GET /events lists", reason="plant-not-seen")

    unsold = "SELECT e.id::text FROM events e WHERE NOT EXISTS (SELECT FROM orders o WHERE o.event_id = e.id)"
    there, deletable = {row[0] for row in postgres.rows("SELECT id::text FROM events")}, postgres.rows(unsold)
    deleted = []

    def delete_the_last(page):  # what `next` may name is gone when it is sent
        last = expect.field(page[-1], "id", str, reason="list-shape")
        if (last,) in deletable and len(deleted) < 5:
            expect.status(server.delete(f"/events/{last}"), 204, reason="delete-refused")
            deleted.append(last)

    ids = [item["id"] for item in pages("/events", 5, between=delete_the_last, refused="next-refused")]
    what = "which events the pages of GET /events {}, while the last one of each page was deleted when it had been shown"
    expect.equal([], sorted(there - set(ids)), what.format("left out"), reason="page-skips")
    expect.equal([], sorted(id_ for id_ in there if ids.count(id_) > 1), what.format("showed twice"), reason="page-repeats")
    evidence(
        f"GET /events showed each of the {len(there)} events in PostgreSQL once, while others were added between "
        f"the pages, and while {len(deleted)} were deleted that a page had ended with"
    )


@promises("pages-stable", "pages")
def test_a_deletion_between_two_steps_of_a_page(explore, server, twin, postgres, make_event, evidence):
    """Between any two steps of a page one of its events is deleted: those that follow are still found."""
    limit = 3
    for _ in range(3 * limit):
        make_event()

    def page(after):
        return server.get("/events", params={"limit": str(limit), **({"after": after} if after else {})})

    def read(answer):
        """The ids on this page, and `next`."""
        expect.status(answer, 200, reason="list-refused")
        items = expect.field(answer, "items", list, reason="list-shape")
        ids = [expect.field(item, "id", str, reason="list-shape") for item in items]
        return ids, expect.field(answer, "next", (str, type(None)), reason="list-shape")

    def follow(following):
        """The ids on all pages from there on, a list for each, and with what each page was asked for."""
        found = []
        while following is not None and len(found) < 1_000:
            after = following
            ids, following = read(page(after))
            found.append((after, ids))
        return found

    def case_of(place):
        """`prepare()`: the last page, as your server orders them, that has two behind it and may lose the event there."""

        def prepare():
            make_event()
            sold = {row[0] for row in postgres.rows("SELECT event_id::text FROM orders")}
            pages = follow("")
            order = [id_ for _, ids in pages for id_ in ids]
            for number in range(len(pages) - 3, -1, -1):
                here = order[number * limit :]
                if here[place] not in sold:
                    return pages[number][0], here[place], [id_ for id_ in here if id_ != here[place]]
            return expect.fail(
                f"the pages of GET /events with limit={limit}, of {3 * limit} and more events of which nothing is sold",
                reason="page-skips",
                expected="two pages and more behind one of them",
                seen=f"{len(pages)} page(s), {len(order)} event(s)",
            )

        return prepare

    def holds(case, answer, deleted):
        if isinstance(answer, NoAnswer) or isinstance(deleted, NoAnswer):
            return
        expect.status(deleted, 204, reason="delete-refused")
        first, following = read(answer)
        ids = [*first, *(id_ for _, more in follow(following) for id_ in more)]
        what = f"which events GET /events with limit={limit}, and the pages after that one, {{}}, while another event was deleted"
        expect.equal([], [id_ for id_ in case[2] if id_ not in ids], what.format("left out"), reason="page-ends")
        expect.equal([], [id_ for id_ in case[2] if ids.count(id_) > 1], what.format("showed twice"), reason="page-repeats")

    seen = [
        explore.interleave(
            lambda case: page(case[0]), lambda case: twin.delete(f"/events/{case[1]}"), holds,
            prepare=case_of(place), during="a second process of it deleted an event",
        )
        for place in (1, limit)  # on the page, and the first one behind it
    ]
    evidence(f"an event was deleted at {seen[0]} of a page, and one behind it at {seen[1]}: all others were found once")


@promises(
    "bad-body", "unknown-id", "other-method", "bad-page", "post-buyers-422", "post-events-422",
    "patch-events-one-422", "get-events-422", "get-buyers-one-404", "get-events-one-404", "delete-events-one-404",
)
def test_wrong_requests_are_refused(server, postgres, make_event, fresh, evidence):
    """A request that openapi.yaml does not allow is answered with its code and stores nothing."""
    name = fresh.name("buyer")
    event = make_event()
    rows = "SELECT (SELECT count(*) FROM buyers), (SELECT count(*) FROM events)"
    before = postgres.one(rows)
    bodies = [
        ("/buyers", {"name": name}),
        ("/buyers", {"name": name, "balance_cents": "5"}),
        ("/buyers", {"name": name, "balance_cents": -1}),
        ("/buyers", {"name": "", "balance_cents": 5}),
        ("/buyers", {"name": 7, "balance_cents": 5}),
        ("/buyers", [name]),
        ("/buyers", {"name": name, "balance_cents": 1_000_000_001}),
        ("/buyers", {"name": "n" * 201, "balance_cents": 5}),
        ("/events", new_event(fresh, starts_at="tomorrow")),
        ("/events", new_event(fresh, seats=0)),
        ("/events", new_event(fresh, seats=None)),
        ("/events", new_event(fresh, price_cents=1.5)),
        ("/events", {}),
    ]
    for path, body in bodies:
        expect.status(server.post(path, json=body), 422, reason="bad-body-accepted", code="invalid")
    expect.status(
        server.post("/buyers", content=b'{"name": ', headers={"Content-Type": "application/json"}),
        422,
        reason="bad-body-accepted",
        code="invalid",
    )
    expect.status(
        server.patch(f"/events/{event}", json={"seats": "many"}), 422, reason="bad-body-accepted", code="invalid"
    )
    expect.equal(
        before,
        postgres.one(rows),
        "how many buyers and events PostgreSQL has after requests that were refused",
        reason="bad-body-stored",
    )

    for id_ in ("none", "0", "-1", "99999999999999999999999", "6f1c1f0e-5b0c-4d2e-9f55-0d4f5a6b7c8d", "7%207"):
        expect.status(server.get(f"/buyers/{id_}"), 404, reason="unknown-id-answer", code="not_found")
        expect.status(server.get(f"/events/{id_}"), 404, reason="unknown-id-answer", code="not_found")
    expect.status(server.delete("/events/none"), 404, reason="unknown-id-answer", code="not_found")
    for limit in ("0", "101", "ten"):
        expect.status(
            server.get("/events", params={"limit": limit}), 422, reason="bad-limit-accepted", code="invalid"
        )
    answer = server.delete("/buyers")
    expect.status(answer, 405, reason="wrong-method-answer")
    expect.true(
        "POST" in (answer.headers.get("Allow") or "").upper(),
        "the header Allow of the answer to DELETE /buyers",
        reason="wrong-method-answer",
        expected="the methods that /buyers knows, with POST",
        seen=answer.headers.get("Allow") or "no header Allow",
    )
    evidence(f"{len(bodies) + 2} bad bodies later PostgreSQL had the same {before[0]} buyers and {before[1]} events")


@promises("text-is-data", "text-kept")
def test_text_is_data_not_sql(server, postgres, make_buyer, make_event, fresh, evidence):
    """Whatever a client writes is stored as text: nothing in it is run as SQL."""
    canary = fresh.name("canary")
    buyer, event = make_buyer(777, canary), make_event()
    for path, id_ in (("/buyers", buyer), ("/events", event)):
        # A server that reads `7 or more` as 7 answers the SQL below with a row, too, and has run none of it.
        answer = server.get(quote(f"{path}/{id_} or more"))
        expect.true(
            answer.status != 200,
            f"the answer to GET {path}/{id_} or more, which begins with the id {id_} and is another text",
            reason="id-cut-off",
            expected="404: no row has this id",
            seen=f"200 {answer.text}",
        )
    attack = f"x', 1); UPDATE buyers SET balance_cents = 1 WHERE name = '{canary}'; --"
    texts = [
        fresh.name("plain"),
        fresh.text("buyer"),
        attack,
        f"{fresh.name('quote')}' OR '1'='1",
        f'{fresh.name("percent")} %s $1 \\ " ; {{}}',
    ]
    for text in texts:
        reason = "not-stored" if text == texts[0] else "injection"  # the first has nothing in it that could go wrong
        answer = server.post("/buyers", json={"name": text, "balance_cents": 3})
        expect.status(answer, 201, reason=reason)
        id_ = expect.field(answer, "id", str, reason=reason)
        expect.equal(
            [(text, 3)],
            postgres.rows("SELECT name, balance_cents FROM buyers WHERE id::text = %s", [id_]),
            f"the row of a buyer with the name {text}",
            reason=reason,
        )
        answer = server.patch(f"/events/{event}", json={"name": text})
        expect.status(answer, 200, reason=reason)
        expect.equal(
            text,
            postgres.value("SELECT name FROM events WHERE id::text = %s", [event]),
            f"the name of an event after PATCH with the name {text}",
            reason=reason,
        )
    for path in (
        f"/buyers/{buyer}' OR '1'='1",
        "/buyers/0 OR 1=1",
        f"/events/{event}'; DELETE FROM events; --",
        "/events/' OR ''='",
    ):
        expect.status(server.get(quote(path)), 404, reason="injection", code="not_found")
    expect.status(
        server.delete(quote(f"/events/{fresh.name('none')}' OR '1'='1")), 404, reason="injection", code="not_found"
    )
    after = server.get("/events", params={"after": "0' OR '1'='1"})
    expect.true(
        after.status < 500,
        "GET /events with SQL in `after`",
        reason="injection",
        expected="422, or a page",
        seen=str(after.status),
    )

    expect.equal(
        [(777,)],
        postgres.rows("SELECT balance_cents FROM buyers WHERE name = %s", [canary]),
        "a buyer that no request named, after requests with SQL in their text",
        reason="injection",
    )
    expect.equal(
        1,
        postgres.value("SELECT count(*) FROM events WHERE id::text = %s", [event]),
        "an event that no request may delete",
        reason="injection",
    )
    evidence(
        f"PostgreSQL stored {len(texts)} names full of SQL letter by letter; the row they aimed at still has its "
        "777 cents"
    )


@promises("id-spelled", "unknown-id")
def test_an_id_spelled_otherwise(server, make_buyer, make_event, spellings, evidence):
    """`007` is no row, or it is the row 7 with its proper id: no id is ever shown in another spelling."""
    tried = 0
    # Of ten the last one: an id that is counted has two digits by then.
    (*_, buyer), (*_, event) = ([make() for _ in range(10)] for make in (make_buyer, make_event))
    for method, path, id_ in (("GET", "/buyers", buyer), ("GET", "/events", event), ("PATCH", "/events", event)):
        for other in spellings(id_):
            body = {"seats": 50} if method == "PATCH" else None
            answer = server.request(method, f"{path}/{quote(other, safe='')}", json=body)
            expect.status(answer, 200, 404, reason="unknown-id-answer")
            tried += 1
            if answer.status == 200:
                what = f"the answer to {method} {path}/{other!r}, another spelling of the id {id_}"
                expect.fields(answer, {"id": id_}, what, reason="id-as-sent")
    evidence(f"{tried} other spellings of ids were no rows, or the rows with their proper ids")


@promises(
    "new-buyer-name", "new-buyer-balance-cents", "new-event-name", "new-event-venue", "new-event-starts-at",
    "new-event-seats", "new-event-price-cents", "text-kept", "text-nul", "more-fields", "bad-body", "post-buyers-422",
    "post-events-422",
)
def test_both_sides_of_every_limit(server, postgres, edges, fresh, instant, evidence):
    """What openapi.yaml just allows is taken and comes back unchanged; what is just past it is refused."""
    rows = "SELECT (SELECT count(*) FROM buyers), (SELECT count(*) FROM events)"
    tried = 0
    for path in ("/buyers", "/events"):
        for edge in edges.body("POST", path):
            right = {"name": fresh.name("buyer"), "balance_cents": 7} if path == "/buyers" else new_event(fresh)
            before = postgres.one(rows)
            answer = server.post(path, json={**edge.within(right), fresh.token(): "one field more"})
            what = f"POST {path} with `{edge.field}`: {edge.why}"
            tried += 1
            if not edge.allowed:
                expect.status(answer, 422, reason="bad-body-accepted", code="invalid")
                expect.equal(before, postgres.one(rows), f"how many rows there are after {what}", reason="bad-body-stored")
                continue
            expect.status(answer, 201, reason="good-body-refused")
            shown = server.get(f"{path}/{expect.field(answer, 'id', str, reason='create-no-id')}")
            for one in (answer, shown):
                if edge.field == "starts_at":
                    seen = instant(expect.field(one, "starts_at", str, reason="value-changed"), what)
                    expect.equal(instant(edge.value, what), seen, what, reason="value-changed")
                else:
                    expect.fields(one, {edge.field: edge.value}, what, reason="value-changed")
    evidence(f"{tried} values at both sides of the limits of buyers and events were taken or refused as they must be")


@promises("event-change-some", "patch-events-one-422", "patch-events-one-404", "patch-events-one-200", "bad-body")
def test_both_sides_of_every_limit_of_a_change(server, postgres, edges, make_event, fresh, instant, evidence):
    """A change has the same limits as a new event; one that is refused changes nothing."""
    event, tried = make_event(), 0
    for edge in edges.body("PATCH", "/events/{id}"):
        before = postgres.one(EVENT, [event])
        answer = server.patch(f"/events/{event}", json={edge.field: edge.value})
        what = f"PATCH /events/ID with `{edge.field}`: {edge.why}"
        tried += 1
        if not edge.allowed:
            expect.status(answer, 422, reason="bad-body-accepted", code="invalid")
            expect.equal(before, postgres.one(EVENT, [event]), f"the row after {what}", reason="bad-body-stored")
            continue
        expect.status(answer, 200, reason="good-body-refused")
        if edge.field == "starts_at":
            seen = instant(expect.field(answer, "starts_at", str, reason="value-changed"), what)
            expect.equal(instant(edge.value, what), seen, what, reason="value-changed")
        else:
            expect.fields(answer, {edge.field: edge.value}, what, reason="value-changed")
    whole = {"name": fresh.name("event"), "venue": fresh.name("venue"), "starts_at": fresh.time(), "seats": 9, "price_cents": 7}
    before = postgres.one(EVENT, [event])
    for field in whole:  # one that is wrong spoils the others
        answer = server.patch(f"/events/{event}", json={**whole, field: None})
        expect.status(answer, 422, reason="bad-body-accepted", code="invalid")
        what = f"the row after a PATCH with `{field}` null beside four good fields"
        expect.equal(before, postgres.one(EVENT, [event]), what, reason="bad-body-stored")
    expect.status(server.patch(f"/events/{event}", json={}), 422, reason="bad-body-accepted", code="invalid")
    missing = server.patch(f"/events/{fresh.name('none')}", json={"name": fresh.name("event")})
    expect.status(missing, 404, reason="unknown-id-answer", code="not_found")
    evidence(f"{tried} changes at both sides of the limits of an event were made or refused as they must be")


@promises("field-names", "more-fields", "bad-body", "event-change-some", "post-buyers-422", "post-events-422", "patch-events-one-422")
def test_a_field_in_another_letter_case(server, postgres, edges, make_event, fresh, evidence):
    """`NAME` is not `name`: beside it, it is a further field, and alone it leaves `name` lacking."""
    rows, reason, tried = "SELECT (SELECT count(*) FROM buyers), (SELECT count(*) FROM events)", "name-by-letter", 0

    def wish(path):
        return {"name": fresh.name("buyer"), "balance_cents": fresh.integer(1, 900)} if path == "/buyers" else new_event(fresh)

    def stored(path, id_):
        columns = [name for name in wish(path) if name != "starts_at"]
        seen = postgres.one(f"SELECT {', '.join(columns)} FROM {path.strip('/')} WHERE id::text = %s", [id_])
        return dict(zip(columns, seen, strict=True))

    for path in ("/buyers", "/events"):
        for field, others in edges.misnamed("POST", path).items():
            names = " and ".join(f"`{one}`" for one in others)
            for behind in (True, False):  # another value that is right, or one of a wrong type
                right, value = wish(path), wish(path)[field]
                body = {**right, **dict.fromkeys(others, value)} if behind else {**{one: [] for one in others}, **right}
                answer, what = server.post(path, json=body), f"POST {path} with {names} {'behind' if behind else 'before'} `{field}`"
                expect.true(answer.status == 201, f"the answer to {what}", reason, "201", f"{answer.status} {answer.text}")
                seen = stored(path, expect.field(answer, "id", str, reason="create-no-id"))
                expect.equal({name: right[name] for name in seen}, seen, f"the row after {what}", reason=reason)
            before, lacking = postgres.one(rows), wish(path)
            body = {**dict.fromkeys(others, lacking.pop(field)), **lacking}
            expect.status(server.post(path, json=body), 422, reason=reason, code="invalid")
            expect.equal(before, postgres.one(rows), f"how many rows there are after POST {path} without `{field}`", reason)
            tried += 3
    event = make_event()
    for field, others in edges.misnamed("PATCH", "/events/{id}").items():
        names, own = " and ".join(f"`{one}`" for one in others), "seats" if field == "name" else "name"
        more, change, before = dict.fromkeys(others, new_event(fresh)[field]), {own: new_event(fresh)[own]}, stored("/events", event)
        expect.status(server.patch(f"/events/{event}", json=more), 422, reason=reason, code="invalid")
        expect.status(server.patch(f"/events/{event}", json={**change, **more}), 200, reason=reason)
        expect.equal({**before, **change}, stored("/events", event), f"the row after PATCH with `{own}`, {names}", reason=reason)
        tried += 2
    evidence(f"{tried} bodies had fields such as `NAME` and `balanceCents`: no row in PostgreSQL has anything of them")


@promises("limit", "pages-full", "bad-page", "get-events-200", "get-events-422")
def test_a_page_is_as_long_as_asked(server, edges, make_event, evidence):
    """A page of GET /events has as many items as `limit` says, 20 without it; other limits are refused."""
    for _ in range(101):
        make_event()
    for edge in edges.query("GET", "/events"):
        answer = server.get("/events", params={edge.field: edge.value})
        if not edge.allowed:
            expect.status(answer, 422, reason="bad-limit-accepted", code="invalid")
            continue
        expect.status(answer, 200, reason="list-refused")
        items = expect.field(answer, "items", list, reason="list-shape")
        what = f"the number of items of GET /events with limit={edge.value}"
        expect.equal(int(edge.value), len(items), what, reason="page-length")
        expect.field(answer, "next", str, reason="list-shape")
    items = expect.field(server.get("/events"), "items", list, reason="list-shape")
    expect.equal(20, len(items), "the number of items of GET /events without `limit`", reason="page-length")
    evidence("pages of 1, 20 and 100 events were as long as asked, and the limits 0 and 101 were refused")
