"""Which tables and columns a SQL text names; what is nobody's name is not taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies

from orchestrator.lint.sql import looks_like_sql, names
from orchestrator.lint.storage_page import read_contract
from orchestrator.services import names_of
from orchestrator.services.parts import Names

POSTGRES = names_of("postgres")


@pytest.mark.parametrize(("text", "tables", "columns"), [
    ("SELECT o.id::text, t.seat FROM orders o JOIN tickets AS t ON t.order_id = o.id", "orders tickets",
     "id seat order_id"),
    ("INSERT INTO buyers (name, balance_cents) VALUES (%s, %s) RETURNING id::text", "buyers", "name balance_cents id"),
    ("UPDATE public.buyers SET balance_cents = balance_cents - 1", "buyers", "balance_cents"),
    ("DELETE FROM events; DELETE FROM buyers", "events buyers", ""),
    ("SELECT 1 FROM a, b x, public.c AS y WHERE x.d = y.e", "a b c", "d e"),
    ("WITH sale AS (INSERT INTO orders (seat) VALUES (1) RETURNING id) INSERT INTO tickets (seat) SELECT id FROM sale",
     "orders tickets", "seat id"),
    ('SELECT "Odd Name" FROM "Odd Table"', "Odd Table", "Odd Name"),
    ("SELECT extract(dow FROM starts_at) AS day FROM events ORDER BY day", "events", "starts_at"),
    ("SELECT seat FROM tickets WHERE seat IS DISTINCT FROM 3 FOR UPDATE", "tickets", "seat"),
    ("SELECT count(*) n, sum(price) OVER (PARTITION BY seat) total FROM orders GROUP BY seat", "orders", "price seat"),
    ("SELECT zz FROM (SELECT zz FROM orders) s WHERE s.zz > interval '1 day'", "orders", "zz"),
    ("SELECT 'FROM nowhere', $$ FROM nobody $$ -- FROM nothing\n /* FROM none */", "", ""),
    ("VACUUM ANALYZE orders", "orders", ""),
    ("TRUNCATE orders", "orders", ""),
    ("SELECT name, value FROM orders ORDER BY key", "orders", "name value key"),
    ("SELECT * FROM orders JOIN tickets USING (order_id)", "orders tickets", "order_id"),
    ("UPDATE orders o SET seat = DEFAULT FROM tickets t WHERE t.seat = o.seat RETURNING o.id", "orders tickets", "seat id"),
    ("MERGE INTO orders o USING tickets t ON o.id = t.order_id WHEN MATCHED THEN UPDATE SET seat = 1", "orders tickets",
     "id order_id seat"),
    ("WITH RECURSIVE up AS (SELECT id, 1 AS far FROM orders UNION ALL SELECT o.id, up.far + 1 FROM orders o"
     " JOIN up ON o.parent = up.id) SELECT far FROM up", "orders", "id parent"),
    ("SELECT o.seat FROM orders o, pg_class c WHERE c.relname = kind", "orders", "seat"),
    ("SELECT seat FROM orders WHERE a = ANY(%s) AND b LIKE '10%%' AND c = %(one)s", "orders", "seat a b c"),
    ("SELECT seat FROM orders o FOR UPDATE OF o SKIP LOCKED", "orders", "seat"),
    ("EXPLAIN SELECT seat FROM orders", "orders", "seat"),
    ("BEGIN; SET LOCAL x.y = replica; DELETE FROM orders; COMMIT", "orders", ""),
    ("SELECT seat FROM orders WHERE id = \x00 AND price = \x00", "orders", "seat id price"),
    ("SELECT seat FROM orders o WHERE o.id = \x00 ORDER BY o.price \x00", "orders", "id price"),
    ("INSERT INTO orders (seat) VALUES \x00", "orders", "seat"),
    ("INSERT INTO orders (seat) VALUES (1); ) DELETE FROM tickets", "orders", "seat"),
    # Not the learner's, not SQL's, or not to be known: nothing is said of it.
    ("SELECT pid FROM pg_stat_activity WHERE datname = %s", "", ""),
    ("SELECT table_name FROM information_schema.columns", "", ""),
    ("SELECT number FROM labs_check.control", "", ""),
    ("SELECT x FROM generate_series(1, 2) AS x", "", ""),
    ("SELECT a FROM public.\x00 LIMIT 0", "", ""),
    ("SELECT a, b FROM orders JOIN \x00 ON a = b", "orders", ""),
    ("SELECT a FROM orders \x00 WHERE b = 1", "orders", ""),
    ("CREATE TEMP TABLE mine (a int)", "", ""),
    ("CREATE TEMP TABLE mine AS SELECT seat AS s FROM orders; INSERT INTO mine (s) VALUES (1); SELECT s FROM mine",
     "orders", ""),
    ("SELECT v.x FROM (VALUES (1)) AS v(x)", "", ""),
    ("SELECT row_to_json(o), session_user, xmin, current_date, o.* FROM orders o", "orders", ""),
    ("CREATE TRIGGER t AFTER INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION f()", "", ""),
    ("INSERT INTO orders (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET id = excluded.id", "orders", "id"),
    ("SELECT FROM WHERE ( ' ", "", ""),
    ("", "", ""),
])
def test_names(text: str, tables: str, columns: str) -> None:
    found = names(text, [POSTGRES])

    assert sorted(one.name for one in found if one.kind == "table") == (
        sorted(tables.split()) if "Odd" not in tables else [tables])
    assert sorted(one.name for one in found if one.kind == "column") == (
        sorted(columns.split()) if "Odd" not in columns else [columns])


def test_each_service_is_read_in_its_own_dialect() -> None:
    """Backticks are MySQL's; of two services that it may be, the one that understands the text is taken."""
    mysql = Names(dialect="mysql", schemas=("shop",), reserved=("performance_*",))
    text = "SELECT `seat` FROM shop.`orders` WHERE performance_x = 1"

    for speakers in ([mysql], [POSTGRES, mysql]):
        assert {(one.kind, one.name) for one in names(text, speakers)} == {("table", "orders"), ("column", "seat")}
    assert names(text, []) == []


