"""What a word after `labs stop` or `labs reset` means."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from orchestrator.cli.toolbox import service_or_environment
from orchestrator.environments.started import Started
from orchestrator.errors import UsageError


def started(*environments: str) -> Started:
    instances = [SimpleNamespace(spec=SimpleNamespace(service="redis", name_given=name)) for name in environments]
    return cast("Started", SimpleNamespace(recipes={"postgres": None}, instances=lambda _name=None: instances))


@pytest.mark.parametrize(("word", "meant"), [
    ("postgres", ("postgres", None)),
    ("evening", (None, "evening")),
    ("databases", (None, "databases")),  # a lab; nothing of it has been started
    (None, (None, None)),
])
def test_a_service_an_environment_or_a_lab(word: str | None, meant: Any) -> None:
    """After `labs start databases` people say `labs stop databases`, whether anything runs or not."""
    assert service_or_environment(started("evening"), word, None) == meant


def test_a_word_that_is_none_of_them() -> None:
    """Said as what it was taken for."""
    with pytest.raises(UsageError, match="postgres") as said:
        service_or_environment(started(), "postgress", None)
    assert said.value.code == "unknown-service"
