"""What recipes decide without a service: settings, files, commands, advice. And that both engines run the same."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator import resources, services
from orchestrator.errors import UsageError
from orchestrator.model import Binaries, Credentials, Endpoint, Fidelity, InstanceSpec, Owner, Purpose
from orchestrator.services.clients import Known, known_failure, table
from orchestrator.services.postgres.service import SETTINGS, PostgresRecipe
from orchestrator.services.postgres.service import product_of as postgres_product
from orchestrator.services.redis.service import MAX_MEMORY, RedisRecipe, config_lines
from orchestrator.services.redis.service import product_of as redis_product

SERVED = tuple(name for name in services.names() if services.recipe(name).port)
"""Those that are a process with a login, and not a file."""
WITHOUT_LOGINS = {"elasticsearch"}
"""Services that everybody may enter who reaches them."""
FOLDER = Path('/tmp/it\'s a "folder"')


def spec(name: str, credentials: Credentials, purpose: Purpose = "environment") -> InstanceSpec:
    owner = Owner("e", "0", "i", "l", 1, 1.0, purpose)
    return InstanceSpec(name, f"labs-e-{name}", "e", "databases", owner, credentials, 6000, True, "c")


def binaries(*names: str) -> Binaries:
    return Binaries({name: Path("/opt/bin") / name for name in names}, "1.2", "path")


def compose(name: str) -> dict[str, Any]:
    text = (resources.compose_folder() / services.recipe(name).compose).read_text()
    found: dict[str, Any] = yaml.safe_load(text)["services"][name]
    return found


def filled_in(text: str, variables: dict[str, str]) -> str:
    """``${NAME:-default}`` as Compose fills it in."""
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: variables.get(found[1], found[2]), text)


@pytest.mark.parametrize("name", services.names())
def test_recipes_are_found_by_their_names(name: str) -> None:
    """``lab.toml`` names a service; its recipe says the same name, and has a Compose file or is a file itself."""
    recipe = services.recipe(name)
    assert (name, True) == (recipe.name, (resources.compose_folder() / recipe.compose).is_file() if recipe.port
                            else bool(recipe.file and not recipe.compose))


def test_an_unknown_service_is_a_key_error() -> None:
    """The caller knows what was typed and answers with did-you-mean."""
    with pytest.raises(KeyError):
        services.recipe("oracle")


@pytest.mark.parametrize("name", SERVED)
def test_credentials_are_fresh_and_need_no_escaping(name: str) -> None:
    """Two environments share no password and no user; letters and digits go through every URL and file."""
    one, other = services.recipe(name).credentials(), services.recipe(name).credentials()
    assert not {one.password, one.admin_password, one.user} & {other.password, other.admin_password, other.user}
    assert all(re.fullmatch(r"[a-z0-9_]+", value) for value in (one.user, one.password, one.admin_password))
    assert len({one.password, one.admin_password}) == 2


@pytest.mark.parametrize("name", SERVED)
def test_the_target_never_gets_the_administrators_password(name: str) -> None:
    """Nor the checker's login; its address says 127.0.0.1."""
    recipe = services.recipe(name)
    own = recipe.credentials()
    given = recipe.environment(Endpoint(6000), own)
    assert own.admin_password not in str(given)
    assert (own.password in str(given)) == (name not in WITHOUT_LOGINS)
    assert "localhost" not in str(given)


@pytest.mark.parametrize("name", SERVED)
def test_no_password_is_an_argument(name: str) -> None:
    """Arguments are shown to everybody on a machine: neither the process nor the container has a password there."""
    recipe = services.recipe(name)
    own = spec(name, recipe.credentials())
    service = compose(name)
    variables = dict(recipe.variables(own))
    words: list[str] = []
    if recipe.programs:
        process = recipe.process(own, binaries("postgres", "initdb", "redis-server", "mongod"), FOLDER)
        words += [*process.argv, *(word for step in (*process.initialise, *process.personalise) for word in step.argv)]
    words += [filled_in(word, variables) for word in (*service.get("command", []), *service.get("entrypoint", []))]
    for secret in (own.credentials.password, own.credentials.admin_password):
        assert secret not in "\n".join(words)


