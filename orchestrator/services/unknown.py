"""A service that somebody else knew: what can be said of an instance whose recipe is not here."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.errors import EnvironmentFault
from orchestrator.model import Credentials, Endpoint, InstanceSpec, NotYet, Probe
from orchestrator.services.base import Recipe


class UnknownRecipe(Recipe):
    """It runs, or does not, as the engine says. Nothing can be asked of it, and it cannot be made."""

    port = 0
    memory = 0

    def __init__(self, name: str) -> None:
        self.name = self.title = name

    def variables(self, spec: InstanceSpec) -> Mapping[str, str]:  # noqa: ARG002
        raise self.fault()

    def probe(self, endpoint: Endpoint, credentials: Credentials) -> Probe:  # noqa: ARG002
        return NotYet("this labs does not know the service")

    def environment(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, str]:  # noqa: ARG002
        return {}

    def fault(self) -> EnvironmentFault:
        """Why it cannot be made."""
        return EnvironmentFault(f"this labs does not know the service {self.name}, so it cannot be made",
                                code="unknown-service", hint="labs clean")
