"""What a service says of itself: a small core that every service has, and capabilities that it has or has not.

A service is a folder of ``services/`` (or of another distribution, found by the entry point ``labs.services``)::

    service.py     the core, a subclass of ``Recipe`` without state, in the module's name ``RECIPE``
    evidence       a module or package; its name ``reader`` is the class of the fixture that checks read from
    sabotage.py    how a right server's service is turned against it, for proofs
    names.py       what of a check's code is a name that ``storage.md`` must have (``NAMES``, a ``parts.Names``)
    sight.py       how the service's own words are read: the trace, secrets (``SIGHT``, a ``parts.Sight``)

Only ``service.py`` must be there. Capabilities are the protocols below: a recipe has one by having its methods, and
whoever needs it asks ``isinstance(recipe, Emptying)``. What a service does not offer it does not stub.

A recipe talks to its service only through the endpoint and credentials it is given. Heavy client libraries are imported
inside the methods that need them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from orchestrator.model import Binaries, Credentials, Endpoint, InstanceSpec, Probe, ProcessSpec, Product, Record

DATABASE = "app"
"""The learner's database, where a service has named ones."""


class Recipe:
    """The core. Attributes without a value here, and methods that raise, are each service's own to give."""

    name: str
    """As in ``lab.toml``: ``postgres``."""
    title: str
    """As people say it: ``PostgreSQL``."""
    port: int
    """The well-known port of the main endpoint; 0 for a service that is a file and listens nowhere."""
    file: str = ""
    """The file's name, for such a service: ``app.sqlite3``."""
    more_ports: Mapping[str, int] = {}
    """Further endpoints: name (``management``) -> well-known port. All of them get ports, links and labels."""
    nodes: int = 1
    """How many instances make one service. Each is started, stopped and killed by itself."""
    compose: str = ""
    """File name below ``compose/``: the service's container. Empty: it has none."""
    programs: tuple[tuple[str, ...], ...] = ()
    """For the embedded engine: groups of program names, one group complete is enough (Redis: server or Valkey's)."""
    least_version: str = "0"
    """Programs on PATH older than this are not used."""
    memory: int
    """About how many bytes one node uses, idle, with a little in it."""
    download: int = 0
    """About how many bytes its upstream image is to download; 0: not known."""
    log_source: Literal["engine", "service"] = "engine"
    """``engine``: the service writes its log to its output; ``service``: ask ``log_tail``."""
    silent_for: float = 0.0
    """Seconds in which it may answer nobody because of what the learner's server asked of it, and be in order."""
    ready_log: str = ""
    """A pattern: a start is over when a line of its log since then has it, and ``probe`` says ready, too."""
    carried: str = ""
    """What an instance carries so that its recipe can be made from it: of services that only a lab knows."""
    compose_text: str = ""
    """The Compose file itself, where it is no file of an installation; ``compose`` is its name for people then."""
    foreign: frozenset[str] = frozenset()
    """Variables of a person's shell that would lead its clients elsewhere (``PGSERVICE``): `labs` forgets them."""
    urls: tuple[str, ...] = ()
    """The variables of ``environment`` that hold an address for people and GUI clients: ``("DATABASE_URL",)``."""

    def credentials(self) -> Credentials:
        """Fresh random credentials."""
        raise NotImplementedError

    def variables(self, spec: InstanceSpec) -> Mapping[str, str]:
        """The ``LABS_...`` variables that the Compose file interpolates."""
        raise NotImplementedError

    def process(self, spec: InstanceSpec, binaries: Binaries, folder: Path) -> ProcessSpec:
        """How to run it as local processes below ``folder``."""
        raise NotImplementedError

    def wheel(self) -> Binaries | None:
        """The programs that an installed wheel carries, if any."""
        return None

    def whole(self, programs: Mapping[str, Path], ask: Callable[[Sequence[str]], str]) -> bool:  # noqa: ARG002
        """Whether nothing that `labs` needs beside these programs is missing. ``ask`` runs one: what it prints."""
        return True

    def lacking(self, log: str) -> tuple[str, str] | None:  # noqa: ARG002
        """What the learner's server, which printed this, wanted and only another engine's service has; what helps."""
        return None

    def probe(self, endpoint: Endpoint, credentials: Credentials) -> Probe:
        """Ask over TCP what the learner's server will ask. Never blocks longer than 1 s."""
        raise NotImplementedError

    def prepare(self, endpoint: Endpoint, credentials: Credentials) -> None:
        """After each start, when ready: make the learner's role and database if they are not there. Harmless twice."""

    def product(self, endpoint: Endpoint, credentials: Credentials) -> Product:
        """What really runs, as the service itself says."""
        raise NotImplementedError

    def incarnation(self, endpoint: Endpoint, credentials: Credentials) -> str:
        """A value that changes when the service was restarted by anybody. Raises ``ConnectionError`` if down.

        ``""``: what the learner's server asked of it keeps it so busy that it cannot be asked.
        """
        raise NotImplementedError

    def environment(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, str]:
        """What the target gets: ``DATABASE_URL`` and the like."""
        raise NotImplementedError

    def admin(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, object]:
        """What the checks' evidence reader gets (JSON): ``{"url": ..., ...}``. Never for the target."""
        raise NotImplementedError

    def log_tail(self, endpoint: Endpoint, credentials: Credentials, lines: int) -> str:  # noqa: ARG002
        """The service's last log lines when ``log_source`` is ``service``; empty if it is down."""
        return ""

    def advice(self, exit_code: int | None, log: str) -> str | None:  # noqa: ARG002
        """A known failure translated: one sentence of cause and one command, or ``None``."""
        return None

    def client_advice(self, endpoint: Endpoint, credentials: Credentials, said: str) -> str | None:  # noqa: ARG002
        """A known mistake of a learner's server as this service's client, by what it ``said`` and what the service
        saw of it since ``fresh``: one sentence of cause and what to do, or ``None``. May raise anything."""
        return None


