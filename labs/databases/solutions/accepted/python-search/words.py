"""From what somebody typed to what Elasticsearch is asked. Each word is a text to compare, never part of a language."""

TYPO = {"fuzziness": "AUTO:5,201", "prefix_length": 1, "fuzzy_rewrite": "constant_score"}  # one letter, from five on


def query_of(q):
    """Any of the words will do; the more an event has, and the better, the earlier it comes."""
    words = dict.fromkeys(q.split())
    return {"bool": {"should": [best_of(word) for word in words], "minimum_should_match": 1}}


def best_of(word):
    """How well an event has the word: what counts is the best of these, and not how rare the word is."""
    tiers = [
        is_in(word, ["name.plain"]),
        is_in(word, ["name"]),
        is_in(word, ["venue.plain"]),
        is_in(word, ["venue"]),
        is_in(word, ["name", "name.plain"], **TYPO),
        is_in(word, ["venue", "venue.plain"], **TYPO),
    ]
    scores = range(len(tiers), 0, -1)
    return {"dis_max": {"queries": [scored(tier, score) for tier, score in zip(tiers, scores, strict=True)]}}


def is_in(word, fields, **options):
    return {"multi_match": {"query": word, "fields": fields, **options}}


def scored(query, score):
    return {"constant_score": {"filter": query, "boost": score}}
