"""The Box Office on PostgreSQL, Redis, MongoDB and SQLite. Each file holds one subject; importing it adds its routes."""

import os
import sys

import catalogue  # noqa: F401
import database
import documents
import gate  # noqa: F401
import holds  # noqa: F401
import hot
import live
import orders  # noqa: F401
import page_live  # noqa: F401
import pages  # noqa: F401
import reviews  # noqa: F401
import views  # noqa: F401
from web import Problem, route, serve


@route("GET", "/health")
def health(request):
    mongodb = documents.ask()
    state = {"postgres": "up" if database.is_up() else "down", "redis": "up" if hot.is_up() else "down"}
    state |= mongodb()
    return 503 if "down" in state.values() else 200, state


if __name__ == "__main__":
    documents.start()
    try:
        database.create_tables()
    except Problem as problem:
        sys.exit(str(problem))
    live.start()
    serve(int(os.environ.get("PORT", "8080")))
