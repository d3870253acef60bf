"""The recipes' promises on real services: probe, prepare, fresh, product, client."""

from __future__ import annotations

import re
import subprocess
import threading
import time

import psycopg
import pytest
import redis as redis_client
from support.containers import CONTAINERS
from support.services import Service
from support.wait import until

from orchestrator import services
from orchestrator.errors import EnvironmentFault, UsageError
from orchestrator.model import Credentials, Dead, Endpoint, Fidelity, NotYet, Ready
from orchestrator.services.places import image_folder
from orchestrator.system.ports import free_port


@pytest.fixture(params=["elasticsearch", "galera", "mongodb", "mysql", "postgres", "redis"])
def any_service(request: pytest.FixtureRequest, leg: str) -> Service:
    """Each of the services in turn, those without logins among them."""
    found: Service = request.getfixturevalue(f"{request.param}_service")
    found.fresh()
    return found


@pytest.fixture(params=["galera", "mongodb", "mysql", "postgres", "redis"])
def service(request: pytest.FixtureRequest, leg: str) -> Service:
    """Each of the services in turn."""
    found: Service = request.getfixturevalue(f"{request.param}_service")
    found.fresh()
    return found


def refused_password(service: Service) -> Credentials:
    own = service.credentials
    return Credentials(own.admin_user, "wrong", own.user, "wrong", own.database)


def test_a_running_service_is_ready(any_service) -> None:
    """One look may be cut off where the machine is busy, as it is for whoever waits: they look again."""
    until(lambda: any_service.recipe.probe(any_service.endpoint, any_service.credentials) == Ready(), seconds=30)


def test_a_port_without_a_service_is_not_ready_yet(any_service) -> None:
    """It may still be starting; the reason is said."""
    answer = any_service.recipe.probe(Endpoint(free_port()), any_service.credentials)
    assert isinstance(answer, NotYet)
    assert "refused" in answer.why


def test_a_service_that_refuses_its_password_is_dead(service) -> None:
    """Waiting longer would not help: the data belongs to other credentials."""
    assert isinstance(service.recipe.probe(service.endpoint, refused_password(service)), Dead)


def test_a_service_that_never_answers_does_not_hold_the_probe(any_service) -> None:
    """A paused service accepts connections and says nothing: the probe is over within a second."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        answer = any_service.recipe.probe(Endpoint(silent.getsockname()[1]), any_service.credentials)
        assert time.monotonic() - start < 1.0
    assert isinstance(answer, NotYet)


def test_something_else_on_the_port_is_not_ready(any_service) -> None:
    """An HTTP server, a proxy whose service is not up: no traceback, no ready."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            connection, _ = other.accept()
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        assert not isinstance(any_service.recipe.probe(Endpoint(other.getsockname()[1]), any_service.credentials), Ready)
        thread.join()


def test_the_product_is_what_the_service_says(any_service) -> None:
    """PostgreSQL and Redis are genuine; Valkey says that it is compatible, though it calls itself Redis 7.2, too."""
    product = any_service.recipe.product(any_service.endpoint, any_service.credentials)
    known = {"Elasticsearch": Fidelity.GENUINE, "MariaDB with Galera": Fidelity.GENUINE, "MongoDB": Fidelity.GENUINE,
             "MySQL": Fidelity.GENUINE, "PostgreSQL": Fidelity.GENUINE,
             "Redis": Fidelity.GENUINE, "Valkey": Fidelity.COMPATIBLE}
    assert product.fidelity is known[product.name]
    assert re.fullmatch(r"\d+(\.\d+)+", product.version)


def test_every_service_with_an_image_is_tried_in_a_foreign_container() -> None:
    """A recipe is proved on a container that our engine did not start: ``support/containers.py`` says how to get one."""
    assert set(CONTAINERS) == {name for name in services.names() if image_folder(services.recipe(name)) is not None}


