"""Which tables and columns a SQL text names; what is nobody's name is not taken for one."""

from __future__ import annotations

import pytest

from orchestrator.lint.sql import looks_like_sql, names
from orchestrator.lint.storage import read_contract


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
    # Not the learner's, not SQL's, or not to be known: nothing is said of it.
    ("SELECT pid FROM pg_stat_activity WHERE datname = %s", "", ""),
    ("SELECT table_name FROM information_schema.columns", "", ""),
    ("SELECT number FROM labs_check.control", "", ""),
    ("SELECT x FROM generate_series(1, 2) AS x", "", ""),
    ("SELECT a FROM public.\x00 LIMIT 0", "", ""),
    ("SELECT a, b FROM orders JOIN \x00 ON a = b", "orders", ""),
    ("CREATE TEMP TABLE mine (a int)", "", ""),
    ("CREATE TRIGGER t AFTER INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION f()", "", ""),
    ("INSERT INTO orders (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET id = excluded.id", "orders", "id"),
    ("SELECT FROM WHERE ( ' ", "", ""),
    ("", "", ""),
])
def test_names(text: str, tables: str, columns: str) -> None:
    found = names(text)

    assert [one.name for one in found if one.kind == "table"] == (
        tables.split() if "Odd" not in tables else [tables])
    assert [one.name for one in found if one.kind == "column"] == (
        columns.split() if "Odd" not in columns else [columns])


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
