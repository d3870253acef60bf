"""Judging a server: the supervisor on one side, the pytest child on the other.

What checks import is here: ``expect``, ``promises`` and ``Call``, loaded when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.checks import expect
    from orchestrator.checks.answer import Response
    from orchestrator.checks.errors import Late
    from orchestrator.checks.promised import promises
    from orchestrator.checks.server import Call, NoAnswer

__all__ = ["Call", "Late", "NoAnswer", "Response", "expect", "promises"]


def __getattr__(name: str) -> Any:
    import importlib

    if name == "expect":
        return importlib.import_module("orchestrator.checks.expect")
    if name == "Late":
        return importlib.import_module("orchestrator.checks.errors").Late
    if name == "promises":
        return importlib.import_module("orchestrator.checks.promised").promises
    if name in __all__:
        return getattr(importlib.import_module("orchestrator.checks.server"), name)
    raise AttributeError(name)
