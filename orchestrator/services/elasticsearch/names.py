"""Names in checks that use Elasticsearch: indices and fields, given to the fixture."""

from __future__ import annotations

from orchestrator.services.parts import Names, Takes

_INDEX = (Takes("collection", 0, "index"),)
_QUERY = (*_INDEX, Takes("document", 1, "query"))
_SORT = Takes("document", None, "sort")

NAMES = Names(
    methods={
        **dict.fromkeys(("documents", "count", "delete"), _QUERY),
        **dict.fromkeys(("get", "mapping", "settings", "refresh", "slowness"), _INDEX),
        "search": (*_QUERY, _SORT),
        "hits": (*_QUERY, _SORT),
        "plant": (*_INDEX, Takes("document", 1, rest=True)),
        "searches().of": (Takes("collection", 0, "name"),),
        "mapping()[]": (Takes("field"),),
    },
    reserved=(
        "_id", "_doc", "_score", "_source", "_index", "_all", ".*",
        # The words of queries, which stand where fields do.
        "bool", "must", "must_not", "should", "filter", "minimum_should_match", "constant_score", "dis_max", "queries",
        "match", "match_all", "match_none", "match_phrase", "match_phrase_prefix", "match_bool_prefix", "multi_match",
        "query_string", "simple_query_string", "term", "terms", "terms_set", "range", "exists", "prefix", "wildcard",
        "regexp", "fuzzy", "ids", "nested", "has_child", "has_parent", "percolate", "function_score", "script_score",
        "geo_distance", "geo_bounding_box", "query", "fields", "field", "path", "value", "values", "boost", "operator",
        "analyzer", "fuzziness", "prefix_length", "gt", "gte", "lt", "lte", "format", "time_zone", "relation", "slop",
        "type", "tie_breaker", "order", "mode", "missing", "unmapped_type", "score_mode", "boost_mode", "functions",
        "weight", "script", "params", "source", "lang", "default_operator", "lenient", "distance", "case_insensitive",
    ),
    reasons={
        "schema-missing-index": "Elasticsearch has no such index",
        "schema-index-closed": "an index is closed, or may not be read",
        "schema-wrong-type": "a field is mapped to another type, or an alias shows a part of an index",
        "schema-plant-refused": "Elasticsearch refused a document of another client",
    },
)
