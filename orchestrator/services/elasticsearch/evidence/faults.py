"""Whose fault it is when Elasticsearch refuses what the checker asks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.checks.errors import SchemaWrong, ServiceLost
from orchestrator.services.elasticsearch.evidence.rest import Refused

_BUSY = 429
_WRONG_TYPE = re.compile(
    r"Fielddata is disabled|Text fields are not optimi[sz]ed|No mapping found for|failed to create query"
    r"|failed to parse date field|fielddata is unsupported", re.IGNORECASE)
_OF_SEVERAL = re.compile(r"alias \[.*\] has more than one ind(ex|ices) associated", re.IGNORECASE)
"""One document cannot be read by an alias for several indices."""
_MISTAKE = frozenset({"parsing_exception", "x_content_parse_exception", "named_object_not_found_exception"})
"""What a mistake in a check's own query looks like: never the learner's fault."""


@contextmanager
def lost() -> Iterator[None]:
    """A lost connection, or a node that has no room: never the learner's fault."""
    try:
        yield
    except Refused as refused:
        if refused.status == _BUSY or refused.status >= 500:
            raise ServiceLost("elasticsearch", str(refused)) from refused
        raise
    except OSError as error:
        raise ServiceLost("elasticsearch", str(error) or type(error).__name__) from error


def schema_fault(refused: Refused, index: str, *, planting: bool) -> SchemaWrong | None:
    """The learner's part in a refusal; ``None`` where there is none."""
    if refused.kind == "index_not_found_exception":
        return SchemaWrong("schema-missing-index", "the indices in Elasticsearch", f"{index} is there", "it is not")
    if refused.kind == "index_closed_exception":
        return SchemaWrong("schema-index-closed", f"the index {index} in Elasticsearch", "it is open", "it is closed")
    if refused.kind == "cluster_block_exception" and not planting:
        return SchemaWrong("schema-index-closed", f"the index {index} in Elasticsearch", "it can be read",
                           refused.reason)
    if _OF_SEVERAL.search(refused.reason):
        return SchemaWrong("schema-wrong-type", f"what {index} is in Elasticsearch", "an index, or an alias for one",
                           refused.reason)
    if refused.status == _BUSY or refused.status >= 500 or refused.kind in _MISTAKE:
        return None
    if planting:
        return SchemaWrong("schema-plant-refused",
                           f"whether Elasticsearch takes a document of another client in {index}",
                           "the document is taken", f"{refused.reason} [{refused.kind}]")
    if _WRONG_TYPE.search(refused.reason):
        return SchemaWrong("schema-wrong-type", f"the mapping of {index} in Elasticsearch",
                           "fields of the types that storage.md names", refused.reason)
    return None
