"""Names in checks that use MongoDB: collections and fields, given to the fixture or to a database that it opened."""

from __future__ import annotations

from orchestrator.services.parts import Names, Takes

_COLLECTION = (Takes("collection", 0, "collection"),)
_QUERY = (*_COLLECTION, Takes("document", 1, "query"))
_FIXTURE = {
    **dict.fromkeys(("find", "count", "one", "delete"), _QUERY),
    "find": (*_QUERY, Takes("field", None, "fields"), Takes("field", None, "sort")),
    "aggregate": (*_COLLECTION, Takes("document", 1, "pipeline")),
    "types": (*_COLLECTION, Takes("field", 1, "field")),
    "plant": (*_COLLECTION, Takes("document", 1, rest=True)),
    "change": (*_QUERY, Takes("document", 2, "update")),
    "refused": (*_COLLECTION, Takes("document", 1, "document")),
    "indexes": _COLLECTION,
    "validator": _COLLECTION,
    "operations().of": (Takes("collection", None, "collection"),),
}
_FILTER = (Takes("document", 0, "filter"),)
_UPDATE = (*_FILTER, Takes("document", 1, "update"))
_FILTERED = ("find", "find_one", "count_documents", "delete_one", "delete_many", "find_one_and_delete")
_DRIVER = {
    **dict.fromkeys(_FILTERED, _FILTER),
    **dict.fromkeys(("update_one", "update_many", "find_one_and_update"), _UPDATE),
    **dict.fromkeys(("replace_one", "find_one_and_replace"), (*_FILTER, Takes("document", 1, "replacement"))),
    "insert_one": (Takes("document", 0, "document"),),
    "insert_many": (Takes("document", 0, "documents"),),
    "aggregate": (Takes("document", 0, "pipeline"),),
    "distinct": (Takes("field", 0, "key"), Takes("document", 1, "filter")),
    "create_index": (Takes("field", 0, "keys"),),
}

NAMES = Names(
    methods={
        **_FIXTURE,
        "as_learner()[]": (Takes("collection"),),
        **{f"as_learner()[].{method}": takes for method, takes in _DRIVER.items()},
    },
    reserved=("_id", "system.*"),
    opaque=("$expr", "$jsonSchema", "$text", "$geometry", "$near", "$nearSphere", "$geoWithin", "$geoIntersects"),
    reasons={
        "schema-missing-collection": "MongoDB has no such collection",
        "schema-wrong-type": "a collection is a view",
        "schema-plant-refused": "MongoDB refused a document of another client",
        "schema-locked": "a transaction held on to a document",
    },
)
