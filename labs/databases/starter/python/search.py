"""The search for events, in memory like the rest: it looks at each event, and finds words only as they are written.

In the track `elasticsearch` you ask Elasticsearch instead, which forgives accents, endings and typos.
"""

from collections import Counter

from web import Problem, invalid, route, time_of


@route("POST", "/search/rebuild")
def rebuild(request):
    raise Problem(503, "unavailable", "There is no index yet that could be made anew.")


def search(events, request):
    """What openapi.yaml calls Found, from these events."""
    limit, after = request.limit(), request.query.get("after", "0")
    if not (after.isascii() and after.isdigit() and len(after) < 20):
        raise invalid("after is what the page before gave as next.")
    matching = sorted(filter(wish_of(request.query), events), key=lambda event: event["starts_at"])
    venues = Counter(event["venue"] for event in matching).most_common(10)
    end = int(after) + limit
    return {
        "items": [shown(event) for event in matching[int(after) : end]],
        "total": len(matching),
        "venues": [{"venue": venue, "events": count} for venue, count in venues],
        "next": str(end) if len(matching) > end else None,
    }


def wish_of(query):
    """Whether an event is one of those that are looked for, as a function."""
    words, venue = set(query.get("q", "").split()), query.get("venue")
    if len(query.get("q", "")) > 200:
        raise invalid("q has at most 200 characters.")
    earliest, end = (time_of(query, name) if name in query else None for name in ("from", "to"))

    def matches(event):
        return (
            (not words or words & {*event["name"].split(), *event["venue"].split()})
            and venue in (None, event["venue"])
            and (earliest is None or event["starts_at"] >= earliest)
            and (end is None or event["starts_at"] < end)
        )

    return matches


def shown(event):
    return {"event": event["id"], **{name: event[name] for name in ("name", "venue", "starts_at")}}
