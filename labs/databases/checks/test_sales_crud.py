"""postgres/crud and mysql/crud: buyers and events are rows, whoever wrote them, on every page of their list."""

from orchestrator.checks import Call, NoAnswer, expect, promises

EVENT = "SELECT name, venue, starts_at, seats, price_cents FROM events WHERE concat(id) = %s"


@promises("json", "post-buyers-201", "post-events-201", "id-as-text", "other-offset")
def test_what_is_posted_is_a_row(server, sales, fresh, instant, event_as_stored, new_event, evidence):
    """Buyers and events that the API creates are rows in the database."""
    name, cents = fresh.name("buyer"), fresh.integer(1, 1_000_000_000)
    answer = server.post("/buyers", json={"name": name, "balance_cents": cents})
    expect.status(answer, 201, reason="create-refused")
    buyer = expect.field(answer, "id", str, reason="create-no-id")
    rows = sales.rows("SELECT name, balance_cents FROM buyers WHERE concat(id) = %s", [buyer])
    expect.equal(
        [(name, cents)],
        rows,
        f"the rows of `buyers` with the id {buyer!r} that POST /buyers had just answered",
        reason="not-stored",
    )
    expect.fields(answer, {"name": name, "balance_cents": cents}, "the answer to POST /buyers", reason="answer-wrong")
    expect.equal(
        1,
        sales.value("SELECT count(*) FROM buyers WHERE name = %s", [name]),
        "how many rows `buyers` has after one POST /buyers",
        reason="stored-twice",
    )
    expect.equal(
        f"/buyers/{buyer}",
        answer.location,
        "the header Location of POST /buyers",
        reason="location-wrong",
    )
    # As many clients say it. JSON has no charset, so it says nothing, and is fine.
    said = {"Content-Type": "application/json; charset=utf-8"}
    answer = server.post("/buyers", json={"name": fresh.name("buyer"), "balance_cents": cents}, headers=said)
    expect.status(answer, 201, reason="good-body-refused")

    event = new_event(starts_at=f"20{fresh.integer(39, 68)}-05-01T19:30:00Z")  # no count of 31 bits gets there
    answer = server.post("/events", json=event)
    expect.status(answer, 201, reason="create-refused")
    event_id = expect.field(answer, "id", str, reason="create-no-id")
    rows = sales.rows(EVENT, [event_id])
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
        f"{sales.title} has buyer {buyer} with {cents} cents and event {event_id} with {event['seats']} seats, as "
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
def test_a_change_changes_the_row(server, sales, make_event, fresh, event_as_stored, evidence):
    """PATCH changes what it names and nothing else; DELETE takes the row away."""
    event, other = make_event(seats=40, price_cents=700), make_event()
    before, others = sales.one(EVENT, [event]), sales.one(EVENT, [other])
    name, seats = fresh.name("event"), fresh.integer(41, 90)

    answer = server.patch(f"/events/{event}", json={"name": name, "seats": seats})
    expect.status(answer, 200, reason="change-refused")
    expect.equal(
        (name, before[1], before[2], seats, before[4]),
        sales.one(EVENT, [event]),
        "the row of the event after PATCH with a new `name` and new `seats`",
        reason="not-stored",
    )
    event_as_stored(answer, event, "the event that PATCH answered", reason="answer-wrong")

    again = server.patch(f"/events/{event}", json={"name": name, "seats": seats})
    seen, what = f"{again.status} {again.text}", "the answer to the same PATCH once more, which leaves the event as it is"
    expect.true(again.status == 200, what, "change-refused", expected="200 and the event", seen=seen)
    event_as_stored(again, event, "the event that the second PATCH answered", reason="answer-wrong")

    answer = server.delete(f"/events/{event}")
    expect.status(answer, 204, reason="delete-refused")
    expect.equal(
        [],
        sales.rows(EVENT, [event]),
        "the row of the event after DELETE was answered with 204",
        reason="not-deleted",
    )
    expect.status(server.get(f"/events/{event}"), 404, reason="not-deleted", code="not_found")
    expect.equal(
        others,
        sales.one(EVENT, [other]),
        "the row of another event, which nobody asked to change",
        reason="changes-others",
    )
    evidence(f"{sales.title} had the changed row after PATCH, no row after DELETE, and the row beside it untouched")