@pytest.mark.parametrize("name", [name for name in services.names() if services.recipe(name).programs])
def test_the_wheels_version_is_that_of_its_program(name) -> None:
    """A recipe knows the version of the program in the pinned wheel: this fails when the pin moves on without it."""
    wheel = services.recipe(name).wheel()
    assert wheel is not None, "no wheel for this platform"
    program = next(iter(wheel.programs.values()))
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    assert wheel.version in re.findall(r"\d+(?:\.\d+)+", said)


def test_a_service_that_is_down_has_no_incarnation(any_service) -> None:
    """``ConnectionError``, which says nothing about the learner."""
    for ask in (any_service.recipe.incarnation, any_service.recipe.product):
        with pytest.raises(ConnectionError):
            ask(Endpoint(free_port()), any_service.credentials)


def test_the_incarnation_stays_while_the_service_runs(any_service) -> None:
    """Preparing and emptying are no restarts."""
    first = any_service.recipe.incarnation(any_service.endpoint, any_service.credentials)
    any_service.recipe.prepare(any_service.endpoint, any_service.credentials)
    any_service.fresh()
    assert first == any_service.recipe.incarnation(any_service.endpoint, any_service.credentials)


def test_a_killed_backend_makes_another_incarnation_of_postgres(postgres_service) -> None:
    """What an OOM killer does: all sessions end, the data is recovered, and the first process has never ended."""
    first = postgres_service.recipe.incarnation(postgres_service.endpoint, postgres_service.credentials)
    with psycopg.connect(postgres_service.admin["admin_url"], autocommit=True) as victim, \
            psycopg.connect(postgres_service.admin["admin_url"], autocommit=True) as other:

        def kill_and_look() -> None:
            order = f"COPY (SELECT 1) TO PROGRAM 'cat > /dev/null; kill -9 {victim.info.backend_pid}'"
            other.execute(order.encode())
            until(lambda: other.execute("SELECT 1") is None)

        with pytest.raises(psycopg.OperationalError):
            kill_and_look()

    until(lambda: postgres_service.recipe.probe(postgres_service.endpoint, postgres_service.credentials) == Ready())
    assert first != postgres_service.recipe.incarnation(postgres_service.endpoint, postgres_service.credentials)


def test_postgres_fresh_leaves_nothing_of_the_learner(postgres_service) -> None:
    """Tables, large objects, settings of role and database, another password, open sessions, counters: all as new."""
    recipe, endpoint, own = postgres_service.recipe, postgres_service.endpoint, postgres_service.credentials
    url = recipe.environment(endpoint, own)["DATABASE_URL"]
    old = psycopg.connect(url, autocommit=True)
    for statement in (
        "CREATE TABLE buyers (id int)",
        "SELECT lo_create(0)",
        f"ALTER ROLE {own.user} SET work_mem = '1MB'",
        f"ALTER DATABASE {own.database} SET work_mem = '2MB'",
        f"ALTER ROLE {own.user} PASSWORD 'other'",
    ):
        old.execute(statement)
    recipe.fresh(endpoint, own)
    with pytest.raises(psycopg.OperationalError):
        old.execute("SELECT 1")
    old.close()
    with psycopg.connect(url) as new:
        assert new.execute("SELECT relname FROM pg_class WHERE relowner = current_user::regrole").fetchall() == []
        assert new.execute("SELECT oid FROM pg_largeobject_metadata").fetchall() == []
        assert new.execute("SHOW work_mem").fetchone() == ("4MB",)
    with psycopg.connect(recipe.admin(endpoint, own)["admin_url"]) as admin:
        assert admin.execute("SELECT count(*) FROM pg_stat_statements WHERE query LIKE '%buyers%'").fetchone() == (0,)


def test_postgres_fresh_heals_what_a_check_left(postgres_service) -> None:
    """A check that died in its block leaves a connection limit and plans switched on."""
    recipe, endpoint, own = postgres_service.recipe, postgres_service.endpoint, postgres_service.credentials
    with psycopg.connect(recipe.admin(endpoint, own)["admin_url"], autocommit=True) as admin:
        admin.execute(f"ALTER ROLE {own.user} CONNECTION LIMIT 0")
        admin.execute("ALTER SYSTEM SET auto_explain.log_min_duration = 0")
        recipe.fresh(endpoint, own)
        assert admin.execute("SELECT count(*) FROM pg_file_settings WHERE sourcefile LIKE '%auto.conf'").fetchone() == (
            0,
        )
    with psycopg.connect(recipe.environment(endpoint, own)["DATABASE_URL"]) as learner:
        learner.execute("SELECT 1")


