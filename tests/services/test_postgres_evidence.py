"""What a check reads from PostgreSQL is what PostgreSQL saw, and nothing of the checker's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from support.services import Service

from orchestrator.checks.errors import SchemaWrong, ServiceLost
from orchestrator.services.postgres.evidence.reader import Postgres

TABLES = """
    CREATE TABLE buyers (
        id serial PRIMARY KEY, name text NOT NULL, balance_cents int NOT NULL CHECK (balance_cents >= 0));
    CREATE TABLE orders (
        id serial PRIMARY KEY, buyer_id int REFERENCES buyers, seat int UNIQUE DEFERRABLE INITIALLY DEFERRED)
"""


@contextmanager
def learner(service: Service, **options: Any) -> Iterator[psycopg.Connection[Any]]:
    """A connection as the learner's server makes it."""
    url = service.url("DATABASE_URL")
    connection = psycopg.connect(url, autocommit=True, **options)
    try:
        yield connection
    finally:
        connection.close()


@pytest.fixture
def target(postgres_service: Service, postgres: Postgres) -> Iterator[psycopg.Connection[Any]]:
    """The learner's server, with its tables made."""
    with learner(postgres_service) as connection:
        connection.execute(TABLES)
        yield connection


def test_rows_are_read_as_the_learner_wrote_them(postgres, target) -> None:
    """``rows``, ``one`` and ``value`` see what was committed, with types of Python."""
    target.execute("INSERT INTO buyers (name, balance_cents) VALUES ('Ada', 500), ('Bo', 7)")
    assert postgres.rows("SELECT name, balance_cents FROM buyers ORDER BY id") == [("Ada", 500), ("Bo", 7)]
    assert postgres.one("SELECT name FROM buyers WHERE balance_cents = %s", [7]) == ("Bo",)
    assert postgres.value("SELECT count(*) FROM buyers") == 2


def test_a_row_planted_is_the_learners_own(postgres, target) -> None:
    """``plant`` acts as the learner's role, so its rights and row owners hold, and returns what RETURNING gives."""
    assert postgres.plant("INSERT INTO buyers (name, balance_cents) VALUES (%s, %s) RETURNING id", ["Ada", 5]) == [(1,)]
    assert target.execute("SELECT current_user").fetchone() == postgres.plant("SELECT current_user")[0]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT * FROM tickets", "schema-missing-table"),
        ("SELECT venue FROM buyers", "schema-missing-column"),
        ("SELECT 1 FROM buyers WHERE name = 5", "schema-wrong-type"),
        ("SELECT 1 FROM buyers WHERE id = 'x'", "schema-wrong-type"),
    ],
)
def test_a_schema_that_is_not_as_agreed_is_the_learners_fault(postgres, target, query, reason) -> None:
    """Missing tables and columns and other types have reasons of their own, for ``rows``, ``plant`` and ``refused``."""
    for ask in (postgres.rows, postgres.plant):
        with pytest.raises(SchemaWrong) as raised:
            ask(query)
        assert reason == raised.value.reason
    if reason.startswith("schema-missing"):
        with pytest.raises(SchemaWrong):
            postgres.refused(query)


def test_an_id_that_postgresql_cannot_hold_is_the_learners_fault(postgres, target) -> None:
    """JSON has the character NUL, PostgreSQL's text has not: whoever answers such an id has not stored it there."""
    for ask in (postgres.rows, postgres.plant, postgres.refused):
        with pytest.raises(SchemaWrong, match="NUL") as raised:
            ask("SELECT name FROM buyers WHERE id::text = %s", ["7\0"])
        assert raised.value.reason == "schema-wrong-type"


def test_a_refused_plant_carries_the_message_of_postgresql(postgres, target) -> None:
    """What the learner's constraints refuse is said with PostgreSQL's own words."""
    with pytest.raises(SchemaWrong, match="buyers_balance_cents_check") as raised:
        postgres.plant("INSERT INTO buyers (name, balance_cents) VALUES ('Ada', -1)")
    assert raised.value.reason == "schema-plant-refused"


def test_a_mistake_in_a_check_is_not_the_learners_fault(postgres, target) -> None:
    """A syntax error of the check's stays an error."""
    with pytest.raises(psycopg.errors.SyntaxError):
        postgres.plant("INSRT INTO buyers")


def test_refused_tells_the_sqlstate_and_leaves_nothing(postgres, target) -> None:
    """Also for constraints that wait for the end of the transaction."""
    assert postgres.refused("INSERT INTO buyers (name, balance_cents) VALUES ('Ada', -1)") == "23514"
    assert postgres.refused("INSERT INTO buyers (name, balance_cents) VALUES ('Ada', 1)") is None
    assert postgres.value("SELECT count(*) FROM buyers") == 0
    postgres.plant("INSERT INTO orders (seat) VALUES (1)")
    assert postgres.refused("INSERT INTO orders (seat) VALUES (1)") == "23505"


