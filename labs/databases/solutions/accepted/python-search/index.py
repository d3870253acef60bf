"""The index `events`: what its documents look like, how they get in, which indices there are."""

import uuid

import elastic
from web import time_as_text

ALIAS = "events"  # what everybody asks; behind it is one index, whose name is its own
NEXT = "events-next"  # an index that is being made has this one
PATIENCE = 3.0  # seconds; what has to be found soon after an outage cannot wait for longer
NOT_THERE, NEWER_IS_THERE = 404, 409


def text(filters):
    return {"type": "custom", "char_filter": ["accents"], "tokenizer": "standard", "filter": filters}


SETTINGS = {
    "number_of_shards": 1,  # so that counts of venues are exact
    "number_of_replicas": 0,
    "analysis": {
        # Accents that are characters of their own; those that are part of a letter are for `asciifolding`.
        "char_filter": {"accents": {"type": "pattern_replace", "pattern": "[\\u0300-\\u036f]", "replacement": ""}},
        "filter": {
            "possessive": {"type": "stemmer", "language": "possessive_english"},
            "endings": {"type": "stemmer", "language": "english"},
        },
        "analyzer": {
            "english": text(["lowercase", "asciifolding", "possessive", "endings"]),
            "plain": text(["lowercase", "asciifolding"]),
        },
    },
}

# The same words twice: without their endings, and as they are, which is where typos are looked for.
WORDS = {"type": "text", "analyzer": "english", "fields": {"plain": {"type": "text", "analyzer": "plain"}}}
VENUE = {**WORDS, "fields": {**WORDS["fields"], "whole": {"type": "keyword"}}}

MAPPINGS = {
    "dynamic": False,  # a field that is not in here is kept, and never becomes part of the mapping
    "properties": {
        "event": {"type": "keyword"},
        "name": WORDS,
        "venue": VENUE,
        "starts_at": {"type": "date"},
    },
}


def create():
    """A new, empty index; its name. Nobody asks it before `switch_to`, but changes are written to it from now on."""
    name = f"{ALIAS}-{uuid.uuid4().hex}"
    body = {"settings": SETTINGS, "mappings": MAPPINGS, "aliases": {NEXT: {}}}
    elastic.ask("PUT", f"/{name}", body, PATIENCE)
    return name


def all_with_aliases():
    """Each index of ours -> its aliases."""
    found = elastic.ask("GET", f"/{ALIAS},{ALIAS}-*/_alias?ignore_unavailable=true")
    return {name: set(index["aliases"]) for name, index in found.items()}


def switch_to(new):
    """From one moment to the next, the alias is for this index alone. Returns the others, which nobody needs now."""
    indices = all_with_aliases()
    actions = [{"add": {"index": new, "alias": ALIAS}}]
    for name, aliases in indices.items():
        unwanted = aliases & {NEXT} if name == new else aliases & {ALIAS, NEXT}
        actions += [{"remove": {"index": name, "alias": alias}} for alias in unwanted]
    if ALIAS in indices:  # an index that has the alias's own name must go first
        actions.append({"remove_index": {"index": ALIAS}})
    elastic.ask("POST", "/_aliases", {"actions": actions}, PATIENCE)
    return [name for name in indices if name not in (new, ALIAS)]


def refresh(name):
    elastic.ask("POST", f"/{name}/_refresh", patience=PATIENCE)


def delete(names):
    elastic.ask("DELETE", f"/{','.join(names)}?ignore_unavailable=true", patience=PATIENCE)


# --- documents -------------------------------------------------------------------------------------------------------


def write(events, targets, refresh):
    """Writes events as they are, and takes out those without a name; gives the ids of those that went wrong.

    Elasticsearch compares the versions: what is older than what it has (or than what it has just deleted) is refused,
    in whichever order requests arrive.
    """
    lines = [line for event in events for target in targets for line in lines_of(event, target)]
    answer = elastic.ask("POST", f"/_bulk?refresh={'true' if refresh else 'false'}", lines, PATIENCE)
    results = [result for item in answer["items"] for result in item.values()]
    return {result["_id"] for result in results if not is_done(result)}


def lines_of(event, target):
    where = {"_index": target, "_id": str(event["id"]), "version": event["version"], "version_type": "external_gte"}
    return [{"delete": where}] if event["name"] is None else [{"index": where}, document_of(event)]


def document_of(event):
    return {
        "event": str(event["id"]),
        "name": event["name"],
        "venue": event["venue"],
        "starts_at": time_as_text(event["starts_at"]),
    }


def is_done(result):
    gone = result["status"] == NOT_THERE and result.get("result") == "not_found"  # deleted already
    return result["status"] < 300 or result["status"] == NEWER_IS_THERE or gone