def test_postgres_clear_empties_tables_under_open_sessions(postgres_service) -> None:
    """Tables stay, rows go, also where they refer to each other; what the server put there at its start is spared."""
    recipe, endpoint, own = postgres_service.recipe, postgres_service.endpoint, postgres_service.credentials
    recipe.fresh(endpoint, own)
    with psycopg.connect(recipe.environment(endpoint, own)["DATABASE_URL"], autocommit=True) as learner:
        learner.execute("CREATE TABLE migrations (name text); INSERT INTO migrations VALUES ('0001')")
        learner.execute("CREATE TABLE events (id int PRIMARY KEY); CREATE TABLE orders (event int REFERENCES events)")
        spare = recipe.contents(endpoint, own)
        assert spare == {"public.migrations"}
        learner.execute("INSERT INTO events VALUES (1); INSERT INTO orders VALUES (1)")

        recipe.clear(endpoint, own, spare=spare)

        assert recipe.contents(endpoint, own) == {"public.migrations"}
        learner.execute("INSERT INTO events VALUES (1)")
    with psycopg.connect(recipe.admin(endpoint, own)["admin_url"]) as admin:
        assert admin.execute("SELECT count(*) FROM pg_stat_statements WHERE query LIKE 'CREATE%'").fetchone() == (0,)


def test_postgres_clear_says_who_holds_a_table(postgres_service) -> None:
    """A transaction that the server leaves open is named as the cause, and nothing is emptied by half."""
    recipe, endpoint, own = postgres_service.recipe, postgres_service.endpoint, postgres_service.credentials
    recipe.fresh(endpoint, own)
    with psycopg.connect(recipe.environment(endpoint, own)["DATABASE_URL"]) as learner:
        learner.execute("CREATE TABLE events (id int); INSERT INTO events VALUES (1)")
        learner.commit()
        learner.execute("SELECT * FROM events")
        with pytest.raises(EnvironmentFault, match="transaction open") as caught:
            recipe.clear(endpoint, own, spare=())
    assert caught.value.code == "table-held"
    assert recipe.contents(endpoint, own) == {"public.events"}


@pytest.mark.parametrize("early", [True, False], ids=["something-spared", "nothing-spared"])
def test_redis_clear_empties_keys_under_open_connections(redis_service, early) -> None:
    """Keys go, connections and scripts stay, counters begin at zero; what was there at the start is spared."""
    recipe, endpoint, own = redis_service.recipe, redis_service.endpoint, redis_service.credentials
    recipe.fresh(endpoint, own)
    with redis_client.Redis.from_url(recipe.environment(endpoint, own)["REDIS_URL"],
                                     single_connection_client=True) as learner:
        digest = learner.script_load("return 1")
        if early:
            learner.set("boot", 1)
        spare = recipe.contents(endpoint, own)
        learner.set("later", 1)

        recipe.clear(endpoint, own, spare=spare)

        assert recipe.contents(endpoint, own) == ({"boot"} if early else set())
        assert "cmdstat_set" not in learner.info("commandstats")
        assert learner.script_exists(digest) == [True]


def test_redis_keys_may_hold_any_bytes(redis_service) -> None:
    """They are named, emptied and shown like any others; what is no text is shown by its bytes."""
    recipe, endpoint, own = redis_service.recipe, redis_service.endpoint, redis_service.credentials
    recipe.fresh(endpoint, own)
    with redis_client.Redis.from_url(recipe.environment(endpoint, own)["REDIS_URL"]) as learner:
        learner.set(b"\xff\x00", b"\xfe")
        spare = recipe.contents(endpoint, own)
        learner.set(b"\xfe", b"later")
        recipe.clear(endpoint, own, spare=spare)

        assert learner.keys() == [b"\xff\x00"]
        assert recipe.run_statement(endpoint, own, "KEYS *") == "1) \\xff\x00"


