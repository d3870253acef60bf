"""Buyers and events."""

from fastapi import Response
from pydantic import BaseModel
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError

from database import DUPLICATE, STILL_NAMED, id_of, number_of, transaction, tried_again
from models import Buyer, Event, Ticket
from web import Limit, Problem, Text, Time, app, invalid, time_as_text, whole_number


class NewBuyer(BaseModel):
    name: Text
    balance_cents: whole_number(0, 1_000_000_000)


class NewEvent(BaseModel):
    name: Text
    venue: Text
    starts_at: Time
    seats: whole_number(1, 100_000)
    price_cents: whole_number(0, 100_000_000)


class EventChange(NewEvent):
    """Each field may be left out; None stands for that, and for nothing else: a `null` of the client is refused."""

    name: Text = None
    venue: Text = None
    starts_at: Time = None
    seats: whole_number(1, 100_000) = None
    price_cents: whole_number(0, 100_000_000) = None


# The number of tickets comes with the event, in the same statement, however many events there are.
SOLD = select(func.count()).where(Ticket.event_id == Event.id).correlate(Event).scalar_subquery()
EVENTS = select(Event, SOLD)


def no_such(what):
    return Problem(404, "not_found", f"There is no such {what}.")


def as_event(event, sold):
    return {
        "id": str(event.id),
        "name": event.name,
        "venue": event.venue,
        "starts_at": time_as_text(event.starts_at),
        "seats": event.seats,
        "price_cents": event.price_cents,
        "sold": sold,
    }


def refused(error):
    """What a refusal of MySQL means for a client; the error itself if it means nothing that we know."""
    if number_of(error) == DUPLICATE:
        return Problem(409, "event_exists", "There is another event at this venue at this time.")
    if number_of(error) == STILL_NAMED:
        return Problem(409, "seats_sold", "Seats of this event are sold.")
    return error


@app.post("/buyers", status_code=201)
@tried_again
def add_buyer(wish: NewBuyer, response: Response):
    with transaction() as db:
        buyer = Buyer(**wish.model_dump())
        db.add(buyer)
    response.headers["Location"] = f"/buyers/{buyer.id}"
    return {"id": str(buyer.id), **wish.model_dump()}


@app.get("/buyers/{id}")
def show_buyer(id: str):
    with transaction() as db:
        buyer = db.get(Buyer, id_of(id))
    if buyer is None:
        raise no_such("buyer")
    return {"id": str(buyer.id), "name": buyer.name, "balance_cents": buyer.balance_cents}


@app.post("/events", status_code=201)
@tried_again
def add_event(wish: NewEvent, response: Response):
    try:
        with transaction() as db:
            event = Event(**wish.model_dump())
            db.add(event)
    except IntegrityError as error:
        raise refused(error) from error
    response.headers["Location"] = f"/events/{event.id}"
    return as_event(event, sold=0)


@app.get("/events")
def list_events(limit: Limit = 20, after: str | None = None):
    if after is not None and not id_of(after):
        raise invalid("after is what the page before gave as next.")
    # From an id on, not "skip 20 rows": what is added or deleted meanwhile moves nobody to another page.
    page = EVENTS.where(Event.id > id_of(after or "")).order_by(Event.id).limit(limit + 1)
    with transaction() as db:
        found = [as_event(*row) for row in db.execute(page)]
    return {"items": found[:limit], "next": found[limit - 1]["id"] if len(found) > limit else None}


@app.get("/events/{id}")
def show_event(id: str):
    with transaction() as db:
        found = db.execute(EVENTS.where(Event.id == id_of(id))).first()
    if found is None:
        raise no_such("event")
    return as_event(*found)


@app.patch("/events/{id}")
@tried_again
def change_event(id: str, wish: EventChange):
    change = wish.model_dump(exclude_unset=True)
    if not change:
        raise invalid("Name at least one field to change.")
    try:
        with transaction() as db:
            # Sales of this event wait until the change is made, so that no seat is sold that is about to vanish.
            event = db.get(Event, id_of(id), with_for_update=True)
            if event is None:
                raise no_such("event")
            highest = db.scalar(select(func.max(Ticket.seat)).where(Ticket.event_id == event.id)) or 0
            if change.get("seats", highest) < highest:
                raise Problem(409, "seats_sold", "A seat with a higher number is sold.")
            for name, value in change.items():
                setattr(event, name, value)
            db.flush()
            return as_event(event, db.scalar(select(func.count()).where(Ticket.event_id == event.id)))
    except IntegrityError as error:
        raise refused(error) from error


@app.delete("/events/{id}", status_code=204)
@tried_again
def delete_event(id: str):
    try:
        with transaction() as db:
            if db.execute(delete(Event).where(Event.id == id_of(id))).rowcount == 0:
                raise no_such("event")
    except IntegrityError as error:
        raise refused(error) from error
