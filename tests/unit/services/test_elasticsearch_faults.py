"""Whose fault a refusal of Elasticsearch is."""

from __future__ import annotations

import pytest

from orchestrator.services.elasticsearch.evidence.faults import schema_fault
from orchestrator.services.elasticsearch.evidence.rest import Refused


@pytest.mark.parametrize("planting", [False, True])
def test_an_alias_for_two_indices_is_the_learners(planting: bool) -> None:
    """A document cannot be read, or written, by it: the words are those of 7.10 and of its fork."""
    for words in ("alias [events] has more than one index associated with it [a, b], can't execute a single index op",
                  "Alias [events] has more than one indices associated with it [[a, b]], can't execute a single index op"):
        wrong = schema_fault(Refused(400, "illegal_argument_exception", words), "events", planting=planting)

        assert wrong is not None
        assert (wrong.reason, wrong.expected) == ("schema-wrong-type", "an index, or an alias for one")


def test_a_mistake_in_a_query_is_the_checks_own() -> None:
    """It stays what it is."""
    assert schema_fault(Refused(400, "parsing_exception", "unknown query [mach]"), "events", planting=False) is None
