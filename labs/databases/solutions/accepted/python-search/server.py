"""The events of the Box Office in PostgreSQL, and the search for them in Elasticsearch. Each file holds one subject."""

import os
import sys

import database
import elastic
import events  # noqa: F401
import rebuild  # noqa: F401
import search  # noqa: F401
import worker
from patience import meanwhile
from web import Problem, route, serve


@route("GET", "/health")
def health(request):
    elasticsearch = meanwhile(elastic.is_up)
    up = {"postgres": database.is_up(), "elasticsearch": elasticsearch()}
    return 200 if all(up.values()) else 503, {name: "up" if is_up else "down" for name, is_up in up.items()}


if __name__ == "__main__":
    try:
        database.create_tables()
    except Problem as problem:
        sys.exit(str(problem))
    worker.start()
    serve(int(os.environ.get("PORT", "8080")))
