"""Orders. A sale is one transaction: everything that belongs to it happens, or nothing does."""

from datetime import datetime, timezone
from typing import Annotated

from fastapi import Header
from pydantic import BaseModel
from sqlalchemy import func, insert, select, tuple_
from sqlalchemy.exc import IntegrityError

from database import DUPLICATE, id_of, number_of, transaction, tried_again
from models import Buyer, Event, Order, Remembered, Ticket
from web import AnyText, Limit, Problem, app, invalid, moment, time_as_text, whole_number

TICKETS_PER_BUYER = 4


class NewOrder(BaseModel):
    event: AnyText
    seat: whole_number(1, 100_000)
    buyer: AnyText
    hold: AnyText | None = None


@app.post("/orders", status_code=201)
@tried_again
def buy(wish: NewOrder, idempotency_key: Annotated[str | None, Header(max_length=100)] = None):
    asked = wish.model_dump(exclude_none=True)
    with transaction() as db:
        place = place_of(db, idempotency_key) if idempotency_key else None
        if place and place.answer:
            if place.wish != asked:
                raise Problem(409, "key_reused", "This Idempotency-Key belongs to another order.")
            return place.answer
        answer = sell(db, wish)
        if place:
            place.wish, place.answer = asked, answer
    return answer


def place_of(db, key):
    """What is remembered of this key. Others with this key wait here until this sale is through.

    The row is made and committed before the sale begins. Why not INSERT it in the sale, and let others wait for that?
    When such a sale is refused, InnoDB lets all who wait go on at once, each with a lock that stops the others: a
    deadlock for all but one. A lock on a row that is there is given to one after the other.
    """
    try:
        # Not INSERT IGNORE: that ignores much more than a key that is there, such as a text that is too long.
        db.execute(insert(Remembered).values(idempotency_key=key))
        db.commit()
    except IntegrityError as error:
        if number_of(error) != DUPLICATE:
            raise
        db.rollback()  # the refused INSERT keeps a lock on the row that is there
    return db.get(Remembered, key, with_for_update=True)


def sell(db, wish):
    """All rules, then all changes. Whatever is raised here undoes the whole transaction."""
    # A shared lock on the event's row: it does not change until this sale is through. Other sales may have it as well.
    event = db.get(Event, id_of(wish.event), with_for_update={"read": True})
    # The lock on the buyer's row: orders of one buyer go one by one, so balance and limit are still true when we write.
    # It comes before the INSERT into orders. That takes a shared lock on the buyer, for the foreign key; two sales that
    # both have it, and then both want to change the balance, wait for each other: a deadlock.
    buyer = db.get(Buyer, id_of(wish.buyer), with_for_update=True)
    if event is None or buyer is None or wish.seat > event.seats:
        raise invalid("There is no such event, buyer or seat.")
    mine = select(func.count()).where(Order.event_id == event.id, Order.buyer_id == buyer.id)
    if db.scalar(mine) >= TICKETS_PER_BUYER:
        raise Problem(409, "limit_4", f"A buyer has at most {TICKETS_PER_BUYER} tickets of an event.")
    if buyer.balance_cents < event.price_cents:
        raise Problem(402, "balance_too_low", "The balance does not cover the price.")

    buyer.balance_cents -= event.price_cents
    order = Order(event_id=event.id, buyer_id=buyer.id, seat=wish.seat, price_cents=event.price_cents)
    db.add(order)
    db.flush()  # the UPDATE and the INSERT are sent now; the driver then knows the order's AUTO_INCREMENT id
    ticket = Ticket(order_id=order.id, event_id=event.id, seat=wish.seat)
    db.add(ticket)
    try:
        db.flush()
    except IntegrityError as error:
        if number_of(error) != DUPLICATE:
            raise
        raise Problem(409, "seat_sold", "This seat is sold.") from None
    return as_order(order, ticket.id)


def as_order(order, ticket_id):
    return {
        "order": str(order.id),
        "ticket": str(ticket_id),
        "event": str(order.event_id),
        "seat": order.seat,
        "buyer": str(order.buyer_id),
        "price_cents": order.price_cents,
        # MySQL gave it and has no RETURNING: after an INSERT, SQLAlchemy asks for it with a SELECT, here.
        "created_at": time_as_text(order.created_at),
    }


@app.get("/orders")
def list_orders(buyer: str, limit: Limit = 20, after: str | None = None):
    page = (
        select(Order, Ticket.id)
        .join(Ticket, Ticket.order_id == Order.id)
        .where(Order.buyer_id == id_of(buyer), tuple_(Order.created_at, Order.id) < tuple_(*page_start(after)))
        .order_by(Order.created_at.desc(), Order.id.desc())
        .limit(limit + 1)
    )
    with transaction() as db:
        found = [as_order(*row) for row in db.execute(page)]
    last = f"{found[limit - 1]['created_at']}_{found[limit - 1]['order']}" if len(found) > limit else None
    return {"items": found[:limit], "next": last}


def page_start(after):
    """The time and id of the order that the page before ended with."""
    if after is None:
        return datetime.max.replace(tzinfo=timezone.utc), 0
    time, _, id = after.partition("_")
    if not id_of(id):
        raise invalid("after is what the page before gave as next.")
    try:
        return moment(time), id_of(id)
    except ValueError:
        raise invalid("after is what the page before gave as next.") from None
