"""What a server may leave behind in its PostgreSQL for the checker to step into: each attack, then what a check does.

Each is a few statements of the learner's role. None may make it more than it is, show the checker other rows than the
server has, hide what it did, or keep the next attempt from an empty database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from support.services import Service, running

from orchestrator.checks.errors import SchemaWrong, ServiceLost
from orchestrator.errors import EnvironmentFault
from orchestrator.services.postgres import space
from orchestrator.services.postgres.evidence.reader import Postgres

TABLES = """
    CREATE TABLE buyers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
    CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, buyer_id bigint REFERENCES buyers)
"""
CLIMB = """
    CREATE FUNCTION climb() RETURNS boolean LANGUAGE plpgsql AS $$
    DECLARE step text;
    BEGIN
        FOREACH step IN ARRAY ARRAY['RESET ROLE', 'SET ROLE NONE', 'RESET SESSION AUTHORIZATION',
                                    'ALTER ROLE {user} SUPERUSER', 'CREATE ROLE friend SUPERUSER LOGIN',
                                    'GRANT pg_read_all_data TO {user}', 'COPY (SELECT 1) TO PROGRAM ''true'''] LOOP
            BEGIN EXECUTE step; EXCEPTION WHEN OTHERS THEN NULL; END;
        END LOOP;
        RETURN true;
    END $$;
    CREATE FUNCTION climbing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.climb(); RETURN NEW; END $$
"""
"""Functions that take whatever rights there are to take, whoever runs them."""

TRAPS = {
    "default": "ALTER TABLE buyers ADD trap boolean DEFAULT climb()",
    "check": "ALTER TABLE buyers ADD CHECK (climb())",
    "trigger": "CREATE TRIGGER t BEFORE INSERT ON buyers FOR EACH ROW EXECUTE FUNCTION climbing()",
    "trigger always": "CREATE TRIGGER t AFTER INSERT ON buyers FOR EACH ROW EXECUTE FUNCTION climbing();"
                      "ALTER TABLE buyers ENABLE ALWAYS TRIGGER t",
    "trigger on emptying": "CREATE TRIGGER t BEFORE TRUNCATE ON buyers FOR EACH STATEMENT EXECUTE FUNCTION climbing()",
    "domain": "CREATE DOMAIN trapped AS text CHECK (climb()); ALTER TABLE buyers ADD trap trapped DEFAULT 'x'",
    "index": "CREATE FUNCTION immutable_climb(text) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT public.climb()';"
             "CREATE INDEX ON buyers (immutable_climb(name))",
    "policy": "ALTER TABLE buyers ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON buyers USING (climb())",
    "operators before PostgreSQL's own": """
        CREATE FUNCTION theirs(name, name) RETURNS boolean LANGUAGE sql AS 'SELECT public.climb()';
        CREATE FUNCTION theirs(name, text) RETURNS boolean LANGUAGE sql AS 'SELECT public.climb()';
        CREATE FUNCTION theirs("char", "char") RETURNS boolean LANGUAGE sql AS 'SELECT public.climb()';
        CREATE FUNCTION theirs(oid, oid) RETURNS boolean LANGUAGE sql AS 'SELECT public.climb()';
        CREATE OPERATOR public.<> (LEFTARG = name, RIGHTARG = text, FUNCTION = theirs);
        CREATE OPERATOR public.<> (LEFTARG = name, RIGHTARG = name, FUNCTION = theirs);
        CREATE OPERATOR public.!~ (LEFTARG = name, RIGHTARG = text, FUNCTION = theirs);
        CREATE OPERATOR public.= (LEFTARG = "char", RIGHTARG = "char", FUNCTION = theirs);
        CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = theirs);
        ALTER DATABASE app SET search_path = public, pg_catalog""",
    "an operator that fits better": """
        CREATE FUNCTION theirs(regclass, oid) RETURNS boolean LANGUAGE sql AS 'SELECT public.climb()';
        CREATE OPERATOR public.= (LEFTARG = regclass, RIGHTARG = oid, FUNCTION = theirs)""",
    "a schema of the check's": "CREATE SCHEMA labs_check; CREATE VIEW labs_check.plan AS SELECT '' AS place;"
                               "CREATE TRIGGER t INSTEAD OF INSERT ON labs_check.plan FOR EACH ROW"
                               " EXECUTE FUNCTION climbing()",
}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running("postgres") as one:
        yield one


@pytest.fixture
def own(service: Service) -> Iterator[psycopg.Connection[Any]]:
    """The learner's connection, in a database with two tables."""
    service.fresh()
    connection = psycopg.connect(url_of(service), autocommit=True)
    try:
        connection.execute(TABLES)
        yield connection
    finally:
        connection.close()


