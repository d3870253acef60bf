"""Holds: a key for each seat that is held. Redis removes it when its time is over; nobody needs to clean up."""

from datetime import datetime, timedelta, timezone
from uuid import uuid4

import database
import hot
import live
from catalogue import no_such
from database import id_of
from web import Problem, invalid, number_of, route, text_of

HOLD_SECONDS = 120
UNKNOWN = object()  # who holds a seat while Redis cannot be reached

# Deletes the key only if it still holds this hold. Two commands could delete a hold that somebody took in between.
release = hot.client.register_script("""
    if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end
    return 0
""")


def key_of(event, seat):
    return f"hold:{event}:{seat}"


@route("POST", "/events/{id}/holds")
def add_hold(request, id):
    body = request.json()
    seat, buyer = number_of(body, "seat", 1, 100_000), text_of(body, "buyer")
    event = database.row(
        """
        SELECT seats, EXISTS (SELECT FROM buyers WHERE id = %s) AS buyer_exists,
               EXISTS (SELECT FROM tickets WHERE event_id = events.id AND seat = %s) AS sold
        FROM events WHERE id = %s
        """,
        id_of(buyer), seat, id_of(id),
    )  # fmt: skip
    if event is None:
        raise no_such("event")
    if seat > event["seats"] or not event["buyer_exists"]:
        raise invalid("There is no such seat or buyer.")
    if event["sold"]:
        raise Problem(409, "seat_sold", "This seat is sold.")
    hold = f"{seat}.{uuid4().hex}"  # begins with the seat, so that a release knows the key
    expires_at = datetime.now(timezone.utc) + timedelta(seconds=HOLD_SECONDS)
    with hot.required() as redis:
        # One command: of two who ask at once, exactly one gets the seat, and no hold is ever without an end.
        if not redis.set(key_of(id, seat), hold, nx=True, ex=HOLD_SECONDS):
            raise Problem(409, "seat_held", "Somebody else holds this seat.")
        try:
            still_free(id, seat)
        except Problem:
            release(keys=[key_of(id, seat)], args=[hold])
            raise
        live.announce(redis, id, "held", seat)
    return 201, {"hold": hold, "expires_at": expires_at}


def still_free(event, seat):
    """Refuses a hold if the seat was sold after we had looked: the sale may not have seen the key, and gone by."""
    if database.row("SELECT 1 FROM tickets WHERE event_id = %s AND seat = %s", id_of(event), seat):
        raise Problem(409, "seat_sold", "This seat is sold.")


@route("DELETE", "/events/{id}/holds/{hold}")
def release_hold(request, id, hold):
    seat = hold.partition(".")[0]
    with hot.required() as redis:
        if not release(keys=[key_of(id, seat)], args=[hold]):
            raise no_such("hold (any more)")
        live.announce(redis, id, "released", int(seat))
    return 204, None


@route("GET", "/events/{id}/seats")
def show_seats(request, id):
    event = database.row("SELECT seats FROM events WHERE id = %s", id_of(id))
    if event is None:
        raise no_such("event")
    seats = range(1, event["seats"] + 1)
    with hot.required() as redis:
        holders = redis.mget([key_of(id, seat) for seat in seats])  # all seats in one trip
    # The holds before the tickets. A sale writes the ticket and then ends the hold: who looks the other way round may
    # come before the one and after the other, and sees a seat free that never was.
    sold = {ticket["seat"] for ticket in database.rows("SELECT seat FROM tickets WHERE event_id = %s", id_of(id))}
    states = ["sold" if seat in sold else "free" if holder is None else "held" for seat, holder in zip(seats, holders)]
    return 200, {"items": [{"seat": seat, "state": state} for seat, state in zip(seats, states)]}


# --- for a sale --------------------------------------------------------------------------------------------------


def holder(event, seat):
    """The hold on a seat, None if it is free, UNKNOWN while Redis cannot be reached."""
    with hot.optional() as redis:
        return redis.get(key_of(event, seat))
    return UNKNOWN


def end_late(event, seat, hold):
    """An order is answered again: whoever made it may have been killed before its hold was ended."""
    with hot.optional():
        release(keys=[key_of(event, seat)], args=[hold])


def check(holder, named):
    """Refuses a sale to somebody who does not hold the seat. While Redis cannot be reached, holds do not count."""
    if holder is UNKNOWN or holder == named:
        return
    if named is not None:
        raise Problem(410, "hold_expired", "This hold does not hold this seat (any more).")
    raise Problem(409, "seat_held", "Somebody else holds this seat.")


def end(event, seat):
    """The seat is sold: no hold on it has a meaning any more, whosever it is; and who listens hears of it."""
    with hot.optional() as redis, redis.pipeline() as both:
        both.delete(key_of(event, seat))
        live.announce(both, event, "sold", seat)
        both.execute()
