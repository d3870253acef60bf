"""postgres/crud and mysql/crud: wrong requests and hostile text change nothing; every limit is where the contract has it."""

from urllib.parse import quote

from orchestrator.checks import expect, promises

EVENT = "SELECT name, venue, starts_at, seats, price_cents FROM events WHERE concat(id) = %s"


@promises(
    "bad-body", "unknown-id", "other-method", "bad-page", "post-buyers-422", "post-events-422",
    "patch-events-one-422", "get-events-422", "get-buyers-one-404", "get-events-one-404", "delete-events-one-404",
)
def test_wrong_requests_are_refused(server, sales, make_event, fresh, new_event, evidence):
    """A request that openapi.yaml does not allow is answered with its code and stores nothing."""
    name = fresh.name("buyer")
    event = make_event()
    rows = "SELECT (SELECT count(*) FROM buyers), (SELECT count(*) FROM events)"
    before = sales.one(rows)
    bodies = [
        ("/buyers", {"name": name}),
        ("/buyers", {"name": name, "balance_cents": "5"}),
        ("/buyers", {"name": name, "balance_cents": -1}),
        ("/buyers", {"name": "", "balance_cents": 5}),
        ("/buyers", {"name": 7, "balance_cents": 5}),
        ("/buyers", [name]),
        ("/buyers", {"name": name, "balance_cents": 1_000_000_001}),
        ("/buyers", {"name": "n" * 201, "balance_cents": 5}),
        ("/events", new_event(starts_at="tomorrow")),
        ("/events", new_event(seats=0)),
        ("/events", new_event(seats=None)),
        ("/events", new_event(price_cents=1.5)),
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
        sales.one(rows),
        f"how many buyers and events {sales.title} has after requests that were refused",
        reason="bad-body-stored",
    )

    for id_ in ("none", "0", "-1", "99999999999999999999999", "6f1c1f0e-5b0c-4d2e-9f55-0d4f5a6b7c8d", "7%207", "%C2%B2"):
        reason = "id-cut-off" if id_[0].isdigit() and not id_.isdigit() else "unknown-id-answer"
        expect.status(server.get(f"/buyers/{id_}"), 404, reason=reason, code="not_found")
        expect.status(server.get(f"/events/{id_}"), 404, reason=reason, code="not_found")
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
    evidence(f"{len(bodies) + 2} bad bodies later {sales.title} had the same {before[0]} buyers and {before[1]} events")


