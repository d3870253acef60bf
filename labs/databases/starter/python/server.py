"""The Box Office, complete, with everything in memory.

It runs, it does what openapi.yaml says (only its search is a plain one), and it forgets all when it ends. Milestone by
milestone you move what is in the variables below to where it belongs: to PostgreSQL what must never be wrong, to Redis
what is hot and short-lived. What belongs to MongoDB, pages of many shapes and their reviews, is in pages.py; search.py
is what Elasticsearch does better.
"""

import itertools
import os
import queue
import threading
import time
import uuid
from datetime import datetime, timezone

import pages  # noqa: F401
import search
from web import Problem, Stream, invalid, number_of, route, serve, text_of, time_of

HOLD_SECONDS = 120
TICKETS_PER_BUYER = 4

# All data. Requests run at the same time, each in its own thread, so each takes the lock before it touches any of this.
# A lock in this process is no help once a second server runs on the same data: then the database must keep order.
lock = threading.RLock()
ids = itertools.count(1)

buyers = {}  # id -> buyer                                  PostgreSQL: table buyers
events = {}  # id -> event                                  PostgreSQL: table events
orders = {}  # id -> order                                  PostgreSQL: tables orders and tickets
answers = {}  # Idempotency-Key -> (request, its answer)    PostgreSQL: a table of your own
holds = {}  # (event, seat) -> (hold, when it ends)         Redis: keys hold:{event}:{seat}
views = {}  # event -> how often it was looked at           Redis: keys views:{event} and the sorted set trending
listeners = {}  # event -> the mailboxes of its listeners   Redis: publish and subscribe


@route("GET", "/health")
def health(request):
    # The first milestone, postgres/schema: ask the database here, each time. See README.md.
    return 200, {}


# --- buyers and events: postgres/crud, postgres/constraints, postgres/n-plus-one ---------------------------------


@route("POST", "/buyers")
def add_buyer(request):
    body = request.json()
    buyer = {"name": text_of(body, "name"), "balance_cents": number_of(body, "balance_cents", 0, 1_000_000_000)}
    with lock:
        buyer["id"] = str(next(ids))
        buyers[buyer["id"]] = buyer
        return 201, dict(buyer), {"Location": f"/buyers/{buyer['id']}"}


@route("GET", "/buyers/{id}")
def show_buyer(request, id):
    with lock:
        if id not in buyers:
            raise Problem(404, "not_found", "There is no such buyer.")
        return 200, dict(buyers[id])


EVENT_FIELDS = {
    "name": text_of,
    "venue": text_of,
    "starts_at": time_of,
    "seats": lambda body, name: number_of(body, name, 1, 100_000),
    "price_cents": lambda body, name: number_of(body, name, 0, 100_000_000),
}


def the_event(id):
    if id not in events:
        raise Problem(404, "not_found", "There is no such event.")
    return events[id]


def tickets_of(id):
    return [order for order in orders.values() if order["event"] == id]


def with_sold(event):
    return {**event, "sold": len(tickets_of(event["id"]))}


def refuse_double_booking(event):
    for other in events.values():
        same = other["venue"] == event["venue"] and other["starts_at"] == event["starts_at"]
        if same and other["id"] != event["id"]:
            raise Problem(409, "event_exists", "There is another event at this venue at this time.")


@route("POST", "/events")
def add_event(request):
    body = request.json()
    fields = {name: read(body, name) for name, read in EVENT_FIELDS.items()}
    with lock:
        event = {"id": str(next(ids)), **fields}
        refuse_double_booking(event)
        events[event["id"]] = event
        return 201, with_sold(event), {"Location": f"/events/{event['id']}"}


@route("GET", "/events")
def list_events(request):
    limit, after = request.limit(), page_start(request, 0)
    with lock:
        found = [event for id, event in events.items() if int(id) > after]
        page = [with_sold(event) for event in found[:limit]]
        return 200, {"items": page, "next": page[-1]["id"] if len(found) > limit else None}


def page_start(request, default):
    """Where a page begins: behind the id that the page before it ended with."""
    after = request.query.get("after")
    if after is None:
        return default
    if not (after.isascii() and after.isdigit() and len(after) < 20):
        raise invalid("after is what the page before gave as next.")
    return int(after)


@route("GET", "/events/{id}")
def show_event(request, id):
    with lock:
        return 200, with_sold(the_event(id))


@route("PATCH", "/events/{id}")
def change_event(request, id):
    body = request.json()
    change = {name: read(body, name) for name, read in EVENT_FIELDS.items() if name in body}
    if not change:
        raise invalid("Name at least one field to change.")
    with lock:
        event = {**the_event(id), **change}
        if any(ticket["seat"] > event["seats"] for ticket in tickets_of(id)):
            raise Problem(409, "seats_sold", "A seat with a higher number is sold.")
        refuse_double_booking(event)
        events[id] = event
        return 200, with_sold(event)


