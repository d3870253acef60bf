"""What the readers of PostgreSQL and MySQL have in common, so that one check can speak to whichever plays a role."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator.checks.errors import SchemaWrong

TABLES = {
    "postgres": (
        "CREATE TABLE buyers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE, at timestamptz)",
        "CREATE TABLE notes (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), buyer_id bigint NOT NULL REFERENCES buyers,"
        " made timestamptz DEFAULT now())",
    ),
    "mysql": (
        "CREATE TABLE buyers (id bigint AUTO_INCREMENT PRIMARY KEY, name varchar(50) UNIQUE, at datetime(6))",
        # A counter that is not the id: what MySQL says it counted last is no id here.
        "CREATE TABLE notes (id char(36) PRIMARY KEY DEFAULT (UUID()), place int AUTO_INCREMENT UNIQUE, buyer_id bigint NOT"
        " NULL, made datetime(6) DEFAULT (UTC_TIMESTAMP(6)), FOREIGN KEY (buyer_id) REFERENCES buyers (id))",
    ),
}


@pytest.fixture(params=["postgres", "mysql"])
def sales(request: pytest.FixtureRequest, leg: str) -> Any:
    """A reader, with two tables of the learner's."""
    reader = request.getfixturevalue(request.param)
    assert reader.name == request.param
    with reader.as_learner() as session:
        for statement in TABLES[request.param]:
            session.execute(statement)
        session.commit()
    return reader


def test_the_id_of_a_row_that_is_planted(sales) -> None:
    """Whatever its default is; also among rows that are alike, and of a time as JSON has it."""
    buyer = sales.insert("buyers", {"name": "Ada", "at": "2051-05-01T19:30:00Z"})
    notes = [sales.insert("notes", {"buyer_id": buyer, "made": f"2027-01-0{day}T00:00:00Z"}) for day in (1, 2)]

    assert sales.value("SELECT concat(id) FROM buyers WHERE name = 'Ada'") == buyer
    assert sales.value("SELECT at FROM buyers") == datetime(2051, 5, 1, 19, 30, tzinfo=UTC)
    assert [row[0] for row in sales.rows("SELECT concat(id) FROM notes ORDER BY made")] == notes
    with pytest.raises(SchemaWrong) as caught:
        sales.insert("buyers", {"name": "Ada"})
    assert caught.value.reason == "schema-plant-refused"


def test_rows_that_are_there_together_or_not_at_all(sales) -> None:
    def plant(name: str, buyer: str) -> None:
        with sales.planting() as insert:
            insert("buyers", {"name": name})
            insert("notes", {"buyer_id": buyer})

    with sales.planting() as insert:
        insert("notes", {"buyer_id": insert("buyers", {"name": "Ada"})})
    with pytest.raises(SchemaWrong):
        plant("Bo", "77")

    assert sales.rows("SELECT name FROM buyers") == [("Ada",)]
    assert sales.value("SELECT count(*) FROM notes") == 1


def test_statements_one_after_the_other_are_refused_or_undone(sales) -> None:
    ada = ("INSERT INTO buyers (name) VALUES (%s)", ["Ada"])

    assert sales.refused_of([ada, ("INSERT INTO notes (buyer_id) SELECT id FROM buyers WHERE name = %s", ["Ada"])]) is None
    assert sales.refused_of([ada, ada]) in ("23505", "23000")
    assert sales.rows("SELECT name FROM buyers") == []


def test_types_of_columns_and_tables_that_are_gone(sales) -> None:
    found = sales.columns()
    assert found["buyers", "id"] == "bigint"
    assert found["buyers", "at"] == {"postgres": "timestamp with time zone", "mysql": "datetime"}[sales.name]

    sales.drop_tables()

    assert sales.columns() == {}


def test_who_makes_a_table_while_that_is_held_has_to_wait(sales) -> None:
    """Nobody sees the table meanwhile; the reader knows that somebody waits; afterwards it is made."""
    def make() -> None:
        with sales.as_learner() as session:
            session.execute("CREATE TABLE IF NOT EXISTS tickets (id bigint)")
            session.commit()

    with ThreadPoolExecutor(1) as beside:
        with sales.making_held("tickets"):
            made = beside.submit(make)
            while not sales.waiting():
                assert not made.done()
            assert ("tickets", "id") not in sales.columns()
        made.result(timeout=10)

    assert ("tickets", "id") in sales.columns()


def test_a_session_of_the_learners_with_limits_of_its_own(sales) -> None:
    """A lock is not waited for for ever, an error says what it is, and the zone is that of somebody else."""
    buyer = sales.insert("buyers", {"name": "Ada"})
    look = "SELECT id FROM buyers WHERE id = %s FOR UPDATE"
    with sales.as_learner() as first, sales.as_learner(lock_timeout=0.1, hours=9) as second:
        first.execute(look, [buyer])
        with pytest.raises(Exception, match=r"[lL]ock") as caught:
            second.execute(look, [buyer])
        assert caught.value.sqlstate in ("55P03", "HY000")  # type: ignore[attr-defined]
        second.rollback()
        zone = "SHOW TimeZone" if sales.name == "postgres" else "SELECT @@time_zone"
        assert "9" in str(second.execute(zone).fetchone()[0])
        note = second.insert("notes", {"buyer_id": sales.insert("buyers", {"name": "Bo"})})
        second.commit()

    assert sales.value("SELECT concat(id) FROM notes") == note
