"""The starters and accepted solutions of the lab `databases` keep `openapi.yaml`, asked by plain HTTP.

Each server is copied, built by its own `workspace.toml` and started as a learner would start it. The accepted ones get
a PostgreSQL, a Redis and a MongoDB of their own, run from the wheels. What the stores then hold is judged by the lab's checks.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from support.box_office import Office, new_event, server

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_buyers(office: Office) -> None:
    """A buyer is made, found again and refused when a field is wrong."""
    made = office.ask("POST", "/buyers", {"name": "Zoë 🎟 O'Neill", "balance_cents": 0, "more": "is ignored"})
    assert made.status == 201
    assert made.headers["Location"] == f"/buyers/{made.json['id']}"
    shown = office.ask("GET", f"/buyers/{made.json['id']}")
    assert shown.json == {"id": made.json["id"], "name": "Zoë 🎟 O'Neill", "balance_cents": 0}
    for wrong in (
        {}, [], "x", {"name": "", "balance_cents": 1}, {"name": "x" * 201, "balance_cents": 1}, {"name": 5, "balance_cents": 1},
        {"name": "x"}, {"name": "x", "balance_cents": -1}, {"name": "x", "balance_cents": True},
        {"name": "x", "balance_cents": "1"}, {"name": "x", "balance_cents": 1.5}, {"name": "x", "balance_cents": 10**30},
        {"name": "a\0b", "balance_cents": 1},
        b"{", b"", b"\xff", b'{"name": "x", "balance_cents": NaN}', b"[" * 5000,
    ):  # fmt: skip
        office.ask("POST", "/buyers", wrong).is_problem(422, "invalid")


STRANGE = ["nope", "0", "99999999999999999999999", "%27%20OR%201=1", "%00", "1%2F2", "%C3%A9"]


@pytest.mark.parametrize("name", [*STRANGE, "6f1c1f0e-5b0c-4d2e-9f55-0d4f5a6b7c8d"])
def test_ids_that_do_not_exist(office: Office, name: str) -> None:
    """Any text in place of an id is "not found", never a fault."""
    for method, path, body in (
        ("GET", f"/buyers/{name}", None),
        ("GET", f"/events/{name}", None),
        ("PATCH", f"/events/{name}", {"name": "x"}),
        ("DELETE", f"/events/{name}", None),
        ("GET", f"/events/{name}/seats", None),
        ("POST", f"/events/{name}/holds", {"seat": 1, "buyer": "1"}),
        ("DELETE", f"/events/{name}/holds/x", None),
        ("POST", f"/events/{name}/views", None),
        ("GET", f"/events/{name}/views", None),
        ("GET", f"/events/{name}/live", None),
    ):
        office.ask(method, path, body).is_problem(404, "not_found")


def test_methods_and_pages(office: Office) -> None:
    """An unknown page is 404; a known one with another method is 405 and says which it knows."""
    office.ask("GET", "/nothing/here").is_problem(404, "not_found")
    for path, allowed in (("/orders", {"GET", "POST"}), ("/events/1", {"GET", "PATCH", "DELETE"}), ("/trending", {"GET"})):
        answer = office.ask("PUT", path, {})
        assert answer.status == 405
        assert {word.strip() for word in answer.headers["Allow"].split(",")} - {"HEAD"} == allowed


def test_events(office: Office) -> None:
    """An event is made, found, changed and deleted; a second one at its place and time is refused."""
    wish = new_event(venue=f"Hall {uuid4()}", starts_at="2027-05-01T21:30:00.5+02:00")
    made = office.ask("POST", "/events", wish)
    assert made.status == 201
    assert made.headers["Location"] == f"/events/{made.json['id']}"
    assert datetime.fromisoformat(made.json["starts_at"]) == datetime(2027, 5, 1, 19, 30, 0, 500_000, UTC)
    assert {**made.json, "starts_at": 0} == {**wish, "starts_at": 0, "id": made.json["id"], "sold": 0}
    path = f"/events/{made.json['id']}"
    assert office.ask("GET", path).json == made.json
    office.ask("POST", "/events", wish).is_problem(409, "event_exists")

    other = office.event(venue=wish["venue"])
    office.ask("PATCH", f"/events/{other}", {"starts_at": wish["starts_at"]}).is_problem(409, "event_exists")
    changed = office.ask("PATCH", path, {"name": "Match", "starts_at": wish["starts_at"], "sold": 7})
    assert (changed.status, changed.json) == (200, {**made.json, "name": "Match"})
    for wrong in ({}, {"unknown": 1}, {"seats": 0}, {"seats": 100_001}, {"price_cents": -1}, {"starts_at": "soon"}, {"venue": None}):
        office.ask("PATCH", path, wrong).is_problem(422, "invalid")
    for wrong in ({"starts_at": "2027-05-01T19:30:00"}, {"starts_at": 5}, {"starts_at": "2027-13-01T00:00:00Z"}, {"seats": "5"}):
        office.ask("POST", "/events", new_event(**wrong)).is_problem(422, "invalid")

    office.order(other, 7, office.buyer())
    office.ask("PATCH", f"/events/{other}", {"seats": 6}).is_problem(409, "seats_sold")
    assert office.ask("PATCH", f"/events/{other}", {"seats": 7}).json["sold"] == 1
    office.ask("DELETE", f"/events/{other}").is_problem(409, "seats_sold")
    assert office.ask("DELETE", path).status == 204
    office.ask("GET", path).is_problem(404, "not_found")
    office.ask("DELETE", path).is_problem(404, "not_found")


def test_event_pages(office: Office) -> None:
    """Paging shows each event once, also when one is added meanwhile; a bad page is refused."""
    mine = {office.event() for _ in range(7)}
    seen: list[str] = []
    for number, page in enumerate(office.pages("/events?limit=3")):
        seen += [item["id"] for item in page]
        if number == 0:
            office.event()
    assert (len(seen), mine - set(seen)) == (len(set(seen)), set())
    for query in ("limit=0", "limit=101", "limit=x", "limit=", "limit=1.5", "after=%00", "after=it's", "after="):
        office.ask("GET", f"/events?{query}").is_problem(422, "invalid")
        office.ask("GET", f"/orders?buyer=1&{query}").is_problem(422, "invalid")
    office.ask("GET", "/trending?limit=x").is_problem(422, "invalid")
    assert len(office.ask("GET", "/events?limit=100").json["items"]) >= 7


def test_orders(office: Office) -> None:
    """A sale moves the money and the seat; each broken rule has its answer and changes nothing."""
    event, buyer = office.event(price_cents=2500), office.buyer(12_500)
    before = datetime.now(UTC) - timedelta(seconds=1)
    sold = office.order(event, 1, buyer)
    assert sold.status == 201
    wish = {"event": event, "seat": 1, "buyer": buyer, "price_cents": 2500}
    assert {name: sold.json[name] for name in wish} == wish
    assert isinstance(sold.json["order"], str)
    assert isinstance(sold.json["ticket"], str)
    assert before < datetime.fromisoformat(sold.json["created_at"]) < datetime.now(UTC) + timedelta(seconds=1)

    office.order(event, 1, office.buyer()).is_problem(409, "seat_sold")
    for wrong in ({"event": "nope"}, {"buyer": "nope"}, {"seat": 21}, {"seat": 0}, {"seat": "1"}, {"seat": None}, {"event": 5}, {"hold": 5}):
        body = {"event": event, "seat": 2, "buyer": buyer, **wrong}
        office.ask("POST", "/orders", body).is_problem(422, "invalid")
    office.order(event, 2, office.buyer(2499)).is_problem(402, "balance_too_low")
    assert [office.order(event, seat, buyer).status for seat in (2, 3, 4)] == [201] * 3
    office.order(event, 5, buyer).is_problem(409, "limit_4")
    assert office.ask("GET", f"/buyers/{buyer}").json["balance_cents"] == 2500
    assert office.ask("GET", f"/events/{event}").json["sold"] == 4
    assert office.states(event) == ["sold"] * 4 + ["free"] * 16

    pages = list(office.pages(f"/orders?buyer={buyer}&limit=3"))
    assert [[order["seat"] for order in page] for page in pages] == [[4, 3, 2], [1]]
    assert pages[1][0] == sold.json
    assert office.ask("GET", "/orders?buyer=nobody").json == {"items": [], "next": None}
    office.ask("GET", "/orders").is_problem(422, "invalid")


def test_idempotency(office: Office) -> None:
    """The same order with the same key is sold once, however often and at once it is sent; another body is refused."""
    event, buyer, key = office.event(), office.buyer(), str(uuid4())
    hold = office.hold(event, 1, buyer).json["hold"]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: office.order(event, 1, buyer, key, hold=hold), range(8)))
    answers.append(office.order(event, 1, buyer, key, hold=hold))
    assert {answer.status for answer in answers} == {201}
    assert all(answer.json == answers[0].json for answer in answers)
    assert office.ask("GET", f"/events/{event}").json["sold"] == 1
    office.order(event, 2, buyer, key).is_problem(409, "key_reused")
    refused = str(uuid4())
    office.order(event, 1, buyer, refused).is_problem(409, "seat_sold")
    assert office.order(event, 2, buyer, refused).status == 201, "only answers 201 are remembered"
    office.order(event, 3, buyer, "k" * 101).is_problem(422, "invalid")


def test_holds(office: Office) -> None:
    """A held seat is one buyer's until it is released or sold."""
    event, ada, bob = office.event(), office.buyer(), office.buyer()
    before = datetime.now(UTC)
    held = office.hold(event, 1, ada)
    assert held.status == 201
    assert timedelta(seconds=118) < datetime.fromisoformat(held.json["expires_at"]) - before < timedelta(seconds=122)
    office.hold(event, 1, bob).is_problem(409, "seat_held")
    assert office.states(event)[:2] == ["held", "free"]
    office.order(event, 1, bob).is_problem(409, "seat_held")
    office.order(event, 2, bob, hold=held.json["hold"]).is_problem(410, "hold_expired")
    for text in ("never-was", "", " ", "x" * 300, held.json["hold"][:4]):
        office.order(event, 2, bob, hold=text).is_problem(410, "hold_expired")
    path = f"/events/{event}/holds/"
    for wrong in ("never-was", "1.x", "%00", "99999999999999999999.x"):
        office.ask("DELETE", path + wrong).is_problem(404, "not_found")
    assert office.ask("DELETE", path + held.json["hold"]).status == 204
    office.ask("DELETE", path + held.json["hold"]).is_problem(404, "not_found")
    assert office.states(event)[0] == "free"

    held = office.hold(event, 1, bob)
    assert office.order(event, 1, bob, hold=held.json["hold"]).status == 201
    office.hold(event, 1, ada).is_problem(409, "seat_sold")
    office.ask("DELETE", path + held.json["hold"]).is_problem(404, "not_found")
    for wrong in ({"seat": 21, "buyer": ada}, {"seat": 2, "buyer": "nope"}, {"seat": "2", "buyer": ada}, {"buyer": ada}, {"seat": 2}):
        office.ask("POST", f"/events/{event}/holds", wrong).is_problem(422, "invalid")