def test_the_admin_may_plant_triggers_and_vacuum(postgres, target) -> None:
    """``admin`` runs each statement by itself, as a role that may put triggers on the learner's tables."""
    postgres.tidy("buyers", "orders")
    postgres.admin("CREATE SCHEMA own; CREATE FUNCTION own.boom() RETURNS trigger LANGUAGE plpgsql"
                   " AS 'BEGIN RAISE EXCEPTION ''boom''; END'")
    postgres.admin("CREATE TRIGGER boom BEFORE INSERT ON public.buyers FOR EACH ROW EXECUTE FUNCTION own.boom()")
    assert postgres.refused("INSERT INTO buyers (name, balance_cents) VALUES ('Ada', 1)") == "P0001"


def test_statements_are_the_learners_and_touch_a_table(postgres, target) -> None:
    """Transactions, settings, pings, what drivers ask the catalogue and what the checker does are not counted."""
    postgres.plant("INSERT INTO buyers (name, balance_cents) VALUES ('Ada', 1)")
    target.execute("SELECT name FROM buyers WHERE id = 1")
    with postgres.statements() as seen:
        for noise in (
            "BEGIN",
            "SELECT 1",
            "SELECT version()",
            "SET TIME ZONE 'UTC'",
            "SHOW search_path",
            "COMMIT",
            "SELECT oid FROM pg_catalog.pg_type WHERE typname = 'buyers'",
            "SELECT 'FROM buyers' /* orders */",
        ):
            target.execute(noise)
        for number in range(3):
            target.execute("SELECT name FROM buyers WHERE id = %s", [number])
        target.execute('UPDATE "buyers" SET name = %s', ["Bo"])
        postgres.plant("INSERT INTO buyers (name, balance_cents) VALUES ('Cy', 1)")
        postgres.rows("SELECT * FROM buyers")
        postgres.admin("SELECT count(*) FROM public.buyers")
    assert {statement.text: (statement.calls, statement.rows) for statement in seen.list} == {
        "SELECT name FROM buyers WHERE id = $1": (3, 1),
        'UPDATE "buyers" SET name = $1': (1, 1),
    }
    assert seen.calls == 4


def test_cursors_prepared_statements_and_functions_count(postgres, target) -> None:
    """There is no way to reach a table that is not seen."""
    target.execute("CREATE FUNCTION sold() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM orders'")
    with postgres.statements() as seen:
        with target.transaction():
            target.execute("DECLARE c CURSOR FOR SELECT * FROM buyers")
            target.execute("FETCH ALL FROM c")
        target.execute("PREPARE p AS SELECT * FROM orders WHERE id = $1")
        target.execute("EXECUTE p(1)")
        target.execute("EXECUTE p(2)")
        target.execute("SELECT sold()")
        with target.cursor().copy("COPY buyers TO STDOUT") as copy:
            list(copy)
    assert {statement.text.split()[0]: statement.calls for statement in seen.list} == {
        "DECLARE": 1,
        "PREPARE": 2,
        "SELECT": 1,
        "COPY": 1,
    }


def test_statements_of_a_dropped_counter_are_an_error(postgres, target) -> None:
    """Counters that were reset in the middle are never turned into a verdict about the learner."""
    target.execute("SELECT * FROM buyers")
    with pytest.raises(ServiceLost):
        with postgres.statements():
            postgres._links._live("statistics").execute("SELECT pg_stat_statements_reset()")


def test_sessions_are_the_learners(postgres, postgres_service, target) -> None:
    """The checker's own connections are in neither the list nor the count, however many it opens."""
    postgres.rows("SELECT 1")
    opened = postgres.sessions_opened()
    with learner(postgres_service, application_name="box-office"), postgres.as_learner() as own:
        own.execute("SELECT 1")
        postgres.admin("SELECT 1")
        assert {"", "box-office"} == {session.application_name for session in postgres.sessions()}
        assert opened + 1 == postgres.sessions_opened()


def test_a_limit_holds_for_the_learner_and_not_for_the_checker(postgres, postgres_service, target) -> None:
    """With its connections used up the learner is refused while evidence is still read; then all is as before."""
    with postgres.limit_connections(1):
        with pytest.raises(psycopg.OperationalError, match="too many connections"):
            with learner(postgres_service):
                pass
        assert postgres.value("SELECT count(*) FROM buyers") == 0
    with learner(postgres_service):
        pass


def test_a_limit_that_nobody_lifted_is_gone_when_the_space_is_fresh(postgres, postgres_service) -> None:
    """A check that is killed while it lets nobody in leaves nothing of that to the next attempt."""
    block = postgres.limit_connections(0)
    block.__enter__()
    with pytest.raises(psycopg.OperationalError, match="too many connections"), learner(postgres_service):
        pass

    postgres_service.fresh()

    with learner(postgres_service):
        pass
    block.__exit__(None, None, None)  # not when it is collected, as nobody's: its connection is closed by then


def test_evidence_is_read_when_the_learner_takes_every_connection(postgres, postgres_service, target) -> None:
    """N08: the checker has connections that nobody else can use."""
    url = postgres_service.url("DATABASE_URL")
    hogs: list[psycopg.Connection[Any]] = []
    try:
        with pytest.raises(psycopg.OperationalError):
            hogs.extend(iter(lambda: psycopg.connect(url), None))
        assert len(hogs) < 100
        assert len(postgres.sessions()) == len(hogs) + 1
        assert postgres.value("SELECT count(*) FROM buyers") == 0
        postgres.admin("SELECT 1")
    finally:
        for hog in hogs:
            hog.close()