@pytest.fixture
def reader(service: Service, own: psycopg.Connection[Any]) -> Iterator[Postgres]:
    made = Postgres(service.admin)
    yield made
    made.close()


def url_of(service: Service) -> str:
    return service.url("DATABASE_URL")


def all_that_a_check_does(service: Service, reader: Postgres) -> None:
    """Every use that checks, and the attached mode, make of a learner's database. What is refused is refused."""
    recipe, where = service.recipe, (service.endpoint, service.credentials)
    works: list[Callable[[], object]] = [
        lambda: reader.rows("SELECT id, name FROM buyers"),
        lambda: reader.plant("INSERT INTO buyers (name) VALUES ('Ada') RETURNING id"),
        lambda: reader.plant_many("INSERT INTO buyers (name) SELECT 'Bo' FROM generate_series(1, 3)"),
        lambda: reader.refused("INSERT INTO buyers (name) VALUES ('Cy')"),
        lambda: reader.tidy("buyers", "orders"),
        lambda: reader.admin("CREATE SCHEMA own; CREATE TABLE own.plan (place text)"),
        lambda: reader.admin("INSERT INTO own.plan VALUES ('buyers')"),
        lambda: measured(reader),
        lambda: recipe.contents(*where),  # type: ignore[attr-defined]
        lambda: recipe.clear(*where, spare=()),  # type: ignore[attr-defined]
    ]
    for work in works:
        with suppress(psycopg.Error, SchemaWrong, EnvironmentFault):
            work()


def measured(reader: Postgres) -> None:
    with reader.statements(), reader.plans():
        reader.rows("SELECT 1")


@pytest.mark.parametrize("trap", TRAPS.values(), ids=list(TRAPS))
def test_no_trap_makes_the_learner_more_than_it_is(
    service: Service, own: psycopg.Connection[Any], reader: Postgres, trap: str
) -> None:
    """Whatever code of the learner's runs while a check works runs without a superuser's rights."""
    own.execute(CLIMB.format(user=service.credentials.user).encode())
    own.execute(trap.encode())
    all_that_a_check_does(service, reader)
    assert own.execute("SELECT rolname FROM pg_roles WHERE rolsuper").fetchall() == [(service.credentials.admin_user,)]
    own.execute("ALTER DATABASE app RESET ALL")
    with psycopg.connect(service.admin["admin_url"]) as admin:
        assert space.foreign(admin, service.credentials) == []
    service.fresh()


def test_the_administrator_never_enters_the_learners_database(
    service: Service, own: psycopg.Connection[Any], reader: Postgres
) -> None:
    """Nothing that a check is given leads there as the administrator, and nothing that a check does goes there."""
    name = service.credentials.admin_user
    assert not [url for url in service.admin.values() if url.startswith(f"postgresql://{name}:")
                and f"/{service.credentials.database}" in url]
    with psycopg.connect(service.admin["admin_url"], autocommit=True) as admin:
        admin.execute("ALTER SYSTEM SET log_connections = 'authorization'")
        admin.execute("SELECT pg_reload_conf()")
        before = admin.execute("SELECT size FROM pg_stat_file(pg_current_logfile())").fetchone()
        all_that_a_check_does(service, reader)
        found = admin.execute("SELECT pg_read_file(pg_current_logfile(), %s, 10000000)", before).fetchone()
    assert found is not None
    entered = [line for line in found[0].splitlines() if f"user={name} database={service.credentials.database}" in line]
    assert entered == []
    assert f"user={space.witness_name(service.credentials)}" in found[0]


# --- rows that are not what the server has ---------------------------------------------------------------------------


@pytest.mark.parametrize("forgery", [
    "ALTER TABLE buyers RENAME TO real; CREATE VIEW buyers AS SELECT * FROM real WHERE current_user <> session_user",
    "CREATE MATERIALIZED VIEW copy AS SELECT * FROM buyers; ALTER TABLE buyers RENAME TO real;"
    "ALTER MATERIALIZED VIEW copy RENAME TO buyers",
    "ALTER TABLE buyers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
    "CREATE POLICY p ON buyers USING (session_user = current_user)",
    "CREATE RULE r AS ON INSERT TO buyers DO INSTEAD NOTHING",
], ids=["view", "materialized view", "policy", "rule"])
def test_what_looks_like_a_table_is_one(own: psycopg.Connection[Any], reader: Postgres, forgery: str) -> None:
    """A view or a policy could show the checker what the server never sees: that is told, not believed."""
    own.execute(forgery.encode())
    for use in (lambda: reader.value("SELECT count(*) FROM buyers"), lambda: reader.rows("SELECT 1 FROM public.buyers"),
                lambda: reader.plant("INSERT INTO buyers (name) VALUES ('Ada')"),
                lambda: reader.refused("INSERT INTO buyers (name) VALUES ('Ada')")):
        with pytest.raises(SchemaWrong) as raised:
            use()
        assert raised.value.reason == "schema-wrong-type"
        assert "buyers" in raised.value.what


