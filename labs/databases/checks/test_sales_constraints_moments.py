"""postgres/constraints and mysql/constraints: the rules hold between any two steps, when a connection is lost, and in a crowd."""

from orchestrator.checks import Call, NoAnswer, expect, promises


@promises("no-duplicates", "post-events-409", "patch-events-one-409")
def test_an_equal_event_between_two_steps(explore, server, sales, make_event, fresh, evidence):
    """Between any two steps of a new event, or of a change, an equal event comes: the database keeps one of them."""
    twin = server.replica(wait=False)

    def prepare():
        return {"venue": fresh.name("venue"), "starts_at": fresh.time()}

    def post(server, place):
        return server.post("/events", json={"name": fresh.name("event"), "seats": 10, "price_cents": 100, **place})

    def holds(place, *answers):
        rows = sales.value("SELECT count(*) FROM events WHERE venue = %s AND starts_at = %s", [*place.values()])
        expect.at_most(1, rows, f"how many events {sales.title} has at one place and time", reason="duplicate-in-a-race")
        for answer in answers:
            if not isinstance(answer, NoAnswer) and answer.status not in (200, 201):
                expect.status(answer, 409, reason="duplicate-answer", code="event_exists")
        made = sum(getattr(answer, "status", None) in (200, 201) for answer in answers)
        expect.equal(rows, made, "how many of the two requests were answered as done", reason="duplicate-in-a-race")

    during = "an equal event was made at a second process of it"
    new = explore.interleave(
        lambda place: post(server, place), lambda place: post(twin, place), holds, prepare=prepare, during=during
    )

    def change(place):
        other = make_event(venue=place["venue"])
        return server.patch(f"/events/{other}", json={"starts_at": place["starts_at"]})

    changed = explore.interleave(change, lambda place: post(twin, place), holds, prepare=prepare, during=during)
    evidence(f"an equal event came before {new} of a POST and {changed} of a PATCH: {sales.title} has one each time")


@promises("new-event-lost", "post-events-409", "post-events-201", "created-once")
def test_a_new_event_whose_connection_is_lost(
    explore, server, sales, make_event, make_buyer, new_event, event_as_stored, alive, evidence
):
    """When the connection is lost in the middle of POST /events, the event that it made itself is no other event."""
    buyer = make_buyer()

    def another():
        event = new_event()  # all is the same, as if somebody else had pressed the button a moment before
        return event, make_event(**event)

    def rows_of(event):
        where = "venue = %s AND starts_at = %s"
        return [row[0] for row in sales.rows(f"SELECT concat(id) FROM events WHERE {where}", [event["venue"], event["starts_at"]])]

    def alone(event, answer):
        alive(buyer)
        rows = rows_of(event)
        expect.at_most(1, len(rows), f"how many events {sales.title} has for one POST /events", reason="duplicate-in-a-race")
        if isinstance(answer, NoAnswer):
            return
        if answer.status != 201:
            # There was no other event: what it may have met is its own first try.
            expect.status(answer, 500, 503, reason="own-event-refused", code=("internal", "unavailable"))
            return
        expect.equal(1, len(rows), f"how many events {sales.title} has for a POST /events that was answered with 201", "not-stored")
        asked = {name: value for name, value in event.items() if name != "starts_at"}
        for what, source in (("POST /events", answer), ("the GET of it", server.get(f"/events/{rows[0]}"))):
            said = f"the event in the answer to {what}, after its connection was lost"
            event_as_stored(source, rows[0], said, reason="answer-wrong")
            expect.fields(source, asked, f"{said}, beside what was asked for", reason="answer-wrong")

    def beside(case, answer):
        alive(buyer)
        event, first = case
        expect.equal([first], rows_of(event), f"the events (ids) that {sales.title} has at a place and time of which one was there "
                     "before POST /events", reason="duplicate-stored")
        if not isinstance(answer, NoAnswer) and answer.status not in (500, 503):
            expect.status(answer, 409, reason="anothers-event", code="event_exists")

    seen = []
    for answer in ("never", "lost"):
        for ask, holds, prepare in (
            (lambda event: server.post("/events", json=event), alone, new_event),
            (lambda case: server.post("/events", json=case[0]), beside, another),
        ):
            seen.append(explore.cut(ask, holds, answer=answer, prepare=prepare, services=(sales.name,)))
    evidence(
        f"{sum(one.tried for one in seen)} connections were cut in a POST /events: each answer was true of the row that it had "
        "made, or of another one"
    )


@promises("delete-events-one-409", "no-deleting")
def test_a_sale_between_two_steps_of_a_deletion(explore, server, sales, make_buyer, make_event, sold, evidence):
    """Between any two steps of DELETE /events/ID somebody sells a seat: the event stays, or there was no sale."""
    buyer = make_buyer()

    def sell(event):
        order = {"event_id": event, "buyer_id": buyer, "seat": 5, "price_cents": 100}
        with sales.as_learner(lock_timeout=5.0) as session:
            try:
                order_id = session.insert("orders", order)
                session.insert("tickets", {"order_id": order_id, "event_id": event, "seat": 5})
                session.commit()
            except Exception as error:
                if getattr(error, "sqlstate", None) is None:
                    raise
                session.rollback()

    def holds(event, answer, _):
        there = sales.value("SELECT count(*) FROM events WHERE id = %s", [event])
        expect.equal((there, there), sold(event), f"orders and tickets of {there} event(s)", reason="sold-event-lost")
        if not isinstance(answer, NoAnswer):
            expect.status(
                answer, 409 if there else 204, reason="sold-event-answer", code="seats_sold" if there else None
            )

    seen = explore.interleave(
        lambda event: server.delete(f"/events/{event}"), sell, holds, prepare=make_event, during="a seat of it was sold"
    )
    evidence(f"a seat was sold before {seen} of a DELETE: the event and its ticket stayed, or neither is there")


@promises("no-duplicates", "post-events-409")
def test_one_of_twelve_at_once(server, sales, fresh, evidence):
    """Of twelve equal events posted at the same moment one is made; the others hear that it exists."""
    for _ in range(3):
        venue, starts_at = fresh.name("venue"), fresh.time()
        body = {"venue": venue, "starts_at": starts_at, "seats": 10, "price_cents": 100}
        calls = [Call("POST", "/events", json={**body, "name": fresh.name("event")}) for _ in range(12)]
        answers = server.parallel(calls, at_once=12)
        rows = sales.value("SELECT count(*) FROM events WHERE venue = %s AND starts_at = %s", [venue, starts_at])
        what = f"how many events {sales.title} has at one place and time after 12 POSTs at the same moment"
        expect.at_least(1, rows, what, reason="not-stored")
        expect.at_most(1, rows, what, reason="duplicate-in-a-race")
        for answer in answers:
            if answer.status != 201:
                expect.status(answer, 409, reason="duplicate-answer", code="event_exists")
        expect.equal(
            1,
            sum(answer.status == 201 for answer in answers),
            "how many of the 12 POSTs were answered with 201",
            reason="duplicate-in-a-race",
        )
    evidence(f"three times, 12 equal POSTs at the same moment left one row in {sales.title}")
