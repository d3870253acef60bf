"""Volumes of ours: the data of instances, and the marks of kept environments. Raises Docker's own errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.engines.docker.connection import Connection
from orchestrator.engines.docker.objects import PREFIX, same_owner, spec_of
from orchestrator.engines.docker.waiting import insisting
from orchestrator.errors import EnvironmentFault
from orchestrator.model import InstanceSpec


class Volumes:
    """The volumes of one engine. What does not carry our labels is not touched."""

    def __init__(self, connection: Connection) -> None:
        self._look = connection.look
        self._change = connection.change

    def make(self, name: str, labels: Mapping[str, str]) -> None:
        """A volume of ours; one that is there already is kept with its data. A foreign one of that name is refused."""
        from docker.errors import NotFound

        try:
            found = self._look.inspect_volume(name)
        except NotFound:
            # Made by somebody else just now, it is that one we are told about.
            found = self._change.create_volume(name=name, labels=dict(labels))
        if not same_owner(found.get("Labels"), labels):
            raise EnvironmentFault(f"there is already a volume {name}, and it is not one of these labs", code="exists",
                                   hint=f"docker volume inspect {name}")

    def labelled(self, labels: Mapping[str, str], *present: str) -> list[Any]:
        """Those with these labels (without our prefix), and with those of ``present``, whatever their value."""
        wanted = [*(f"{PREFIX}{key}={value}" for key, value in labels.items()), *(PREFIX + key for key in present)]
        return list(self._look.volumes(filters={"label": wanted}).get("Volumes") or [])

    def specs(self, labels: Mapping[str, str]) -> list[InstanceSpec]:
        """What the data of instances says of them, once for each."""
        found = [spec_of(volume.get("Labels")) for volume in self.labelled(labels)]
        return list({spec.name: spec for spec in found if spec is not None}.values())

    def spec(self, instance: str) -> InstanceSpec | None:
        """The same of one instance; ``None`` if there is no data of it."""
        return next((spec for spec in self.specs({"name": instance}) if spec.name == instance), None)

    def remove_data(self, instance: str, in_use: Callable[[], None]) -> None:
        """All volumes of an instance."""
        for volume in self.labelled({"name": instance}):
            self.remove(volume["Name"], lambda labels: labels.get(PREFIX + "name") == instance, in_use)

    def remove(self, name: str, ours: Callable[[Mapping[str, str]], bool],
               in_use: Callable[[], None] = lambda: None) -> None:
        """If it is there and ours. It is in use for a moment after its container has gone from sight."""

        def attempt() -> None:
            if ours(self._look.inspect_volume(name).get("Labels") or {}):
                self._change.remove_volume(name)

        insisting(attempt, 409, meanwhile=in_use)