@promises("text-is-data", "text-kept")
def test_text_is_data_not_sql(server, sales, make_buyer, make_event, fresh, evidence):
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
        f"{fresh.name('letters')} Žofie 漢字 🎟",
        fresh.text("buyer"),
        attack,
        f"{fresh.name('quote')}' OR '1'='1",
        f'{fresh.name("percent")} %s $1 \\ " ; {{}}',
        f"{fresh.name('backslash')}\\' OR 1=1 -- ",
        f"{fresh.name('backslash')}\\",
    ]
    for text in texts:
        # The first has nothing in it that could go wrong, the second nothing that is SQL.
        reason = {texts[0]: "not-stored", texts[1]: "letters-lost"}.get(text, "injection")
        answer = server.post("/buyers", json={"name": text, "balance_cents": 3})
        expect.status(answer, 201, reason=reason)
        id_ = expect.field(answer, "id", str, reason=reason)
        expect.equal(
            [(text, 3)],
            sales.rows("SELECT name, balance_cents FROM buyers WHERE concat(id) = %s", [id_]),
            f"the row of a buyer with the name {text}",
            reason=reason,
        )
        answer = server.patch(f"/events/{event}", json={"name": text})
        expect.status(answer, 200, reason=reason)
        expect.equal(
            text,
            sales.value("SELECT name FROM events WHERE concat(id) = %s", [event]),
            f"the name of an event after PATCH with the name {text}",
            reason=reason,
        )
    for path in (
        f"/buyers/{buyer}' OR '1'='1",
        "/buyers/0 OR 1=1",
        f"/events/{event}'; DELETE FROM events; --",
        "/events/' OR ''='",
        f"/buyers/{buyer}\\",
        "/buyers/\\' OR 1=1 -- ",
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
        sales.rows("SELECT balance_cents FROM buyers WHERE name = %s", [canary]),
        "a buyer that no request named, after requests with SQL in their text",
        reason="injection",
    )
    expect.equal(
        1,
        sales.value("SELECT count(*) FROM events WHERE concat(id) = %s", [event]),
        "an event that no request may delete",
        reason="injection",
    )
    evidence(
        f"{sales.title} stored {len(texts)} names full of SQL letter by letter; the row they aimed at still has its "
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
def test_both_sides_of_every_limit(server, sales, edges, fresh, new_event, instant, evidence):
    """What openapi.yaml just allows is taken and comes back unchanged; what is just past it is refused."""
    rows = "SELECT (SELECT count(*) FROM buyers), (SELECT count(*) FROM events)"
    tried = 0
    for path in ("/buyers", "/events"):
        for edge in edges.body("POST", path):
            right = {"name": fresh.name("buyer"), "balance_cents": 7} if path == "/buyers" else new_event()
            before = sales.one(rows)
            answer = server.post(path, json={**edge.within(right), fresh.token(): "one field more"})
            what = f"POST {path} with `{edge.field}`: {edge.why}"
            tried += 1
            if not edge.allowed:
                expect.status(answer, 422, reason="bad-body-accepted", code="invalid")
                expect.equal(before, sales.one(rows), f"how many rows there are after {what}", reason="bad-body-stored")
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
def test_both_sides_of_every_limit_of_a_change(server, sales, edges, make_event, fresh, new_event, instant, evidence):
    """A change has the same limits as a new event; one that is refused changes nothing."""
    event, tried = make_event(), 0
    for edge in edges.body("PATCH", "/events/{id}"):
        before = sales.one(EVENT, [event])
        answer = server.patch(f"/events/{event}", json={edge.field: edge.value})
        what = f"PATCH /events/ID with `{edge.field}`: {edge.why}"
        tried += 1
        if not edge.allowed:
            expect.status(answer, 422, reason="bad-body-accepted", code="invalid")
            expect.equal(before, sales.one(EVENT, [event]), f"the row after {what}", reason="bad-body-stored")
            continue
        expect.status(answer, 200, reason="good-body-refused")
        if edge.field == "starts_at":
            seen = instant(expect.field(answer, "starts_at", str, reason="value-changed"), what)
            expect.equal(instant(edge.value, what), seen, what, reason="value-changed")
        else:
            expect.fields(answer, {edge.field: edge.value}, what, reason="value-changed")
    whole = new_event()
    before = sales.one(EVENT, [event])
    for field in whole:  # one that is wrong spoils the others
        answer = server.patch(f"/events/{event}", json={**whole, field: None})
        expect.status(answer, 422, reason="bad-body-accepted", code="invalid")
        what = f"the row after a PATCH with `{field}` null beside four good fields"
        expect.equal(before, sales.one(EVENT, [event]), what, reason="bad-body-stored")
    expect.status(server.patch(f"/events/{event}", json={}), 422, reason="bad-body-accepted", code="invalid")
    missing = server.patch(f"/events/{fresh.name('none')}", json={"name": fresh.name("event")})
    expect.status(missing, 404, reason="unknown-id-answer", code="not_found")
    evidence(f"{tried} changes at both sides of the limits of an event were made or refused as they must be")


@promises("field-names", "more-fields", "bad-body", "event-change-some", "post-buyers-422", "post-events-422", "patch-events-one-422")
def test_a_field_in_another_letter_case(server, sales, edges, make_event, fresh, new_event, evidence):
    """`NAME` is not `name`: beside it, it is a further field, and alone it leaves `name` lacking."""
    rows, reason, tried = "SELECT (SELECT count(*) FROM buyers), (SELECT count(*) FROM events)", "name-by-letter", 0

    def wish(path):
        return {"name": fresh.name("buyer"), "balance_cents": fresh.integer(1, 900)} if path == "/buyers" else new_event()

    def stored(path, id_):
        columns = [name for name in wish(path) if name != "starts_at"]
        found = sales.rows(f"SELECT {', '.join(columns)} FROM {path.strip('/')} WHERE concat(id) = %s", [id_])
        expect.equal(1, len(found), f"how many rows of `{path.strip('/')}` have the id {id_!r} of the API", reason="not-stored")
        return dict(zip(columns, found[0], strict=True))

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
            before, lacking = sales.one(rows), wish(path)
            body = {**dict.fromkeys(others, lacking.pop(field)), **lacking}
            expect.status(server.post(path, json=body), 422, reason=reason, code="invalid")
            expect.equal(before, sales.one(rows), f"how many rows there are after POST {path} without `{field}`", reason)
            tried += 3
    event = make_event()
    for field, others in edges.misnamed("PATCH", "/events/{id}").items():
        names, own = " and ".join(f"`{one}`" for one in others), "seats" if field == "name" else "name"
        more, change, before = dict.fromkeys(others, new_event()[field]), {own: new_event()[own]}, stored("/events", event)
        expect.status(server.patch(f"/events/{event}", json=more), 422, reason=reason, code="invalid")
        expect.status(server.patch(f"/events/{event}", json={**change, **more}), 200, reason=reason)
        expect.equal({**before, **change}, stored("/events", event), f"the row after PATCH with `{own}`, {names}", reason=reason)
        tried += 2
    evidence(f"{tried} bodies had fields such as `NAME` and `balanceCents`: no row in {sales.title} has anything of them")


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