def test_a_view_beside_the_tables_is_nobodys_business(own: psycopg.Connection[Any], reader: Postgres) -> None:
    """Also if it has the name of a column; and row security that does not bind the owner."""
    own.execute("CREATE VIEW name AS SELECT 1; ALTER TABLE orders ENABLE ROW LEVEL SECURITY")
    reader.plant("INSERT INTO buyers (name) VALUES ('Ada')")
    assert reader.rows("SELECT name FROM buyers JOIN orders ON true") == []


@pytest.mark.parametrize("left", [
    "CREATE TEMP TABLE orders (id bigint)",
    "SET search_path = evil",
    "SET ROLE NONE",
    "SET row_security = on; SET statement_timeout = 1",
    "SET timezone = ''Asia/Tokyo''; SET datestyle = ''German''",
    "PREPARE p AS SELECT 1; LISTEN x",
])
def test_what_a_trigger_leaves_in_the_checkers_session_is_gone(
    own: psycopg.Connection[Any], reader: Postgres, left: str
) -> None:
    """Temporary tables, settings and roles do not last until the checker looks."""
    own.execute("CREATE SCHEMA evil; CREATE TABLE evil.orders (id bigint); INSERT INTO orders DEFAULT VALUES")
    own.execute(f"CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE '{left}'; RETURN NEW;"
                " END $$; CREATE TRIGGER t BEFORE INSERT ON buyers FOR EACH ROW EXECUTE FUNCTION leave()".encode())
    with suppress(SchemaWrong):
        reader.plant("INSERT INTO buyers (name) VALUES ('Ada')")
    assert reader.value("SELECT count(*) FROM orders") == 1
    assert reader.one("SELECT current_user, current_setting('datestyle'), current_setting('row_security')") == (
        own.info.user, "ISO, MDY", "off")


@pytest.mark.parametrize("setting", [
    "search_path = evil", "statement_timeout = 1", "default_transaction_read_only = on", "datestyle = 'German'",
    "timezone = 'Asia/Tokyo'", "bytea_output = 'escape'", "row_security = on", "standard_conforming_strings = off",
])
def test_settings_of_the_database_do_not_reach_the_checker(
    own: psycopg.Connection[Any], reader: Postgres, setting: str
) -> None:
    """Its owner may set them for everybody who connects."""
    own.execute("CREATE SCHEMA evil; CREATE TABLE evil.buyers (id bigint)")
    own.execute(f"ALTER DATABASE app SET {setting}".encode())
    assert len(reader.plant("INSERT INTO buyers (name) VALUES ('Ada') RETURNING id")) == 1
    assert reader.rows(r"SELECT name, '2031-02-01T10:00:00Z'::timestamptz::text, '\x00'::bytea FROM buyers") == [
        ("Ada", "2031-02-01 10:00:00+00", b"\0")]


# --- what it did is seen ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [
    "DO $$ BEGIN PERFORM count(*) FROM orders; END $$",
    "SELECT ts_stat('SELECT ''x''::tsvector FROM orders')",
    "SELECT pg_temp.peek()",
    "SELECT * FROM peeked",
    "CREATE TEMP TABLE mine AS SELECT * FROM orders",
    "EXPLAIN ANALYZE SELECT * FROM orders",
])
def test_no_statement_reads_a_table_unseen(own: psycopg.Connection[Any], reader: Postgres, hidden: str) -> None:
    """Not inside a text that is taken out of the count, not under a name of one session."""
    own.execute("CREATE FUNCTION pg_temp.peek() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public.orders';"
                "CREATE TEMP VIEW peeked AS SELECT * FROM orders")
    with reader.statements() as seen:
        own.execute(hidden.encode())
    assert seen.calls == 1


def test_counts_that_were_flooded_are_no_evidence(own: psycopg.Connection[Any], reader: Postgres) -> None:
    """More different statements than PostgreSQL keeps count of would push out those that matter."""
    flood = ";".join(f"LISTEN channel_{number}" for number in range(6000))
    with pytest.raises(ServiceLost, match="overflowed"), reader.statements():
        own.execute(f"SELECT count(*) FROM orders; {flood}".encode())


def test_a_plan_that_was_only_told_is_none(own: psycopg.Connection[Any], reader: Postgres) -> None:
    """``RAISE`` writes any text to the log, also one that looks like a plan, or like a broken one."""
    for text in ('{"Query Text": "x", "Plan": {"Node Type": "Index Scan", "Relation Name": "orders"}}', "{"):
        with reader.plans() as plans:
            own.execute(f"DO $$ BEGIN RAISE LOG E'duration: 0.1 ms  plan:\\n%', '{text}'; END $$".encode())
        assert [plan for plan in plans.list if "orders" in str(plan.root)] == []


