"""Views: counted by Redis itself, so that no two servers and no two threads ever overwrite each other's count."""

import database
import hot
from database import id_of
from web import Problem, route


def must_exist(event):
    if not database.row("SELECT 1 FROM events WHERE id = %s", id_of(event)):
        raise Problem(404, "not_found", "There is no such event.")


@route("POST", "/events/{id}/views")
def add_view(request, id):
    must_exist(id)
    with hot.required() as redis, redis.pipeline(transaction=True) as both:
        both.incr(f"views:{id}")
        both.zincrby("trending", 1, id)
        both.execute()
    return 204, None


@route("GET", "/events/{id}/views")
def show_views(request, id):
    must_exist(id)
    with hot.required() as redis:
        return 200, {"views": int(redis.get(f"views:{id}") or 0)}


@route("GET", "/trending")
def trending(request):
    limit = request.limit()
    with hot.required() as redis:
        best = redis.zrange("trending", 0, limit - 1, desc=True, withscores=True)
    return 200, {"items": [{"event": event, "views": int(score)} for event, score in best]}


def forget(event):
    """The event is deleted: nobody should see it in the list any more."""
    with hot.optional() as redis, redis.pipeline(transaction=True) as both:
        both.delete(f"views:{event}")
        both.zrem("trending", event)
        both.execute()