def test_views_and_trending(office: Office) -> None:
    """Views are counted exactly, and trending names the most viewed first."""
    first, second, never = office.event(), office.event(), office.event()
    with ThreadPoolExecutor(20) as pool:
        paths = [f"/events/{first}/views"] * 120 + [f"/events/{second}/views"] * 60
        assert {answer.status for answer in pool.map(lambda path: office.ask("POST", path), paths)} == {204}
    assert office.ask("GET", f"/events/{first}/views").json == {"views": 120}
    assert office.ask("GET", f"/events/{never}/views").json == {"views": 0}
    items = office.ask("GET", "/trending?limit=2").json["items"]
    assert items == [{"event": first, "views": 120}, {"event": second, "views": 60}]
    assert never not in [item["event"] for item in office.ask("GET", "/trending").json["items"]]


def test_live(office: Office) -> None:
    """Whoever listens to an event hears of its seats, and of no other event's."""
    event, other, buyer = office.event(), office.event(), office.buyer()
    with office.listen(event) as following, office.listen(event) as also:
        hold = office.hold(event, 1, buyer).json["hold"]
        office.hold(other, 9, buyer)
        office.ask("DELETE", f"/events/{event}/holds/{hold}")
        hold = office.hold(event, 2, buyer).json["hold"]
        office.order(event, 2, buyer, hold=hold)
        expected = [("held", {"seat": 1}), ("released", {"seat": 1}), ("held", {"seat": 2}), ("sold", {"seat": 2})]
        assert [following() for _ in expected] == expected
        assert [also() for _ in expected] == expected


