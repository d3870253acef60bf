"""The search for events. Elasticsearch answers it alone."""

import base64
import json

import elastic
from web import invalid, route, storable, time_as_text, time_of
from words import query_of

LONGEST_Q = 200
FIELDS = ["event", "name", "venue", "starts_at"]
BY_TIME = [{"starts_at": "asc"}, {"event": "asc"}]
BY_SCORE = [{"_score": "desc"}, {"event": "asc"}]


@route("GET", "/search")
def search(request):
    limit, query = request.limit(), request.query
    q = query.get("q", "")
    if len(q) > LONGEST_Q:
        raise invalid(f"q has at most {LONGEST_Q} characters.")
    wish = {
        "query": {"bool": {"must": [query_of(q)] if q else [], "filter": filters_of(query)}},
        "sort": BY_SCORE if q else BY_TIME,
        "size": limit + 1,  # the one more says whether there is another page
        "_source": FIELDS,
        "track_total_hits": True,  # not only up to ten thousand
        "aggs": {"venues": {"terms": {"field": "venue.whole", "size": 10}}},
    }
    if "after" in query:
        wish["search_after"] = place_of(query["after"])
    return 200, shown(found(wish), limit)


def filters_of(query):
    filters = []
    if "venue" in query:
        filters.append({"term": {"venue.whole": query["venue"]}})
    if "from" in query:
        filters.append({"range": {"starts_at": {"gte": time_as_text(time_of(query, "from"))}}})
    if "to" in query:
        filters.append({"range": {"starts_at": {"lt": time_as_text(time_of(query, "to"))}}})
    return filters


def found(wish):
    try:
        return elastic.ask("POST", "/events/_search", wish)
    except elastic.Refused as refused:
        if refused.status == 404:  # the index could not be made yet
            raise elastic.unavailable() from None
        raise


def shown(answer, limit):
    hits = answer["hits"]["hits"]
    venues = answer["aggregations"]["venues"]["buckets"]
    return {
        "items": [{name: hit["_source"][name] for name in FIELDS} for hit in hits[:limit]],
        "total": answer["hits"]["total"]["value"],
        "venues": [{"venue": venue["key"], "events": venue["doc_count"]} for venue in venues],
        "next": after_of(hits[limit - 1]) if len(hits) > limit else None,
    }


# --- pages: each begins behind the last event of the one before, wherever that is now --------------------------------


def after_of(hit):
    return base64.urlsafe_b64encode(json.dumps(hit["sort"]).encode()).decode()


def place_of(after):
    try:
        value, event = json.loads(base64.urlsafe_b64decode(after.encode()))
        if type(value) in (int, float) and abs(value) < 2**63 and storable(event):
            return [value, event]
    except (ValueError, TypeError, RecursionError):
        pass
    raise invalid("after is what the page before gave as next.")