def test_redis_lets_the_fields_of_a_hash_expire(redis_service) -> None:
    """HEXPIRE is there on both engines: Redis has it since 7.4, Valkey since 9.0."""
    recipe, endpoint, own = redis_service.recipe, redis_service.endpoint, redis_service.credentials
    recipe.run_statement(endpoint, own, "HSET hold seat 12")
    assert recipe.run_statement(endpoint, own, "HEXPIRE hold 60 FIELDS 1 seat") == "1) (integer) 1"
    assert recipe.run_statement(endpoint, own, "HTTL hold FIELDS 1 seat") in ("1) (integer) 60", "1) (integer) 59")


def test_postgres_sorts_the_same_everywhere(postgres_service) -> None:
    """By code point, whatever locale the image or the machine has; upper and lower case know all of Unicode."""
    recipe, endpoint, own = postgres_service.recipe, postgres_service.endpoint, postgres_service.credentials
    answer = recipe.run_statement(endpoint, own, "SELECT upper('é'), 'B' < 'a' AS sorts, current_setting('timezone')")
    assert "É     | t     | UTC" in answer


def test_postgres_prepare_restores_the_password(postgres_service) -> None:
    """The address that was printed once goes on working."""
    recipe, endpoint, own = postgres_service.recipe, postgres_service.endpoint, postgres_service.credentials
    recipe.run_statement(endpoint, own, "CREATE TABLE kept (id int)")
    recipe.run_statement(endpoint, own, f"ALTER ROLE {own.user} PASSWORD 'other'")
    recipe.prepare(endpoint, own)
    assert "(0 rows)" in recipe.run_statement(endpoint, own, "SELECT * FROM kept")


def test_redis_fresh_leaves_nothing_of_the_learner(redis_service) -> None:
    """Keys of all databases, functions, scripts, open connections, counters: all as new."""
    recipe, endpoint, own = redis_service.recipe, redis_service.endpoint, redis_service.credentials
    url = recipe.environment(endpoint, own)["REDIS_URL"]
    old = redis_client.Redis.from_url(url, single_connection_client=True)
    old.set("a", 1)
    old.execute_command("SELECT", 5)
    old.set("b", 1)
    old.function_load("#!lua name=mine\nredis.register_function('f', function() return 1 end)")
    digest = old.script_load("return 1")
    recipe.fresh(endpoint, own)
    with redis_client.Redis.from_url(url) as new:
        assert len(new.client_list()) == 1
        assert new.info("keyspace") == {}
        assert new.function_list() == []
        assert new.script_exists(digest) == [False]
        assert "cmdstat_set" not in new.info("commandstats")
    old.close()


def test_redis_tells_of_a_client_that_dropped_its_user_name(redis_service) -> None:
    """It keeps what it refused until the next attempt, whatever the client made of the error."""
    endpoint, credentials = redis_service.endpoint, redis_service.credentials

    def advice() -> str | None:
        return redis_service.recipe.client_advice(endpoint, credentials, "")

    redis_service.fresh()
    assert advice() is None

    client = redis_client.Redis(host=endpoint.host, port=endpoint.port, password=credentials.password)
    with client, pytest.raises(redis_client.AuthenticationError, match="invalid username-password"):
        client.ping()

    assert "had no user name" in str(advice())
    redis_service.fresh()
    assert advice() is None


def test_redis_fresh_ends_a_script_that_never_ends(redis_service) -> None:
    """N11: the learner's endless Lua does not survive its space."""
    recipe, endpoint, own = redis_service.recipe, redis_service.endpoint, redis_service.credentials
    with redis_client.Redis.from_url(recipe.admin(endpoint, own)["url"]) as admin:
        admin.config_set("busy-reply-threshold", 50)

    def hang() -> None:
        url = recipe.environment(endpoint, own)["REDIS_URL"]
        with redis_client.Redis.from_url(url) as client, pytest.raises(redis_client.RedisError):
            client.eval("while true do end", 0)

    thread = threading.Thread(target=hang)
    thread.start()
    with redis_client.Redis.from_url(recipe.admin(endpoint, own)["url"]) as admin:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                admin.ping()
            except redis_client.ResponseError:
                break
    recipe.fresh(endpoint, own)
    thread.join(10)
    assert not thread.is_alive()
    assert recipe.run_statement(endpoint, own, "PING") == "PONG"


