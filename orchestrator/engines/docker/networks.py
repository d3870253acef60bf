"""The networks in which the nodes of one service find each other by name. Raises Docker's own errors.

One for each environment and service, made with the first container and removed with the last. Docker allows many
networks of one name, so ours are found by their labels, used by their ids, and have names that nobody else gives.
"""

from __future__ import annotations

import contextlib
import functools
import secrets
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.engines.docker.connection import Connection
from orchestrator.engines.docker.objects import PREFIX, labels_of, spec_of
from orchestrator.engines.docker.waiting import insisting
from orchestrator.model import InstanceSpec

_locks: dict[tuple[str, ...], threading.Lock] = {}
"""Nodes are made and removed side by side. Other commands are kept out by the lock on the environment."""


class Networks:
    """The networks of one engine. What does not carry our labels is not touched."""

    def __init__(self, connection: Connection) -> None:
        self._look = connection.look
        self._change = connection.change

    @contextlib.contextmanager
    def joined(self, spec: InstanceSpec) -> Iterator[str | None]:
        """The id of the network that this node belongs to, made if need be; its container is created in the block.

        ``None`` for a service with one node: it needs no network of its own.
        """
        if not spec.node_hosts:
            yield None
            return
        group = _group(spec)
        with _lock(group):
            found = self._labelled(group)
            yield min(found, key=_age)["Id"] if found else self._make(spec)

    def left(self, spec: InstanceSpec) -> None:
        """A node's container is gone: with the last one go the networks."""
        if not spec.node_hosts:
            return
        group = _group(spec)
        with _lock(group):
            if self._containers(group):
                return
            for network in self._labelled(group):
                # 403: a container that has just gone from sight still has an end in it.
                insisting(functools.partial(self._change.remove_network, network["Id"]), 403, 409)

    def orphans(self, labels: Mapping[str, str]) -> list[InstanceSpec]:
        """The makers of networks (with these labels, without our prefix) that no container belongs to any more.

        A command was killed between the two: what is left of such a node is its network.
        """
        specs = [spec_of(network.get("Labels")) for network in self._labelled(labels)]
        return [spec for spec in specs if spec is not None and spec.node_hosts and not self._containers(_group(spec))]

    def _make(self, spec: InstanceSpec) -> str:
        name = f"labs-{spec.owner.environment}-{spec.service}-{secrets.token_hex(4)}"
        made = self._change.create_network(name, driver="bridge", labels=labels_of(spec))
        return str(made["Id"])

    def _labelled(self, labels: Mapping[str, str]) -> list[Any]:
        return list(self._look.networks(filters=_filters(labels)) or [])

    def _containers(self, labels: Mapping[str, str]) -> list[Any]:
        return list(self._look.containers(all=True, filters=_filters(labels)))


def _group(spec: InstanceSpec) -> dict[str, str]:
    """What all nodes of a service have in common."""
    owner = spec.owner
    return {"user": owner.user, "installation": owner.installation, "environment": owner.environment,
            "service": spec.service}


def _lock(group: Mapping[str, str]) -> threading.Lock:
    return _locks.setdefault(tuple(group.values()), threading.Lock())


def _filters(labels: Mapping[str, str]) -> dict[str, list[str]]:
    return {"label": [f"{PREFIX}{key}={value}" for key, value in labels.items()]}


def _age(network: Mapping[str, Any]) -> tuple[str, str]:
    return str(network.get("Created")), str(network["Id"])
