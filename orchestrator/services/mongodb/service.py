"""MongoDB: documents of any shape, in a replica set of one, without which there are no transactions.

Each start is made ready in two steps. The probe is content with a server that can be opened by its key; ``prepare``
then initiates the set, waits until it is primary and makes the users.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import EnvironmentFault
from orchestrator.model import (
    Binaries,
    Credentials,
    Dead,
    Endpoint,
    Fidelity,
    InstanceSpec,
    NotYet,
    Probe,
    ProcessSpec,
    Product,
    Ready,
)
from orchestrator.services.base import DATABASE, Ear, Recipe
from orchestrator.services.clients import (
    ClientProgram,
    Known,
    client_programs,
    known_failure,
    learner_name,
    password,
)
from orchestrator.services.mongodb import clients, settings, space
from orchestrator.services.mongodb.hello import hello
from orchestrator.services.mongodb.log import readable

if TYPE_CHECKING:
    from orchestrator.services.mongodb.record import MongodbRecorder

PROBE_SECONDS = 0.4
HELLO_SECONDS = 5.0

_FAILURES = (
    Known("Another program uses this port; run `labs start` again, it takes the next free one.",
          r"Address already in use"),
    Known("The data was made by another version of MongoDB; use that version again, or `labs reset mongodb` to start"
          " empty.",
          r"UPGRADE PROBLEM|invalid featureCompatibilityVersion|Wrong mongod version"
          r"|unsupported WiredTiger file version", frozenset({62})),
    Known("The disk is full; free some space (`labs clean` removes what labs made), then run `labs start`.",
          r"No space left on device"),
    Known("MongoDB takes its key file only if it belongs to it and nobody else may read it; `labs reset mongodb` makes"
          " a new one.",
          r"Unable to acquire security key|permissions on .{1,300} are too open"),
    Known("Another MongoDB uses this data folder; end it, then `labs start`.",
          r"DBPathInUse|Unable to lock the lock file"),
    Known("MongoDB may not read or write its data folder; `labs reset mongodb` makes a new one.",
          r"Permission denied|Operation not permitted|lock file on a read-only directory|NonExistentPath"),
    Known("A library that MongoDB needs is missing; install libssl and libcurl with your system's packages, or use"
          " `labs start --engine docker`.",
          r"error while loading shared libraries|Library not loaded"),
    Known("This processor lacks AVX, which MongoDB needs since version 5; use another machine, or the tracks of"
          " `labs list` without MongoDB.",
          r"requires a CPU with AVX|Illegal instruction", frozenset({132, -4})),
    Known("MongoDB does not understand its settings; `labs doctor` says which version is used.",
          r"Unrecognized option|Error parsing (option|YAML|command line)|Unknown --setParameter", frozenset({2})),
    Known("MongoDB's data is damaged; `labs reset mongodb` starts with an empty one.",
          r"WT_TRY_SALVAGE|WT_PANIC|metadata corruption|checksum error|Unable to read the storage engine metadata",
          frozenset({14})),
    Known("MongoDB was ended because it, or the machine, ran out of memory; close other programs, then `labs start`.",
          exit_codes=frozenset({137, -9})),
)


class MongodbRecipe(Recipe):
    """See ``Recipe``; all capabilities but ``Untidy``."""

    name = "mongodb"
    title = "MongoDB"
    port = 27017
    compose = "mongodb.yaml"
    programs: tuple[tuple[str, ...], ...] = (("mongod",),)
    least_version = "6.0"
    memory = 150_000_000
    download = 290_000_000
    log_source = "service"
    urls = ("MONGODB_URL",)

    def credentials(self) -> Credentials:
        return Credentials("admin", password(), learner_name(), password(), DATABASE)

    def variables(self, spec: InstanceSpec) -> Mapping[str, str]:
        profiling = settings.profiling(spec)
        return {
            "LABS_MONGODB_PORT": str(spec.port),
            "LABS_MONGODB_MEMBER_PORT": str(spec.advertised()),
            "LABS_MONGODB_ADMIN_USER": spec.credentials.admin_user,
            "LABS_MONGODB_ADMIN_PASSWORD": spec.credentials.admin_password,
            "LABS_MONGODB_KEY": settings.key_of(spec.credentials),
            "LABS_MONGODB_PROFILING": profiling["mode"],
            "LABS_MONGODB_PROFILED": settings.learner_login(spec.credentials),
        }

    def process(self, spec: InstanceSpec, binaries: Binaries, folder: Path) -> ProcessSpec:
        return settings.process(spec, binaries, folder)

    def wheel(self) -> Binaries | None:
        return settings.wheel()

    def probe(self, endpoint: Endpoint, credentials: Credentials) -> Probe:
        from pymongo import errors

        try:
            primary = hello(endpoint, PROBE_SECONDS).get("isWritablePrimary")
            state = _state(endpoint, credentials, primary=bool(primary))
        except OSError as error:
            return NotYet(str(error) or type(error).__name__)
        except errors.OperationFailure as error:
            if error.code == clients.AUTHENTICATION_FAILED:
                return Dead(f"it refuses the password that labs gave it: {clients.brief(error)}")
            return NotYet(clients.brief(error))
        except errors.PyMongoError as error:
            return NotYet(clients.brief(error))
        return Ready() if state in ("PRIMARY", "new", "moved") else NotYet(f"it is not primary yet but {state}")

    def prepare(self, endpoint: Endpoint, credentials: Credentials) -> None:
        with clients.admin(endpoint, credentials) as client:
            space.prepare(client, credentials)

    def fresh(self, endpoint: Endpoint, credentials: Credentials) -> None:
        with clients.admin(endpoint, credentials) as client:
            space.fresh(client, credentials)

    def contents(self, endpoint: Endpoint, credentials: Credentials) -> frozenset[str]:
        with clients.admin(endpoint, credentials) as client:
            return space.contents(client, credentials)

    def clear(self, endpoint: Endpoint, credentials: Credentials, *, spare: Collection[str]) -> None:
        with clients.admin(endpoint, credentials) as client:
            space.clear(client, credentials, spare)

    def end_lingering(self, endpoint: Endpoint, credentials: Credentials) -> None:
        with clients.admin(endpoint, credentials) as client:
            space.end_transactions(client, credentials)

    def product(self, endpoint: Endpoint, credentials: Credentials) -> Product:
        with clients.admin(endpoint, credentials) as client:
            return product_of(client.admin.command("buildInfo"))

    def incarnation(self, endpoint: Endpoint, credentials: Credentials) -> str:  # noqa: ARG002
        """The id that each process of MongoDB gives itself, and tells everybody."""
        try:
            return str(hello(endpoint, HELLO_SECONDS)["topologyVersion"]["processId"])
        except OSError as error:
            raise ConnectionError(f"MongoDB at {endpoint}: {error}") from error

    def environment(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, str]:
        return {"MONGODB_URL": url(endpoint, credentials)}

    def admin(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, str]:
        """``url``: the administrator; ``checker_url``: checks, with the learner's role in the learner's database."""
        checker = space.checker_name(credentials)
        return {
            "url": f"mongodb://{credentials.admin_user}:{credentials.admin_password}@{endpoint}/"
                   f"{clients.ADMIN_DATABASE}?{DIRECT}",
            "checker_url": f"mongodb://{checker}:{credentials.admin_password}@{endpoint}/"
                           f"{credentials.database}?{DIRECT}",
            "user": credentials.user,
            "database": credentials.database,
        }

    def log_tail(self, endpoint: Endpoint, credentials: Credentials, lines: int) -> str:
        """Of the last 1024 lines, which MongoDB itself keeps."""
        with suppress(ConnectionError, EnvironmentFault), clients.admin(endpoint, credentials) as client:
            return "\n".join(readable(client.admin.command("getLog", "global")["log"])[-lines:])
        return ""

    def ears(self) -> Callable[[bool], Ear]:
        from orchestrator.services.mongodb.wire import Cursors, MongodbEar

        cursors = Cursors()
        return lambda new: MongodbEar(cursors, new=new)

    def record(self, endpoint: Endpoint, credentials: Credentials) -> MongodbRecorder:
        from orchestrator.services.mongodb.record import MongodbRecorder

        return MongodbRecorder(lambda: clients.admin(endpoint, credentials), credentials)

    def client(self, endpoint: Endpoint, credentials: Credentials, statement: str | None) -> Sequence[ClientProgram]:
        """``mongosh``, if it is on PATH."""
        from orchestrator.services.mongodb.shell import mongosh

        address = url(endpoint, credentials)
        return [mongosh(program, address, statement) for program in client_programs(("mongosh",), None)]

    def run_statement(self, endpoint: Endpoint, credentials: Credentials, statement: str) -> str:
        from orchestrator.services.mongodb.shell import run

        login = (credentials.user, credentials.password, credentials.database)
        with clients.judged(endpoint), clients.connected(endpoint, *login, clients.ADMIN_SECONDS) as client:
            return run(client[credentials.database], statement)

    def advice(self, exit_code: int | None, log: str) -> str | None:
        return known_failure(_FAILURES, exit_code, log)


RECIPE = MongodbRecipe()

DIRECT = "directConnection=true"
"""Nothing is discovered: the address that is given is the one that is used, which may be a proxy's."""