def test_a_client_program_works_as_the_learner_without_a_password_in_its_arguments(service) -> None:
    """``labs connect``: the first client that is there, run as given."""
    statement = {"galera": "SELECT current_user()", "mongodb": "db.runCommand({ connectionStatus: 1 })",
                 "mysql": "SELECT current_user()", "postgres": "SELECT current_user",
                 "redis": "ACL WHOAMI"}[service.recipe.name]
    clients = service.recipe.client(service.endpoint, service.credentials, statement)
    # The wheel of PostgreSQL has one; the others' have none, and `labs connect` has a prompt of its own.
    assert clients or service.recipe.name != "postgres"
    for client in clients:
        assert service.credentials.password not in " ".join(client.argv)
        done = subprocess.run(
            client.argv, env={"PATH": "/usr/bin:/bin", **client.env}, capture_output=True, text=True, timeout=20
        )
        assert service.credentials.user in done.stdout, done.stderr


def test_a_statement_needs_no_client_program(service) -> None:
    """Answers as the client programs show them; what the service refuses is said in one line, without a traceback."""
    run, where = service.recipe.run_statement, (service.endpoint, service.credentials)
    if service.recipe.name == "postgres":
        assert run(*where, "CREATE TABLE t (i int, b bool)") == "CREATE TABLE"
        assert (
            run(*where, "INSERT INTO t VALUES (1, true), (2, NULL); SELECT * FROM t ORDER BY i")
            == "INSERT 0 2\ni | b\n--+--\n1 | t\n2 |\n(2 rows)"
        )
        wrong = ("SELEC 1", "\\d", "SELECT 1; SELECT x")
    elif service.recipe.name in ("galera", "mysql"):
        assert run(*where, "CREATE TABLE t (i int)") == "OK, 0 rows affected"
        assert run(*where, "INSERT INTO t VALUES (1), (NULL); SELECT * FROM t ORDER BY i") == (
            "OK, 2 rows affected\ni\n----\nNULL\n1\n(2 rows)")
        wrong = ("SELEC 1", "\\s", "SELECT 1; SELECT x")
    elif service.recipe.name == "mongodb":
        assert run(*where, "db.l.insertMany([{ _id: 1, a: 'b' }, { _id: 2 }])") == "{ insertedIds: [ 1, 2 ] }"
        assert run(*where, "db.l.find()") == "{ _id: 1, a: 'b' }\n{ _id: 2 }"
        assert run(*where, "db.l.findOne({ _id: 3 })") == "null"
        wrong = ("db.nosuch()", "db.l.find({", "", "{ serverStatus: 1 }", "use admin")
    else:
        assert run(*where, "RPUSH l 'a b' c \"d\"") == "(integer) 3"
        assert run(*where, "LRANGE l 0 -1") == "1) a b\n2) c\n3) d"
        assert run(*where, "GET nothing") == "(nil)"
        wrong = ("NOSUCH", "GET 'a", "", "MONITOR", "CONFIG GET dir", "SUBSCRIBE x")
    for statement in wrong:
        with pytest.raises(UsageError):
            run(*where, statement)


def test_the_log_of_a_judge_instance_is_read_from_the_service(postgres_service) -> None:
    """The last lines, newest last; empty when the service is down."""
    recipe, endpoint, own = postgres_service.recipe, postgres_service.endpoint, postgres_service.credentials
    with pytest.raises(UsageError):
        recipe.run_statement(endpoint, own, "SELECT 'in the log' FROM nowhere")
    lines = recipe.log_tail(endpoint, own, 2).splitlines()
    assert len(lines) == 2
    assert "in the log" in lines[-1]
    assert recipe.log_tail(Endpoint(free_port()), own, 2) == ""