@promises("post-buyers-201", "id-as-text")
def test_twelve_new_buyers_at_once(server, sales, fresh, evidence):
    """Of twelve buyers who are posted at the same moment each answer has the id of its own row."""
    names = [fresh.name("buyer") for _ in range(12)]
    answers = server.parallel([Call("POST", "/buyers", json={"name": name, "balance_cents": 5}) for name in names], at_once=12)
    for name, answer in zip(names, answers, strict=True):
        expect.status(answer, 201, reason="create-refused")
        rows = sales.rows("SELECT name FROM buyers WHERE concat(id) = %s", [expect.field(answer, "id", str, "create-no-id")])
        what = f"the row with the id that POST /buyers answered, one of twelve at once, for {name}"
        expect.equal([(name,)], rows, what, reason="anothers-id")
    evidence(f"twelve buyers were posted at once: {sales.title} has each one under the id that was answered")


@promises("created-once", "post-buyers-201")
def test_a_buyer_whose_answer_was_lost_is_there_once(explore, server, sales, make_buyer, alive, fresh, evidence):
    """When the connection is lost in the middle of POST /buyers, there is no second row of the same buyer."""
    other = make_buyer()

    def holds(name, answer):
        alive(other)
        rows = sales.value("SELECT count(*) FROM buyers WHERE name = %s", [name])
        expect.at_most(1, rows, f"how many buyers {sales.title} has for one POST /buyers", reason="created-twice")
        if getattr(answer, "status", None) == 201:
            expect.equal(1, rows, f"how many buyers {sales.title} has for a POST /buyers that was answered with 201",
                         reason="not-stored")
        elif not isinstance(answer, NoAnswer):
            expect.status(answer, 500, 503, reason="create-refused", code=("internal", "unavailable"))

    seen = [
        explore.cut(
            lambda name: server.post("/buyers", json={"name": name, "balance_cents": 100}),
            holds,
            answer=answer,
            prepare=lambda: fresh.name("buyer"),
            services=(sales.name,),
        )
        for answer in ("never", "lost")
    ]
    evidence(f"{sum(one.tried for one in seen)} connections were cut in a POST /buyers: never was there a second row")


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
def test_pages_repeat_and_skip_nothing(server, sales, fresh, make_event, pages, event_as_stored, evidence):
    """Reading GET /events page by page shows each event once, also while others are added or deleted."""
    planted = [make_event() for _ in range(12)]
    # Whatever a list may be sorted by, there are equal ones: only what no two events share keeps them apart.
    name, venue, starts_at = fresh.name("event"), fresh.name("venue"), fresh.time()
    planted += [make_event(name=name, starts_at=starts_at) for _ in range(7)]
    planted += [make_event(name=name, venue=venue) for _ in range(7)]
    there = {row[0] for row in sales.rows("SELECT concat(id) FROM events")}

    def add_meanwhile(_):  # around the others in every order a list may have: by time, by name, by id
        make_event(starts_at="2026-12-01T10:00:00Z")
        make_event(starts_at="2099-01-01T10:00:00Z")

    items = pages("/events", 5, between=add_meanwhile)

    ids = [expect.field(item, "id", str, reason="list-shape") for item in items]
    expect.equal(
        [],
        sorted(set(planted) - set(ids)),
        f"which of the events in {sales.title} the pages of GET /events left out",
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
        f"which of the events in {sales.title} the pages of GET /events left out",
        reason="page-skips",
    )
    for item in items[:3]:
        event_as_stored(item, item["id"], "an event that GET /events lists", reason="plant-not-seen")

    unsold = "SELECT concat(e.id) FROM events e WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.event_id = e.id)"
    there, deletable = {row[0] for row in sales.rows("SELECT concat(id) FROM events")}, sales.rows(unsold)
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
        f"GET /events showed each of the {len(there)} events in {sales.title} once, while others were added between "
        f"the pages, and while {len(deleted)} were deleted that a page had ended with"
    )


@promises("pages-stable", "pages")
def test_a_deletion_between_two_steps_of_a_page(explore, server, twin, sales, make_event, evidence):
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
            sold = {row[0] for row in sales.rows("SELECT concat(event_id) FROM orders")}
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
        what = f"the number of items of GET /events with limit={limit}, which others follow, while another event was deleted"
        expect.true(following is None or len(first) == limit, what, "page-length", expected=limit, seen=len(first))
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