def test_terminate_ends_the_learners_sessions_only(postgres, target) -> None:
    """The checker's own go on."""
    postgres.rows("SELECT 1")
    with postgres.as_learner() as own:
        assert postgres.terminate() == 1
        assert postgres.sessions() == []
        own.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        target.execute("SELECT 1")


def test_plans_are_those_that_postgresql_ran(postgres, target) -> None:
    """Of a session that was there before, inside functions, too; none of the checker's; and nothing after the block."""
    postgres.plant("INSERT INTO orders (seat) SELECT n FROM generate_series(1, 5000) AS n")
    postgres.tidy("orders")
    target.execute(
        "CREATE FUNCTION sold() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM orders); END'"
    )
    with postgres.plans() as seen:
        target.execute("SELECT seat FROM orders WHERE id = %s", [7])
        postgres.rows("SELECT * FROM buyers")
        target.execute("SELECT sold()")
    nodes = [
        (node["Node Type"], node.get("Relation Name"), node["Actual Rows"])
        for plan in seen.list
        for node in plan.nodes()
    ]
    assert ("Index Scan", "orders", 1) in nodes
    assert any(kind == "Seq Scan" and table == "orders" and rows == 5000 for kind, table, rows in nodes)
    assert all(table != "buyers" for _, table, _ in nodes)
    assert seen.list[0].query == "SELECT seat FROM orders WHERE id = $1"
    by_index, whole_table = seen.list[0].pages, max(plan.pages for plan in seen.list)
    assert 0 < by_index < 10 < whole_table
    with postgres.plans() as second:
        pass
    assert second.list == []


def test_plans_of_many_sessions_are_complete(postgres, postgres_service, target) -> None:
    """Nothing that was answered before the block's end is missing, whoever wrote it, however much there is."""
    postgres.plant("INSERT INTO orders (seat) SELECT n FROM generate_series(1, 50) AS n")

    def ask() -> None:
        with learner(postgres_service) as connection:
            for number in range(40):
                connection.execute(f"SELECT seat FROM orders WHERE seat = %s /* {'x' * 3000} */", [number])

    with postgres.plans() as seen:
        threads = [threading.Thread(target=ask) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum("seat = $1" in plan.query for plan in seen.list) == 200


def test_plans_are_switched_off_when_a_check_fails(postgres, target) -> None:
    """Whatever is raised in the block, the setting is as before."""
    with pytest.raises(AssertionError):
        with postgres.plans():
            raise AssertionError
    with postgres._links.statistics() as admin:
        assert admin.execute("SHOW auto_explain.log_min_duration").fetchone() == ("-1",)


def test_the_reader_goes_on_after_a_restart(postgres, postgres_service, target) -> None:
    """A check that stops and starts PostgreSQL needs no new reader; while it is down, that is nobody's fault."""
    assert postgres.value("SELECT count(*) FROM buyers") == 0
    before = postgres_service.recipe.incarnation(postgres_service.endpoint, postgres_service.credentials)
    postgres_service.restart()
    assert postgres.value("SELECT count(*) FROM buyers") == 0
    assert before != postgres_service.recipe.incarnation(postgres_service.endpoint, postgres_service.credentials)


def test_an_unreachable_service_is_lost(postgres_service) -> None:
    """Not a fail: the learner did nothing wrong."""
    nowhere = {
        name: value.replace(str(postgres_service.endpoint), "127.0.0.1:1")
        for name, value in postgres_service.admin.items()
    }
    with pytest.raises(ServiceLost):
        Postgres(nowhere).rows("SELECT 1")


def test_settings_of_the_database_do_not_reach_the_checker(postgres, postgres_service, target) -> None:
    """The learner owns the database and may set what it likes for all who connect to it."""
    name = postgres_service.credentials.database
    for setting in (
        "statement_timeout = 1",
        "default_transaction_read_only = on",
        "search_path = nowhere",
        f"role = {postgres_service.credentials.user}",
        "transaction_timeout = 1",
    ):
        target.execute(f"ALTER DATABASE {name} SET {setting}")
    reader = Postgres(postgres_service.admin)
    try:
        reader.plant("INSERT INTO buyers (name, balance_cents) SELECT 'Ada', 1 FROM pg_sleep(0.05)")
        assert reader.admin("SELECT current_user")[0][0] == f"{postgres_service.credentials.user}_witness"
        assert reader.value("SELECT count(*) FROM buyers") == 1
    finally:
        reader.close()


def test_a_lock_that_is_never_released_is_the_learners_fault(postgres, target, monkeypatch) -> None:
    """The check is answered after a few seconds, with the cause."""
    postgres._links._live("checker").execute("SET lock_timeout = '100ms'")
    with target.transaction():
        target.execute("LOCK TABLE buyers")
        with pytest.raises(SchemaWrong) as raised:
            postgres.rows("SELECT * FROM buyers")
    assert raised.value.reason == "schema-locked"
