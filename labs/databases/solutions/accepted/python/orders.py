"""Orders. A sale is one transaction: everything that belongs to it happens, or nothing does."""

from datetime import datetime, timezone

import psycopg
from psycopg.types.json import Jsonb

import database
import holds
from database import id_of
from web import Problem, invalid, number_of, route, storable, text_of, time_as_text, time_of

TICKETS_PER_BUYER = 4


@route("POST", "/orders")
@database.tried_again
def buy(request):
    body = request.json()
    seat = number_of(body, "seat", 1, 100_000)
    wish = {"event": text_of(body, "event"), "seat": seat, "buyer": text_of(body, "buyer")}
    if "hold" in body:
        wish["hold"] = hold_of(body)
    key = request.headers.get("Idempotency-Key")
    if key and (len(key) > 100 or not storable(key)):
        raise invalid("An Idempotency-Key is text of at most 100 characters.")

    # Redis is asked before the transaction begins: nobody waits for Redis while holding rows of PostgreSQL.
    holder = holds.holder(wish["event"], wish["seat"])
    with database.transaction() as db:
        answer = remembered(db, key, wish) if key else None
        if answer:
            if "hold" in wish:
                holds.end_late(wish["event"], wish["seat"], wish["hold"])  # no row is locked by now
            return 201, answer
        holds.check(holder, wish.get("hold"))
        answer = sell(db, wish["event"], wish["seat"], wish["buyer"])
        if key:
            db.execute("UPDATE idempotency_keys SET answer = %s WHERE key = %s", [Jsonb(answer), key])
    if holder is not holds.UNKNOWN:
        holds.end(wish["event"], wish["seat"])
    return 201, answer


def remembered(db, key, wish):
    """The answer that was given for this key, or None; from then on, others with this key wait until we are done."""
    claim = "INSERT INTO idempotency_keys (key, wish) VALUES (%s, %s) ON CONFLICT DO NOTHING"
    if db.execute(claim, [key, Jsonb(wish)]).rowcount == 1:
        return None
    first = db.execute("SELECT wish, answer FROM idempotency_keys WHERE key = %s", [key]).fetchone()
    if first["wish"] != wish:
        raise Problem(409, "key_reused", "This Idempotency-Key belongs to another order.")
    return first["answer"]


def sell(db, event_id, seat, buyer_id):
    """All rules, then all changes. Whatever is raised here undoes the whole transaction."""
    # The lock on the event's row: it does not change until this sale is through. Other sales may have it as well.
    query = "SELECT seats, price_cents FROM events WHERE id = %s FOR KEY SHARE"
    event = db.execute(query, [id_of(event_id)]).fetchone()
    # The lock on the buyer's row: orders of one buyer go one by one, so balance and limit are still true when we write.
    buyer = db.execute("SELECT balance_cents FROM buyers WHERE id = %s FOR UPDATE", [id_of(buyer_id)]).fetchone()
    if event is None or buyer is None or seat > event["seats"]:
        raise invalid("There is no such event, buyer or seat.")
    query = "SELECT count(*) AS tickets FROM orders WHERE event_id = %s AND buyer_id = %s"
    mine = db.execute(query, [id_of(event_id), id_of(buyer_id)]).fetchone()
    if mine["tickets"] >= TICKETS_PER_BUYER:
        raise Problem(409, "limit_4", f"A buyer has at most {TICKETS_PER_BUYER} tickets of an event.")
    if buyer["balance_cents"] < event["price_cents"]:
        raise Problem(402, "balance_too_low", "The balance does not cover the price.")

    pay = "UPDATE buyers SET balance_cents = balance_cents - %s WHERE id = %s"
    db.execute(pay, [event["price_cents"], id_of(buyer_id)])
    order = db.execute(
        "INSERT INTO orders (event_id, buyer_id, seat, price_cents) VALUES (%s, %s, %s, %s) RETURNING id, created_at",
        [id_of(event_id), id_of(buyer_id), seat, event["price_cents"]],
    ).fetchone()
    try:
        ticket = db.execute(
            "INSERT INTO tickets (order_id, event_id, seat) VALUES (%s, %s, %s) RETURNING id",
            [order["id"], id_of(event_id), seat],
        ).fetchone()
    except psycopg.errors.UniqueViolation:
        raise Problem(409, "seat_sold", "This seat is sold.") from None
    return {
        "order": str(order["id"]),
        "ticket": str(ticket["id"]),
        "event": event_id,
        "seat": seat,
        "buyer": buyer_id,
        "price_cents": event["price_cents"],
        "created_at": time_as_text(order["created_at"]),
    }


def hold_of(body):
    """The hold that is named: any text, also an empty one, which no seat is held by."""
    hold = body["hold"]
    if not isinstance(hold, str) or not storable(hold):
        raise invalid("hold is text.")
    return hold


@route("GET", "/orders")
def list_orders(request):
    buyer, limit = request.query.get("buyer"), request.limit()
    if buyer is None:
        raise invalid("Say whose orders: /orders?buyer=...")
    time, id = page_start(request.query.get("after"))
    found = database.rows(
        """
        SELECT orders.id::text AS "order", tickets.id::text AS ticket, orders.event_id::text AS event, orders.seat,
               buyer_id::text AS buyer, price_cents, created_at
        FROM orders JOIN tickets ON tickets.order_id = orders.id
        WHERE buyer_id = %s AND (created_at, orders.id) < (%s, %s)
        ORDER BY created_at DESC, orders.id DESC
        LIMIT %s
        """,
        id_of(buyer), time, id, limit + 1,
    )  # fmt: skip
    page = found[:limit]
    last = f"{time_as_text(page[-1]['created_at'])}_{page[-1]['order']}" if len(found) > limit else None
    return 200, {"items": page, "next": last}


def page_start(after):
    """The time and id of the order that the page before ended with."""
    if after is None:
        return datetime.max.replace(tzinfo=timezone.utc), 0
    time, _, id = after.partition("_")
    if not id_of(id):
        raise invalid("after is what the page before gave as next.")
    return time_of({"after": time}, "after"), id_of(id)