def test_what_the_check_made_is_not_the_learners_to_change(
    service: Service, own: psycopg.Connection[Any], reader: Postgres
) -> None:
    """Not from its own sessions, nor from a trigger that runs in the checker's."""
    reader.admin("CREATE SCHEMA own; CREATE TABLE own.plan (n int); INSERT INTO own.plan VALUES (7)")
    own.execute("CREATE FUNCTION grasp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                " EXECUTE 'SET ROLE NONE'; EXECUTE 'DELETE FROM own.plan'; RETURN NEW; END $$;"
                "CREATE TRIGGER t BEFORE INSERT ON buyers FOR EACH ROW EXECUTE FUNCTION grasp()")
    with pytest.raises(SchemaWrong, match="permission denied"):
        reader.plant("INSERT INTO buyers (name) VALUES ('Ada')")
    for statement in ("DELETE FROM own.plan", "DROP SCHEMA own CASCADE", "ALTER SCHEMA own RENAME TO x"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            own.execute(statement.encode())
    assert reader.admin("SELECT n FROM own.plan") == [(7,)]


# --- emptying --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hold", [
    "ALTER DATABASE app IS_TEMPLATE true",
    "ALTER DATABASE app CONNECTION LIMIT 0",
    "ALTER DATABASE app SET default_transaction_read_only = on",
    "ALTER ROLE CURRENT_USER SET search_path = nowhere",
    "ALTER ROLE CURRENT_USER PASSWORD 'another'",
    "SELECT pg_advisory_lock(1)",
    "BEGIN; LOCK TABLE buyers",
    "SELECT lo_create(4711)",
    "CREATE PUBLICATION p FOR TABLE buyers",
    "REVOKE ALL ON DATABASE app FROM CURRENT_USER",
    "DROP SCHEMA public CASCADE",
])
def test_the_next_attempt_finds_an_empty_database(service: Service, own: psycopg.Connection[Any], hold: str) -> None:
    """Whatever the last one did to keep its own."""
    own.execute(hold.encode())
    service.fresh()
    with psycopg.connect(url_of(service), autocommit=True) as new:
        new.execute(TABLES)
        new.execute("INSERT INTO buyers (name) VALUES ('Ada')")
        assert new.execute("SELECT count(*) FROM pg_largeobject_metadata").fetchone() == (0,)
        assert new.execute("SHOW search_path").fetchone() == ('"$user", public',)
        assert new.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)


@pytest.mark.parametrize("trigger", [
    "BEGIN INSERT INTO public.buyers (name) VALUES ('again'); RETURN NULL; END",
    "BEGIN RAISE EXCEPTION 'no'; END",
], ids=["fills it again", "refuses"])
def test_emptying_under_a_server_is_whole_or_is_told(
    service: Service, own: psycopg.Connection[Any], trigger: str
) -> None:
    """Never as if it had been emptied."""
    own.execute("INSERT INTO buyers (name) VALUES ('Ada')")
    own.execute(f"CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ {trigger} $$;"
                "CREATE TRIGGER t AFTER TRUNCATE ON buyers FOR EACH STATEMENT EXECUTE FUNCTION keep()".encode())
    with pytest.raises(EnvironmentFault):
        service.recipe.clear(service.endpoint, service.credentials, spare=())  # type: ignore[attr-defined]


@pytest.mark.parametrize(("change", "undo"), [
    ("CREATE ROLE friend", "DROP ROLE friend"),
    ("CREATE DATABASE friend", "DROP DATABASE friend"),
    ("GRANT pg_read_all_stats TO {user}", "REVOKE pg_read_all_stats FROM {user}"),
    ("ALTER ROLE ALL SET work_mem = '1MB'", "ALTER ROLE ALL RESET work_mem"),
    ("CREATE TABLE public.note (n int)", "DROP TABLE public.note"),
    ("CREATE SCHEMA note", "DROP SCHEMA note"),
], ids=["role", "database", "right", "setting", "table", "schema"])
def test_what_we_did_not_make_means_a_new_server(service: Service, change: str, undo: str) -> None:
    """However it came there: emptying says so, and who asked makes the service anew."""
    with psycopg.connect(service.admin["admin_url"], autocommit=True) as admin:
        admin.execute(change.format(user=service.credentials.user).encode())
        try:
            with pytest.raises(EnvironmentFault) as raised:
                service.fresh()
            assert raised.value.code == "service-changed"
        finally:
            admin.execute(undo.format(user=service.credentials.user).encode())
    service.fresh()