@pytest.mark.parametrize("name", SERVED)
def test_compose_files_work_by_hand(name: str) -> None:
    """Every variable has a default, each of ours is used, and the port is open to this machine only."""
    recipe = services.recipe(name)
    text = (resources.compose_folder() / recipe.compose).read_text()
    used = set(re.findall(r"\$\{(\w+)", text))
    assert used == set(re.findall(r"\$\{(\w+):-[^}]+\}", text))
    assert used == {*recipe.variables(spec(name, recipe.credentials())), f"LABS_IMAGE_{name.upper()}"}
    (port,) = compose(name)["ports"]
    assert port.startswith(f"127.0.0.1:${{LABS_{name.upper()}_PORT:-{recipe.port}}}:")
    assert filled_in(port, {}) == f"127.0.0.1:{recipe.port}:{recipe.port}"
    limits = {"mem_limit", "cpus", "pids_limit"}
    assert limits <= compose(name).keys()


@pytest.mark.parametrize(("purpose", "collector", "fsync"), [("judge", "on", "off"), ("environment", "off", "on")])
def test_postgres_runs_with_the_same_settings_on_both_engines(purpose: Purpose, collector: str, fsync: str) -> None:
    """The Compose file and the embedded process differ only in addresses and folders."""
    recipe = PostgresRecipe()
    own = spec("postgres", recipe.credentials(), purpose)
    words = [filled_in(word, dict(recipe.variables(own))) for word in compose("postgres")["command"]]
    container = dict(word.split("=", 1) for word in words if "=" in word)
    assert {**SETTINGS, "logging_collector": collector, "fsync": fsync} == container
    conf = recipe.process(own, binaries("postgres", "initdb"), FOLDER).files["postgresql.conf"]
    assert {f"{name} = '{value}'" for name, value in container.items()} <= set(conf.splitlines())


def test_postgres_files_survive_any_folder_name() -> None:
    """Quotes and spaces in the path of a home folder are nothing special."""
    conf = (
        PostgresRecipe()
        .process(spec("postgres", PostgresRecipe().credentials()), binaries("postgres", "initdb"), FOLDER)
        .files["postgresql.conf"]
    )
    assert "data_directory = '/tmp/it''s a \"folder\"/data'" in conf.splitlines()


def test_postgres_templates_hold_nothing_personal() -> None:
    """What the engine copies between instances is the same for all: made without passwords, closed to everybody."""
    one, other = (
        PostgresRecipe().process(
            spec("postgres", PostgresRecipe().credentials()), binaries("postgres", "initdb"), FOLDER
        )
        for _ in range(2)
    )
    assert (one.initialise, one.template_key) == (other.initialise, other.template_key)
    assert "reject" in one.initialise[0].argv
    assert one.personalise != other.personalise


def test_redis_runs_with_the_same_settings_on_both_engines() -> None:
    """The Compose file and the embedded process share every line of users and rights, memory and persistence."""
    recipe = RedisRecipe()
    own = spec("redis", recipe.credentials())
    variables = dict(recipe.variables(own))
    container = filled_in(compose("redis")["environment"]["LABS_REDIS_CONFIG"], variables).splitlines()
    assert list(config_lines(own.credentials, "/data", 6379)) == container
    assert f"maxmemory {MAX_MEMORY}" in container
    conf = recipe.process(own, binaries("redis-server"), FOLDER).files["redis.conf"].splitlines()
    assert set(container) - {"dir /data", "port 6379"} <= set(conf)
    assert 'dir "/tmp/it\'s a \\"folder\\"/data"' in conf


@pytest.mark.parametrize("program", ["redis-server", "valkey-server"])
def test_redis_runs_on_whichever_program_is_there(program: str) -> None:
    """Redis or its fork, with the same file."""
    process = RedisRecipe().process(spec("redis", RedisRecipe().credentials()), binaries(program), FOLDER)
    assert (f"/opt/bin/{program}", str(FOLDER / "redis.conf")) == process.argv