@route("DELETE", "/events/{id}")
def delete_event(request, id):
    with lock:
        the_event(id)
        if tickets_of(id):
            raise Problem(409, "seats_sold", "Seats of this event are sold.")
        del events[id]
        views.pop(id, None)
        return 204, None


@route("GET", "/search")
def search_events(request):
    with lock:
        return 200, search.search(events.values(), request)


# --- orders: postgres/transactions, postgres/isolation, postgres/indexes -------------------------------------------


@route("POST", "/orders")
def buy(request):
    body = request.json()
    seat = number_of(body, "seat", 1, 100_000)
    wish = {"event": text_of(body, "event"), "seat": seat, "buyer": text_of(body, "buyer")}
    if "hold" in body:
        wish["hold"] = text_of(body, "hold", shortest=0, longest=100_000)  # any text, also an empty one
    key = request.headers.get("Idempotency-Key")
    if key and len(key) > 100:
        raise invalid("An Idempotency-Key has at most 100 characters.")
    with lock:
        if key in answers:
            first_wish, answer = answers[key]
            if first_wish != wish:
                raise Problem(409, "key_reused", "This Idempotency-Key belongs to another order.")
            return 201, answer
        answer = sell(**wish)
        if key:
            answers[key] = wish, answer
        announce(wish["event"], "sold", wish["seat"])
        return 201, answer


def sell(event, buyer, seat, hold=None):
    """All rules first, then all changes. In PostgreSQL both are one transaction."""
    the_event, the_buyer = events.get(event), buyers.get(buyer)
    if the_event is None or the_buyer is None or seat > the_event["seats"]:
        raise invalid("There is no such event, buyer or seat.")
    tickets = tickets_of(event)
    if any(ticket["seat"] == seat for ticket in tickets):
        raise Problem(409, "seat_sold", "This seat is sold.")
    if sum(ticket["buyer"] == buyer for ticket in tickets) >= TICKETS_PER_BUYER:
        raise Problem(409, "limit_4", f"A buyer has at most {TICKETS_PER_BUYER} tickets of an event.")
    if the_buyer["balance_cents"] < the_event["price_cents"]:
        raise Problem(402, "balance_too_low", "The balance does not cover the price.")
    held_by = hold_of(event, seat)
    if hold is not None and hold != held_by:
        raise Problem(410, "hold_expired", "This hold does not hold this seat (any more).")
    if held_by and hold is None:
        raise Problem(409, "seat_held", "Somebody else holds this seat.")

    the_buyer["balance_cents"] -= the_event["price_cents"]
    holds.pop((event, seat), None)
    id = str(next(ids))
    orders[id] = {
        "order": id,
        "ticket": str(next(ids)),
        "event": event,
        "seat": seat,
        "buyer": buyer,
        "price_cents": the_event["price_cents"],
        "created_at": datetime.now(timezone.utc),
    }
    return orders[id]


@route("GET", "/orders")
def list_orders(request):
    buyer, limit, before = request.query.get("buyer"), request.limit(), page_start(request, float("inf"))
    if buyer is None:
        raise invalid("Say whose orders: /orders?buyer=...")
    with lock:
        newest_first = reversed(orders.values())
        found = [order for order in newest_first if order["buyer"] == buyer and int(order["order"]) < before]
        page = found[:limit]
        return 200, {"items": page, "next": page[-1]["order"] if len(found) > limit else None}


# --- holds and the seat map: redis/hold, redis/expiry, redis/pipelining -------------------------------------------


def hold_of(event, seat):
    """The id of the hold on this seat, or None. Redis can forget by itself what has ended; here we must look."""
    hold, ends = holds.get((event, seat), (None, 0))
    return hold if ends > time.monotonic() else None


@route("POST", "/events/{id}/holds")
def add_hold(request, id):
    body = request.json()
    seat, buyer = number_of(body, "seat", 1, 100_000), text_of(body, "buyer")
    with lock:
        if seat > the_event(id)["seats"] or buyer not in buyers:
            raise invalid("There is no such seat or buyer.")
        if any(ticket["seat"] == seat for ticket in tickets_of(id)):
            raise Problem(409, "seat_sold", "This seat is sold.")
        if hold_of(id, seat):
            raise Problem(409, "seat_held", "Somebody else holds this seat.")
        hold = uuid.uuid4().hex
        holds[id, seat] = hold, time.monotonic() + HOLD_SECONDS
        announce(id, "held", seat)
    expires_at = datetime.fromtimestamp(time.time() + HOLD_SECONDS, timezone.utc)
    return 201, {"hold": hold, "expires_at": expires_at}


