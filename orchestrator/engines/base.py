"""The engine protocol: the few things that `labs` asks of whatever runs services.

Engines decide nothing. They know neither checks nor reports nor the command line. One contract test suite
(in ``tests/contract``: the tests of an ``engine`` or a ``bench``) runs on all of them; its sentences are the meaning of
this protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestrator.errors import EnvironmentFault
from orchestrator.model import Instance, InstanceSpec, Offer
from orchestrator.services.base import Recipe


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """``docker 20.10.24 at unix:///var/run/docker.sock`` and the like; ``key`` tells two engines apart in leases."""

    name: str
    version: str
    address: str
    key: str


def never_here(offer: Offer) -> bool:
    """Whether the service cannot run on this machine at all: what can be fetched is not here yet."""
    return not offer.available and offer.reason != "image-missing"


class PortBusy(EnvironmentFault):
    """``port-busy``: somebody else has a port of the instance. ``port`` is which, 0 if the engine does not say."""

    default_code = "port-busy"

    def __init__(self, message: str, *, port: int = 0, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.port = port


class Engine(Protocol):
    """Runs instances of services. Every method raises ``EnvironmentFault`` with a stable code, never a raw error.

    Codes: ``engine-unreachable``, ``image-missing``, ``binary-missing``, ``port-busy``, ``disk-full``,
    ``service-died``, ``unsupported``, ``engine-failed``.

    A service with several nodes is several instances, which find each other: in containers by their names
    (``InstanceSpec.node_hosts``), as plain processes by ``node_ports``. A service that is a file is an instance without
    ports: see ``engines/files.py``.
    """

    def info(self) -> EngineInfo:
        """Which engine this is; answers within 3 seconds or raises ``engine-unreachable``."""

    def offer(self, recipe: Recipe) -> Offer:
        """Whether the service can run here, without starting, pulling or building anything."""

    def fetch(self, recipe: Recipe, progress: Callable[[str], None]) -> None:
        """Get what ``offer`` said is missing (pull an image). A no-op where nothing can be fetched."""

    def size(self, recipe: Recipe) -> int | None:
        """Bytes that ``fetch`` would download, if the engine can tell."""

    def file(self, name: str, recipe: Recipe) -> str:
        """For ``InstanceSpec.file``: where the file of an instance of this name will be. Empty: it is no file."""

    def create(self, spec: InstanceSpec, recipe: Recipe) -> None:
        """Make the instance, not running. Labels travel in the create request. Keeps data that is already there.

        Existing object of the same name and owner: ``EnvironmentFault("exists")``.
        """

    def start(self, name: str) -> None:
        """Run it. Already running: nothing happens. ``PortBusy`` if a port is taken: the instance stays created."""

    def stop(self, name: str) -> None:
        """End it by its stop signal, then SIGKILL after its grace. Data stays. Not running: nothing happens."""

    def kill(self, name: str) -> None:
        """SIGKILL the whole service, at once. Data stays as the service left it on disk. A file: ``unsupported``."""

    def pause(self, name: str) -> None:
        """Freeze every process of the service: connections stay open and nothing answers. A file: ``unsupported``."""

    def unpause(self, name: str) -> None:
        """Undo ``pause``. Not paused: nothing happens."""

    def remove(self, name: str, *, data: bool) -> None:
        """End and forget it; with ``data`` its data too. Unknown name: nothing happens."""

    def inspect(self, name: str) -> Instance | None:
        """The instance now, or ``None``."""

    def list(self, *, user: str, installation: str, environment: str | None = None,
             lease: str | None = None) -> Sequence[Instance]:
        """All instances (running or not, and ``MISSING`` ones of which only data is left) of this owner."""

    def logs(self, name: str, *, tail: int | None = None, since_start: bool = False) -> str:
        """What the service wrote, oldest first; the last ``tail`` lines if given. Unknown name: empty.

        With ``since_start`` only what it wrote since it was started last.
        """

    def follow(self, name: str) -> Sequence[str] | None:
        """An argv that follows the logs until interrupted, or ``None`` if the caller must poll ``logs``."""

    def keep(self, environment: str, *, user: str, installation: str) -> None:
        """Mark the environment as kept: made last, after everything is ready. Kept already: nothing happens."""

    def unkeep(self, environment: str, *, user: str, installation: str) -> None:
        """Remove the mark. Not kept: nothing happens."""

    def kept(self, *, user: str, installation: str) -> frozenset[str]:
        """Ids of the environments of this owner that are marked as kept."""

    def close(self) -> None:
        """Let go of connections. The instances stay."""