def test_rush(office: Office) -> None:
    """Two hundred requests at once are all answered, and no seat, limit or balance is broken by fifty sales at once."""
    event, rich, poor = office.event(seats=100, price_cents=100), office.buyer(), office.buyer(200)
    with ThreadPoolExecutor(200) as pool:
        assert {answer.status for answer in pool.map(lambda _: office.ask("GET", "/events?limit=5"), range(200))} == {200}
        one_seat = list(pool.map(lambda _: office.order(event, 100, office.buyer()).status, range(50)))
        limited = list(pool.map(lambda seat: office.order(event, seat, rich).status, range(1, 51)))
        broke = list(pool.map(lambda seat: office.order(event, seat, poor).status, range(51, 100)))
    assert (one_seat.count(201), limited.count(201), broke.count(201)) == (1, 4, 2)
    assert set(one_seat + limited + broke) == {201, 402, 409}
    assert office.ask("GET", f"/buyers/{poor}").json["balance_cents"] == 0
    assert office.ask("GET", f"/events/{event}").json["sold"] == 7


def test_second_start(workspace: Path, stores: dict[str, str]) -> None:
    """A second server on the same stores starts, and an accepted one sees and says what the first one did."""
    with server(workspace, stores) as first, server(workspace, stores) as second:
        if "accepted" not in str(workspace.parent.name):
            assert first.ask("GET", "/health").json == second.ask("GET", "/health").json == {}
            return
        assert first.ask("GET", "/health").json == {"postgres": "up", "redis": "up", "mongodb": "up"}
        event, buyer = first.event(), second.buyer()
        with second.listen(event) as following:
            assert first.hold(event, 3, buyer).status == 201
            assert following() == ("held", {"seat": 3})
        assert second.states(event)[2] == "held"
        assert second.order(event, 4, buyer).status == 201
        assert first.states(event)[3] == "sold"