@pytest.mark.parametrize("program", ["redis-cli", "valkey-cli"])
def test_redis_client_is_the_one_on_path(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever is installed, as the learner; the password is in no argument. None installed: none."""
    recipe, own = RedisRecipe(), RedisRecipe().credentials()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert recipe.client(Endpoint(6000), own, None) == []
    (tmp_path / program).write_text("#!/bin/sh\n")
    (tmp_path / program).chmod(0o755)

    (client,) = recipe.client(Endpoint(6000), own, "SET a 'b c'")

    assert client.argv == (str(tmp_path / program), "-h", "127.0.0.1", "-p", "6000", "--user", own.user, "SET", "a", "b c")
    assert set(client.env.values()) == {own.password}


def test_redis_commands_that_never_end_say_what_shows_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No client program may MONITOR as the learner, so none is to be installed; SUBSCRIBE needs one, if there is none."""
    recipe, own = RedisRecipe(), RedisRecipe().credentials()
    monkeypatch.setenv("PATH", str(tmp_path))

    def refused(statement: str) -> UsageError:
        with pytest.raises(UsageError) as caught:
            recipe.run_statement(Endpoint(6000), own, statement)
        assert caught.value.code == "statement-refused"
        return caught.value

    monitor = refused("monitor")
    assert "your server's user may not run it" in monitor.message
    assert monitor.hint == "labs trace   (the commands that your server sent)"
    assert str(refused("SUBSCRIBE changes").hint).startswith("install redis-cli (")
    (tmp_path / "redis-cli").write_text("#!/bin/sh\n")
    (tmp_path / "redis-cli").chmod(0o755)
    assert refused("SUBSCRIBE changes").hint == "labs connect redis   (then type it there)"


@pytest.mark.parametrize(
    ("banner", "version", "product"),
    [
        ("PostgreSQL 18.6 on x86_64-pc-linux-gnu", "18.6", ("PostgreSQL", "18.6", Fidelity.GENUINE)),
        (
            "PostgreSQL 17.6 (Debian 17.6-0+deb13u1) on x86_64",
            "17.6 (Debian 17.6-0+deb13u1)",
            ("PostgreSQL", "17.6", Fidelity.GENUINE),
        ),
        (
            "PostgreSQL 15.2-YB-2.25.0.0-b0 on x86_64",
            "15.2-YB-2.25.0.0-b0",
            ("PostgreSQL", "15.2-YB-2.25.0.0-b0", Fidelity.STAND_IN),
        ),
        ("CockroachDB CCL v24.1.0", "13.0.0", ("CockroachDB", "13.0.0", Fidelity.STAND_IN)),
    ],
)
def test_postgres_look_alikes_are_told_apart(banner: str, version: str, product: tuple[str, str, Fidelity]) -> None:
    """Only PostgreSQL itself is genuine."""
    found = postgres_product(banner, version)
    assert product == (found.name, found.version, found.fidelity)


@pytest.mark.parametrize(
    ("info", "product"),
    [
        ({"redis_version": "8.0.2"}, ("Redis", "8.0.2", Fidelity.GENUINE)),
        (
            {"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "9.1.2"},
            ("Valkey", "9.1.2", Fidelity.COMPATIBLE),
        ),
        ({"redis_version": "7.4.0", "dragonfly_version": "df-1.30"}, ("Dragonfly", "df-1.30", Fidelity.STAND_IN)),
        ({"redis_version": "7.0.0", "server_name": "other"}, ("other", "7.0.0", Fidelity.STAND_IN)),
    ],
)
def test_redis_forks_are_told_apart(info: dict[str, str], product: tuple[str, str, Fidelity]) -> None:
    """Only Redis is genuine, Valkey is compatible, everything else stands in."""
    found = redis_product(info)
    assert product == (found.name, found.version, found.fidelity)


@pytest.mark.parametrize(
    ("name", "code", "log", "word"),
    [
        ("postgres", 1, "FATAL:  could not create any TCP/IP sockets", "port"),
        (
            "postgres",
            1,
            "DETAIL:  The data directory was initialized by PostgreSQL version 16, which is not compatible",
            "major",
        ),
        ("postgres", 1, "Error: in 18+, there appears to be PostgreSQL data in:\n  /var/lib/postgresql/data", "major"),
        ("postgres", 1, 'FATAL:  data directory "/x" has wrong ownership', "folder"),
        (
            "postgres",
            1,
            'FATAL:  could not resize shared memory segment "/x": No space left on device',
            "shared memory",
        ),
        ("postgres", 1, 'PANIC:  could not write to file "pg_wal/x": No space left on device', "disk"),
        ("postgres", 1, 'FATAL:  could not access file "pg_stat_statements": No such file or directory', "postgresql-contrib"),
        ("postgres", 137, "", "memory"),
        ("postgres", -9, "", "memory"),
        (
            "redis",
            1,
            "Warning: Could not create server TCP listening socket 127.0.0.1:6379: bind: Address already in use",
            "port",
        ),
        ("redis", 1, "Bad file format reading the append only file x", "damaged"),
        ("redis", 1, "Can't handle RDB format version 80", "newer"),
        ("redis", 1, "Can't open the append-only file: Permission denied", "folder"),
        ("redis", 1, "Error writing to the AOF file: No space left on device", "disk"),
        ("redis", 137, "", "memory"),
        ("mongodb", 48, '"msg":"Error setting up listener","attr":{"error":{"errmsg":"Address already in use"}}', "port"),
        ("mongodb", 62, "** IMPORTANT: UPGRADE PROBLEM: Found an invalid featureCompatibilityVersion document", "version"),
        ("mongodb", 62, "", "version"),
        ("mongodb", 14, 'WiredTiger error: "No space left on device"', "disk"),
        ("mongodb", 1, '"error":"Location5579201: Unable to acquire security key[s]"', "key file"),
        ("mongodb", 100, "IllegalOperation: Attempted to create a lock file on a read-only directory: /data", "folder"),
        ("mongodb", 100, "boost::filesystem::status: Permission denied: mongod.lock", "folder"),
        ("mongodb", 100, "DBPathInUse: Unable to lock the lock file", "Another MongoDB"),
        ("mongodb", 127, "mongod: error while loading shared libraries: libcurl.so.4", "library"),
        ("mongodb", 132, "", "AVX"),
        ("mongodb", -4, "", "AVX"),
        ("mongodb", 2, "Unrecognized option: foo.x", "settings"),
        ("mongodb", 14, "Unable to read the storage engine metadata file", "damaged"),
        ("mongodb", 137, "", "memory"),
        ("elasticsearch", 78, "", "vm.max_map_count"),
        ("elasticsearch", 78, "max virtual memory areas vm.max_map_count [65530] is too low, increase to at least "
                              "[262144]", "vm.max_map_count"),
        ("elasticsearch", 1, "BindHttpException[Failed to bind to 9200]; nested: BindException[Address already in use]",
         "port"),
        ("elasticsearch", 1, "java.io.IOException: No space left on device", "disk"),
        ("elasticsearch", None, "flood stage disk watermark [95%] exceeded on [x][y], all indices on this node will be "
                                "marked read-only", "lets nobody write"),
        ("elasticsearch", 1, "cannot downgrade a node from version [9.2.8] to version [7.10.2]", "version"),
        ("elasticsearch", 1, "cannot upgrade a node from version [6.8.0] directly to version [9.2.8]", "version"),
        ("elasticsearch", 1, "failed to obtain node locks, tried [[/usr/share/elasticsearch/data]]", "Another"),
        ("elasticsearch", 1, "AccessDeniedException: /usr/share/elasticsearch/data/nodes", "folder"),
        ("elasticsearch", 1, "unknown setting [xpack.nonsense] please check", "settings"),
        ("elasticsearch", 127, "fatal error: java.lang.OutOfMemoryError: Java heap space", "memory"),
        ("elasticsearch", 137, "", "memory"),
    ],
)
def test_known_failures_come_with_a_cause_and_a_command(name: str, code: int, log: str, word: str) -> None:
    """What people meet most is translated; every advice names a command or something to do."""
    advice = services.recipe(name).advice(code, log)
    assert advice is not None
    assert word in advice
    assert "labs" in advice


@pytest.mark.parametrize(("log", "extension", "helps"), [
    ('psycopg.errors.FeatureNotSupported: extension "pgcrypto" is not available', "pgcrypto", "gen_random_uuid()"),
    ('{"msg":"ERROR: extension \\"uuid-ossp\\" is not available (SQLSTATE 0A000)"}', "uuid-ossp", "gen_random_uuid()"),
    ('error: extension "xml2" is not available', "xml2", "labs check --engine docker"),
])
def test_an_extension_that_only_docker_has_is_told(log: str, extension: str, helps: str) -> None:
    """The wheel's PostgreSQL has no pgcrypto and no uuid-ossp; for a random UUID nobody needs them."""
    found = PostgresRecipe().lacking(f"listening\n{log}\n")
    assert found is not None
    assert f"the extension {extension}," in found[0]
    assert helps in found[1]


def test_an_extension_that_no_engine_has_is_the_learners_matter() -> None:
    """It is not there with Docker either, or it is only spoken of."""
    assert PostgresRecipe().lacking('extension "postgis" is not available') is None
    assert PostgresRecipe().lacking("CREATE EXTENSION pgcrypto") is None
    assert RedisRecipe().lacking('extension "pgcrypto" is not available') is None


@pytest.mark.parametrize("name", SERVED)
def test_an_unknown_failure_has_no_advice(name: str) -> None:
    """Better none than a wrong one."""
    assert services.recipe(name).advice(3, "something new") is None


def test_a_log_line_says_more_than_an_exit_code() -> None:
    """Where both are known the line wins."""
    failures = (Known("by code", exit_codes=frozenset({1})), Known("by line", "boom"))
    assert (known_failure(failures, 1, "Boom!"), known_failure(failures, 1, ""), known_failure(failures, None, "")) == (
        "by line",
        "by code",
        None,
    )


def test_tables_are_aligned() -> None:
    """NULL is empty, a line break stays on its line."""
    assert table(["id", "name"], [[1, "a\nb"], [22, None]]) == "id | name\n---+-----\n1  | a\\nb\n22 |\n(2 rows)"
    assert table(["x"], []) == "x\n-\n(0 rows)"


def test_a_replaced_credential_reaches_every_place() -> None:
    """The credentials of the spec are the ones used, not ones made on the way."""
    own = spec("redis", replace(RedisRecipe().credentials(), password="given", admin_password="ours"))
    conf = RedisRecipe().process(own, binaries("redis-server"), FOLDER).files["redis.conf"]
    assert ">given " in conf
    assert ">ours " in conf


def test_the_address_of_postgres_is_plain() -> None:
    """Not every client knows libpq's words in a URL; that there is no TLS is said beside it, for those who ask."""
    credentials = PostgresRecipe().credentials()
    values = PostgresRecipe().environment(Endpoint(6000), credentials)

    assert values["DATABASE_URL"] == (
        f"postgresql://{credentials.user}:{credentials.password}@127.0.0.1:6000/{credentials.database}")
    assert values["PGSSLMODE"] == "disable"


REFUSED = {"reason": "auth", "username": "default", "object": "AUTH"}


@pytest.mark.parametrize(("said", "refused", "advice"), [
    ("", [REFUSED], "Redis refused your server's login, which had no user name."),
    ("redis.exceptions.AuthenticationError: WRONGPASS invalid username-password pair or user is disabled.", [],
     "Redis refused your server's login."),
    ("", [REFUSED | {"username": "learner_0a1b2c"}], "Redis refused your server's login as learner_0a1b2c."),
    ("ReplyError: NOAUTH Authentication required.", [], "Your server asked Redis something before it logged in."),
    ("", [{"reason": "command", "username": "learner_0a1b2c", "object": "monitor"}], None),
    ("KeyError: 'NOAUTHOR'", [], None), ("", [], None),
])
def test_a_login_that_redis_refused_is_explained(said: str, refused: list[dict[str, object]], advice: str | None) -> None:
    """A client that drops the user name of REDIS_URL, as old ones do: whether or not the server printed the error."""
    from orchestrator.services.redis import logins

    found = logins.advice(said, refused)

    assert (found or "").startswith(advice or "")
    assert (found is None) is (advice is None)
    assert found is None or "redis://USER:PASSWORD@HOST:PORT/0" in found