@runtime_checkable
class Emptying(Protocol):
    """Can be made as new without being started again. What cannot is made anew for each attempt at a milestone."""

    def fresh(self, endpoint: Endpoint, credentials: Credentials) -> None:
        """Empty the learner's space: same role, URL and rights, no data, no settings, counters at zero.

        Raises ``EnvironmentFault`` where it is not as it was made and cannot be made so: then it is made anew.
        """


@runtime_checkable
class Clearing(Protocol):
    """Can be emptied under a running server. Without it, a server of ``labs run`` cannot be judged on it."""

    def contents(self, endpoint: Endpoint, credentials: Credentials) -> frozenset[str]:
        """Names of what has something in it, in the learner's space: tables with rows, keys."""

    def clear(self, endpoint: Endpoint, credentials: Credentials, *, spare: Collection[str]) -> None:
        """Empty the learner's space under a running server: nothing is dropped, no session ends, counters at zero.

        ``spare``: names from ``contents`` that stay as they are.
        """


@runtime_checkable
class Lingering(Protocol):
    """What a client had under way outlives it: nobody ends it for some time, and it holds on to what it has touched."""

    def let_go(self, endpoint: Endpoint, credentials: Credentials) -> None:
        """Do at once what the service itself does later to what the learner's ended server had under way."""


@runtime_checkable
class Interactive(Protocol):
    """A person can look into it: ``labs connect``."""

    def client(self, endpoint: Endpoint, credentials: Credentials, statement: str | None) -> Sequence[ClientCommand]:
        """Interactive clients in order of preference, as the learner's role; with ``statement`` run just that."""

    def run_statement(self, endpoint: Endpoint, credentials: Credentials, statement: str) -> str:
        """``labs connect -c`` where no client program is installed: run it, answer as text."""


@runtime_checkable
class Recordable(Protocol):
    """Tells, while a check runs, what the learner's server asked of it: ``labs trace`` shows that."""

    def record(self, endpoint: Endpoint, credentials: Credentials) -> Recorder:
        """Begin to record what the learner's role does, in a judge instance, before the target has connected.

        It must not move any counter that evidence is read from, from its return on.
        """


@runtime_checkable
class Untidy(Protocol):
    """As a plain process, leaves something when it is killed, or takes a moment until all of it has ended."""

    still_ending: str
    """A part of what it says, in lower case, when it was started too early after its own death: try again."""

    def before_start(self, data: Path, last: LastRun | None) -> None:
        """Put away what would keep it from starting; it does not run. ``last``: its run before, if it is known."""

    def after_end(self, data: Path, last: LastRun | None) -> None:
        """Give back to the system what a killed one could not; nobody of it runs."""


@dataclass(frozen=True, slots=True)
class LastRun:
    """The first process of a service's last run; ``this_boot``: since the machine was started last."""

    pid: int
    this_boot: bool


class ClientCommand(Protocol):
    """``argv`` to run (program first, found on PATH or in a wheel) with these extra environment variables."""

    argv: tuple[str, ...]
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Heard:
    """What was understood of some bytes: the request in the service's words, and those words without their values.

    ``whole``: the last message is there to its end. ``asks``: it is a step of somebody's request, which the service
    answers at once. A good-bye asks nothing; who waits for news is answered when there are some; a driver looks after
    its connections when it likes. ``begun``: text and kind of a message whose end is not there yet, as far as they are
    known: it may be a long one.
    """

    text: str
    kind: str
    whole: bool
    asks: bool
    begun: tuple[str, str] = ("", "")


class Ear(Protocol):
    """Reads what the target sends on one connection. Knows no secrets: what has one is named and not shown."""

    def hear(self, data: bytes) -> Heard:
        """The next bytes. Never raises: what it cannot read has no text."""


@runtime_checkable
class Overhearing(Protocol):
    """A recipe whose service's protocol can be read as it passes the proxy."""

    def ears(self) -> Callable[[bool], Ear]:
        """What makes an ear for one connection of a space, from its very beginning (``new``) or from between two
        requests on. Ears of a space may share what they heard."""


class Recorder(Protocol):
    """What a service records of the learner's role, from ``Recordable.record`` on."""

    def stop(self) -> Recorded:
        """End it; what was recorded. Raises nothing: what could not be had is missing, and ``gap`` says why."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Records in the order in which the service wrote them. ``gap`` says what is missing, if anything is."""

    records: tuple[Record, ...] = ()
    gap: str = ""
