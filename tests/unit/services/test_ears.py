"""Who can read a service's protocol is listened with."""

from __future__ import annotations

import pytest

from orchestrator import services
from orchestrator.services.base import Overhearing


@pytest.mark.parametrize("name", [name for name in services.names() if services.part_name(name, "wire")])
def test_who_can_read_its_protocol_is_listened_with(name: str) -> None:
    """What reads a service's protocol and is not offered to explorations would leave their steps without names."""
    recipe = services.recipe(name)

    assert isinstance(recipe, Overhearing)
    heard = recipe.ears()(True).hear(b"")
    assert (heard.text, heard.whole) == ("", True)