def url(endpoint: Endpoint, credentials: Credentials) -> str:
    """The learner's. Its user is in its own database, so that no ``authSource`` is needed."""
    return f"mongodb://{credentials.user}:{credentials.password}@{endpoint}/{credentials.database}?{DIRECT}"


def product_of(build: Mapping[str, Any]) -> Product:
    """What runs, from ``buildInfo``. Look-alikes say a version of MongoDB's, but have not its storage or its commit."""
    version = str(build.get("version", ""))
    if "ferretdb" in build or "ferretdbVersion" in build:
        return Product("FerretDB", str(build.get("ferretdbVersion", version)), Fidelity.STAND_IN)
    if "psmdbVersion" in build:
        return Product("Percona Server for MongoDB", version, Fidelity.COMPATIBLE)
    commit = str(build.get("gitVersion", ""))
    if "wiredTiger" in build.get("storageEngines", ()) and re.fullmatch(r"[0-9a-f]{40}", commit):
        return Product("MongoDB", version, Fidelity.GENUINE)
    return Product("A look-alike of MongoDB", version, Fidelity.STAND_IN)


def _state(endpoint: Endpoint, credentials: Credentials, *, primary: bool) -> str:
    """``PRIMARY`` if its administrator can log in; else what the set says to whoever can: with the key or the password.

    The key opens it before there are users, and where the data is from other credentials, which ``prepare`` sets.
    """
    from pymongo import errors

    admin = (credentials.admin_user, credentials.admin_password, clients.ADMIN_DATABASE)
    key = (clients.SYSTEM[0], settings.key_of(credentials), clients.SYSTEM[1])
    first, second = (admin, key) if primary else (key, admin)
    try:
        with clients.connected(endpoint, *first, PROBE_SECONDS) as client:
            return "PRIMARY" if primary else space.set_state(client)
    except errors.OperationFailure as error:
        if error.code != clients.AUTHENTICATION_FAILED:
            raise
    with clients.connected(endpoint, *second, PROBE_SECONDS) as client:
        return space.set_state(client)
