"""How Elasticsearch's own words are read: which requests are the same, and where a password stands in them."""

from __future__ import annotations

import re

from orchestrator.services.parts import Sight

_NUMBER = re.compile(r"(?<![\w-])\d+(?![\w-])")


def shape(text: str) -> str:
    """A line of counts without the counts: ``pages: ? documents written``."""
    return _NUMBER.sub("?", text)


SIGHT = Sight(
    entry="count",
    entries="counts",
    legend="statistics: Elasticsearch's own counts for each index, from the beginning of the milestone to its end.",
    shape=shape,
    secrets=(
        # A login, as a client sends and logs it.
        r"\b[Aa]uthorization['\"]?\s{0,5}[:=]\s{0,5}['\"]?(?:Basic|ApiKey|Bearer) (?P<secret>[\w+/=.-]+)",
        r"\bELASTIC_PASSWORD['\"]?\s{0,5}[:=]\s{0,5}['\"]?(?P<secret>[^\s'\"]+)",
    ),
    secret_names=("api_key",),
)