@route("DELETE", "/events/{id}/holds/{hold}")
def release_hold(request, id, hold):
    with lock:
        for event, seat in list(holds):
            if event == id and hold_of(event, seat) == hold:
                del holds[event, seat]
                announce(id, "released", seat)
                return 204, None
    raise Problem(404, "not_found", "There is no such hold (any more).")


@route("GET", "/events/{id}/seats")
def show_seats(request, id):
    with lock:
        sold = {ticket["seat"] for ticket in tickets_of(id)}
        seats = range(1, the_event(id)["seats"] + 1)
        state = {seat: "sold" if seat in sold else "held" if hold_of(id, seat) else "free" for seat in seats}
    return 200, {"items": [{"seat": seat, "state": state[seat]} for seat in seats]}


# --- views: redis/counters, redis/leaderboard -----------------------------------------------------------------------


@route("POST", "/events/{id}/views")
def add_view(request, id):
    with lock:
        the_event(id)
        views[id] = views.get(id, 0) + 1
    return 204, None


@route("GET", "/events/{id}/views")
def show_views(request, id):
    with lock:
        the_event(id)
        return 200, {"views": views.get(id, 0)}


@route("GET", "/trending")
def trending(request):
    with lock:
        most_first = sorted(views, key=views.get, reverse=True)
        return 200, {"items": [{"event": id, "views": views[id]} for id in most_first[: request.limit()]]}


# --- the live stream: redis/live ------------------------------------------------------------------------------------


def announce(event, name, seat):
    """Puts a message into the mailbox of each client that listens to this event, at this server."""
    for mailbox in listeners.get(event, ()):
        mailbox.put((name, {"seat": seat}))


@route("GET", "/events/{id}/live")
def live(request, id):
    with lock:
        the_event(id)
    return Stream(changes_of(id))


def changes_of(event):
    mailbox = queue.SimpleQueue()
    with lock:
        listeners.setdefault(event, set()).add(mailbox)
    try:
        yield None
        while True:
            try:
                yield mailbox.get(timeout=5)
            except queue.Empty:
                yield None  # writing to a client that has gone away fails, and that ends this loop
    finally:
        with lock:
            listeners[event].discard(mailbox)


# --- the gate: the milestones of the track sqlite -------------------------------------------------------------------

door_tickets = {}  # id -> ticket                           SQLite: table tickets
scans = {}  # ticket -> its scan, in the order of scanning  SQLite: table scans


@route("POST", "/gate/tickets")
def load_tickets(request):
    body = request.json()
    event, tickets = text_of(body, "event"), body.get("tickets")
    if not isinstance(tickets, list) or not 1 <= len(tickets) <= 1000 or not all(type(one) is dict for one in tickets):
        raise invalid("tickets is a list of 1 to 1000 tickets.")
    new = [{"id": text_of(one, "id"), "holder": text_of(one, "holder"), "event": event} for one in tickets]
    by_id = {one["id"]: one for one in new}
    with lock:
        if len(by_id) < len(new) or by_id.keys() & door_tickets.keys():
            raise Problem(409, "ticket_exists", "One of these tickets is there already; none was loaded.")
        door_tickets.update(by_id)
    return 201, {"loaded": len(new)}


@route("GET", "/gate/tickets/{id}")
def show_ticket(request, id):
    with lock:
        if id not in door_tickets:
            raise Problem(404, "not_found", "There is no such ticket.")
        return 200, {**door_tickets[id], "scanned_at": scans[id]["scanned_at"] if id in scans else None}


@route("POST", "/gate/scans")
def scan(request):
    body = request.json()
    ticket, gate = text_of(body, "ticket", shortest=0, longest=1_000_000), text_of(body, "gate")
    with lock:
        if ticket not in door_tickets:
            raise Problem(404, "not_found", "There is no such ticket.")
        if ticket in scans:
            raise Problem(409, "already_in", "This ticket has been scanned before.")
        holder, now = door_tickets[ticket]["holder"], datetime.now(timezone.utc)
        scans[ticket] = {"ticket": ticket, "holder": holder, "gate": gate, "scanned_at": now}
        return 200, scans[ticket]


@route("GET", "/gate/scans")
def list_scans(request):
    limit, after = request.limit(), page_start(request, 0)
    with lock:
        found = list(scans.values())[after : after + limit + 1]
    return 200, {"items": found[:limit], "next": str(after + limit) if len(found) > limit else None}


@route("POST", "/gate/backup")
def back_up(request):
    raise Problem(503, "unavailable", "What is in memory only has no file that could be copied.")


if __name__ == "__main__":
    serve(int(os.environ.get("PORT", "8080")))
