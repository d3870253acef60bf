"""Events, in PostgreSQL. Each change goes into the outbox as well; Elasticsearch is not asked here."""

import psycopg

import database
import outbox
import worker
from database import id_of
from web import Problem, invalid, number_of, route, text_of, time_of

EVENT_FIELDS = {
    "name": text_of,
    "venue": text_of,
    "starts_at": time_of,
    "seats": lambda body, name: number_of(body, name, 1, 100_000),
    "price_cents": lambda body, name: number_of(body, name, 0, 100_000_000),
}

# The number of tickets comes with the event, in the same statement, however many events there are.
EVENTS = """
    SELECT id::text, name, venue, starts_at, seats, price_cents,
           (SELECT count(*) FROM tickets WHERE event_id = events.id) AS sold
    FROM events"""


def no_such_event():
    return Problem(404, "not_found", "There is no such event.")


def event_exists():
    return Problem(409, "event_exists", "There is another event at this venue at this time.")


@route("POST", "/events")
def add_event(request):
    body = request.json()
    fields = {name: read(body, name) for name, read in EVENT_FIELDS.items()}
    try:
        with database.transaction() as db:
            added = db.execute(
                """
                INSERT INTO events (name, venue, starts_at, seats, price_cents) VALUES (%s, %s, %s, %s, %s)
                RETURNING id, version
                """,
                [*fields.values()],
            ).fetchone()
            outbox.add(db, added["id"], added["version"])
    except psycopg.errors.UniqueViolation:
        raise event_exists() from None
    worker.wake()
    id = str(added["id"])
    return 201, {"id": id, **fields, "sold": 0}, {"Location": f"/events/{id}"}


@route("GET", "/events")
def list_events(request):
    limit, after = request.limit(), id_of(request.query.get("after", ""))
    if "after" in request.query and not after:
        raise invalid("after is what the page before gave as next.")
    # From an id on, not "skip 20 rows": what is added or deleted meanwhile moves nobody to another page.
    found = database.rows(f"{EVENTS} WHERE id > %s ORDER BY events.id LIMIT %s", after, limit + 1)
    page = found[:limit]
    return 200, {"items": page, "next": page[-1]["id"] if len(found) > limit else None}


@route("GET", "/events/{id}")
def show_event(request, id):
    event = database.row(f"{EVENTS} WHERE id = %s", id_of(id))
    if event is None:
        raise no_such_event()
    return 200, event


@route("PATCH", "/events/{id}")
def change_event(request, id):
    body = request.json()
    change = {name: read(body, name) for name, read in EVENT_FIELDS.items() if name in body}
    if not change:
        raise invalid("Name at least one field to change.")
    try:
        with database.transaction() as db:
            event = write_change(db, id_of(id), change)
    except psycopg.errors.UniqueViolation:
        raise event_exists() from None
    worker.wake()
    return 200, event


def write_change(db, id, change):
    # Sales of this event wait until the change is made, so that no seat is sold that is about to vanish.
    if not db.execute("SELECT 1 FROM events WHERE id = %s FOR UPDATE", [id]).fetchone():
        raise no_such_event()
    too_high = "SELECT 1 FROM tickets WHERE event_id = %s AND seat > %s LIMIT 1"
    if "seats" in change and db.execute(too_high, [id, change["seats"]]).fetchone():
        raise Problem(409, "seats_sold", "A seat with a higher number is sold.")
    columns = ", ".join(f"{name} = %s" for name in change)  # names from EVENT_FIELDS, never the client's
    update = f"UPDATE events SET {columns}, version = version_after(version) WHERE id = %s RETURNING version"
    outbox.add(db, id, db.execute(update, [*change.values(), id]).fetchone()["version"])
    return db.execute(f"{EVENTS} WHERE id = %s", [id]).fetchone()


@route("DELETE", "/events/{id}")
def delete_event(request, id):
    delete = "DELETE FROM events WHERE id = %s RETURNING id, version_after(version) AS version"
    try:
        with database.transaction() as db:
            deleted = db.execute(delete, [id_of(id)]).fetchone()
            if deleted is None:
                raise no_such_event()
            outbox.add(db, deleted["id"], deleted["version"])
    except psycopg.errors.ForeignKeyViolation:
        raise Problem(409, "seats_sold", "Seats of this event are sold.") from None
    worker.wake()
    return 204, None
