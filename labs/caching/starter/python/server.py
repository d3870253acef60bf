"""The pages of the Box Office: events in PostgreSQL, and no cache yet. This is what you change."""

import os

import database
from web import Problem, object_of, route, serve


@route("GET", "/health")
def health(request):
    state = {"postgres": "up" if database.is_up() else "down"}
    return 503 if "down" in state.values() else 200, state


@route("GET", "/events/{event}")
def show_event(request, event):
    found = database.find(event)
    if found is None:
        raise Problem(404, "not_found", "There is no such event.")
    return 200, found


@route("PUT", "/events/{event}")
def write_event(request, event):
    body = object_of(request)
    fields = [body.get(name) for name in ("name", "venue", "price_cents")]
    with database.transaction() as db:
        was_there = database.write(db, event, *fields)
    return 200 if was_there else 201, dict(zip(("event", "name", "venue", "price_cents"), [event, *fields]))


@route("DELETE", "/events/{event}")
def delete_event(request, event):
    with database.transaction() as db:
        if not database.delete(db, event):
            raise Problem(404, "not_found", "There is no such event.")
    return 204, None


if __name__ == "__main__":
    database.create_tables()
    serve(int(os.environ.get("PORT", "8080")))