@given(strategies.text(alphabet="SELECTFROMab.,;()'\"$%s \x00\n-*/=:", max_size=60))
def test_no_text_is_too_odd(text: str) -> None:
    """Whatever an author writes: names or none, never an error."""
    names(text, [POSTGRES])


@pytest.mark.parametrize(("text", "sql"), [
    ("SELECT a FROM b", True), ("  INSERT INTO a (b) VALUES (1)", True), ("DELETE FROM a WHERE b = 1", True),
    ("UPDATE a SET b = 1", True), ("WITH a AS (SELECT 1) SELECT 2", True),
    ("DELETE /events was refused", False), ("Update the row", False), ("x'; DROP TABLE a; --", False),
    ("INSERT INTO the table what you like", False), ("With love", False),
])
def test_what_begins_as_a_statement(text: str, sql: bool) -> None:
    assert looks_like_sql(text) is sql


@pytest.mark.parametrize(("page", "key", "named"), [
    ("`hold:{event}:{seat}`", "hold:\x00:1", True), ("`hold:{event}`", "hold:7", True), ("`hold:<event>`", "hold:\x00", True),
    ("`hold:{event}`", "held:\x00", False), ("`trending`", "trending", True), ("`trending`", "trend", False),
    ("`trending`", "trend\x00", True), ("`{user}:cart`", "7:cart", False), ("`a`", "\x00:cart", True),
    ("```\nseen:{id}\n```", "seen:*", True), ("no ticks: seen:{id}", "seen:1", True),
])
def test_keys_of_a_page(page: str, key: str, named: bool) -> None:
    assert read_contract(page).has_key(key) is named


@pytest.mark.parametrize(("text", "tables", "columns"), [
    ("SELECT count(*) FROM sqlite_schema WHERE type = 'table'", "", ""),
    ("SELECT user_version, (SELECT count(*) FROM scans) FROM pragma_user_version", "scans", ""),
    ("INSERT OR IGNORE INTO scans (ticket) VALUES (:ticket)", "scans", "ticket"),
    ("SELECT ticket FROM scans WHERE gate = ? ORDER BY rowid", "scans", "ticket gate"),
])
def test_a_text_of_one_of_two_services(text: str, tables: str, columns: str) -> None:
    """Where nobody knows of which service a statement is, what is reserved in one of them is nobody's name."""
    found = names(text, (POSTGRES, names_of("sqlite")))

    assert {name.name for name in found if name.kind == "table"} == set(tables.split())
    assert {name.name for name in found if name.kind == "column"} == set(columns.split())
