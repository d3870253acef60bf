"""Which texts of a check file a service reads: by what it says of the methods of its fixture, of whatever kind."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator import services
from orchestrator.cli.lint_command import cli
from orchestrator.lint import sql
from orchestrator.lint.check_files import HOLE, CheckFile
from orchestrator.lint.lint import lint
from orchestrator.lint.texts import texts
from orchestrator.services.parts import Names, Takes

CHECKS = "checks/test_shop_buyers.py"
TOY = Names(
    methods={
        "find": (Takes("collection", 0), Takes("document", 1, "filter")),
        "insert": (Takes("collection", 0), Takes("document", 1)),
        "distinct": (Takes("collection", 0), Takes("field", 1)),
        "database[]": (Takes("collection"),),
        "database[].find": (Takes("document", 0),),
        "database[].aggregate": (Takes("document", 0),),
        "box().put": (Takes("key", 1, rest=True),),
        "ask": (Takes("sql", 0),),
    },
    anywhere={"execute": (Takes("sql", 0),)},
    dialect="mysql",
    reserved=("_id", "system.*"),
    opaque=("$expr",),
)


def seen(code: str, **more: Names) -> list[tuple[str, str]]:
    """Kind and text of everything that is read in this body of a check."""
    body = "\n".join(f"    {line}" for line in code.splitlines())
    tree = ast.parse(f"PREFIX = 'hold:'\ndef test_a(toy, {', '.join(more) or 'x'}):\n{body}\n")
    return [(one.kind, one.text) for one in texts(CheckFile("a.py", tree), {"toy": TOY, **more})]


@pytest.mark.parametrize(("code", "expected"), [
    ("toy.find('orders', {'seat': 3})", "collection orders, field seat"),
    ("toy.find('orders', filter={'buyer.name': 'x'})", "collection orders, field buyer.name"),
    ("toy.find(['orders', 'tickets'], {})", "collection orders, collection tickets"),
    ("toy.distinct('orders', f'{x}')", "collection orders"),
    ("toy.distinct('orders', ('seat', 'price'))", "collection orders, field seat, field price"),
    # documents
    ("toy.find('o', {'$or': [{'a': 1}, {'$and': [{'b': {'$gt': 3}}]}], '$expr': {'c': 1}})", "collection o, field a, field b"),
    ("toy.find('o', {'a': {'$elemMatch': {'b': 1}}, 'c': {'d': 1}})", "collection o, field a, field b, field c, field d"),
    ("toy.insert('o', [{'a': 1}, {'b': [{'c': 2}]}])", "collection o, field a, field b, field c"),
    ("toy.insert('o', {**{'a': 1}, f'{x}': 2, 'b': {'$set': {'c.0.d': 1}}})", "collection o, field a, field b, field c.0.d"),
    ("toy.database['o'].aggregate([{'$match': {'a': 1}}, {'$group': {'_id': '$b', 'total': {'$sum': '$c'}}},"
     " {'$match': {'total': 3}}])", "field a, collection o"),
    # ways to a method
    ("orders = toy.database['orders']\nwanted = {'seat': 3}\norders.find(wanted)", "collection orders, field seat"),
    ("with toy.box() as one:\n    one.put(1, 'a', 'b')", "key a, key b"),
    ("toy.box().put(1, PREFIX + x, *others, 'c')", f"key hold:{HOLE}"),
    ("toy.box(2).put(1)", ""),
    ("toy.other('a')\nother.find('a', {'b': 1})\ntoy.find", ""),
    ("toy = toy.find\ntoy('a')", ""),
    # SQL
    ("toy.ask('what you like')", "sql what you like"),
    ("connection.execute('what you like')\nx.y().execute('more')", "sql what you like, sql more"),
    ("'SELECT a FROM b'", "sql SELECT a FROM b"),
    ("connection.execute(x)", ""),
])
def test_what_a_service_reads(code: str, expected: str) -> None:
    assert sorted(f"{kind} {text}" for kind, text in seen(code)) == sorted(filter(None, expected.split(", ")))


def test_another_services_fixture_is_not_anywhere() -> None:
    """``execute`` of a fixture that says nothing of it is no SQL of the toy's."""
    assert seen("other.execute('a')", other=Names(methods={"get": (Takes("key", 0),)})) == []
    assert seen("other.execute('a')", other=Names(dialect="sqlite", anywhere={"execute": (Takes("sql", 0),)})) == [("sql", "a")]


def test_strings_are_statements_only_where_a_service_speaks_sql() -> None:
    tree = ast.parse("A = 'SELECT a FROM b'\nx.execute('c')")

    assert list(texts(CheckFile("a.py", tree), {"redis": services.names_of("redis")})) == []


@pytest.mark.parametrize(("call", "rule"), [
    ("redis.client.hget('seen:1', 'colour')", "field colour"),
    ("redis.client.hset('seen:1', mapping={'name': 1, 'colour': 2})", "field colour"),
    ("redis.client.hmget('seen:1', ['name', 'colour'])", "field colour"),
    ("redis.client.delete('seen:1', 'counted:1')", "key counted:1"),
    ("redis.client.scan_iter(match='counted:*')", "key counted:*"),
    ("pipe = redis.client.pipeline()\n    pipe.incr('counted:1')", "key counted:1"),
    ("redis.client.mset({'seen:1': 1, 'counted:1': 1})", "key counted:1"),
    ("postgres.rows(query='SELECT colour FROM buyers')", "column colour"),
    ("with postgres.as_learner() as one:\n        one.execute('SELECT colour FROM buyers')", "column colour"),
])
def test_what_our_services_read(lab: Path, call: str, rule: str) -> None:
    path = lab / CHECKS
    path.write_text(path.read_text().replace("    listed()\n", f"    listed()\n    {call}\n"))

    assert [(one.rule, one.message.split(", which")[0]) for one in lint(lab)] == [("unknown-storage", f"uses the {rule}")]


def test_a_service_from_elsewhere_needs_nothing_but_its_names(
    lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One folder with ``names.py``; what is reserved is not asked of ``storage.md``, its reasons can be hinted at."""
    (tmp_path / "toy_for_lint").mkdir()
    (tmp_path / "toy_for_lint/__init__.py").touch()
    (tmp_path / "toy_for_lint/names.py").write_text(
        "from orchestrator.services.parts import Names, Takes\n"
        "NAMES = Names(methods={'find': (Takes('collection', 0), Takes('document', 1))}, reserved=('_id', 'system.*'),\n"
        "              reasons={'toy-broken': 'the toy is broken'})\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(services, "packages", lambda: {"toy": "toy_for_lint"})
    toml = lab / "lab.toml"
    toml.write_text(toml.read_text().replace("[services.postgres]", "[services.toy]")
                    .replace('[services.redis]\nversions = ">=7.2"\n', "")
                    .replace('["postgres", "redis"]', '["toy"]').replace("schema-missing-table", "toy-broken"))
    path = lab / CHECKS
    path.write_text(path.read_text().replace(
        "    listed()\n", "    toy.find('buyers', {'_id': 1, 'name': 2, 'colour': 3})\n    toy.find('system.users', {})\n"
        "    toy.find('orders', {})\n"))

    assert [str(one).split(", which")[0] for one in lint(lab)] == [
        f"{CHECKS}:15  unknown-storage  uses the field colour", f"{CHECKS}:17  unknown-storage  uses the collection orders"]


def test_without_sqlglot_one_note_says_so_and_the_lab_is_not_blamed(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQL is not looked at, everything else is."""
    monkeypatch.setattr(sql, "can_read", lambda: False)
    path = lab / CHECKS
    path.write_text(path.read_text().replace("FROM buyers", "FROM customers"))
    done = CliRunner().invoke(cli, [str(lab)])

    assert (done.exit_code, done.stdout.count("\n"), done.stderr.count("\n")) == (0, 1, 1)
    assert f"note: {CHECKS}:5  sql-not-read" in done.stderr
    assert "pip install 'backend-labs[author]'" in done.stderr
    path.write_text(path.read_text().replace("seen:{buyer}", "counted:{buyer}"))
    assert {one.rule for one in lint(lab)} == {"sql-not-read", "unknown-storage"}


def test_a_lab_without_sql_does_not_miss_it(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "can_read", lambda: False)
    path = lab / CHECKS
    path.write_text(path.read_text().replace("SELECT name FROM buyers WHERE id::text = %s", "").replace("postgres.rows(", "str("))

    assert [one.rule for one in lint(lab)] == []


def test_sqlglot_is_not_needed_to_run_lint(tmp_path: Path) -> None:
    """Nothing imports it before there is SQL to read and it is there."""
    program = ("import sys; sys.modules['sqlglot'] = None; from orchestrator.lint.lint import lint;"
               "from pathlib import Path; print([one.rule for one in lint(Path(sys.argv[1]))])")
    done = subprocess.run([sys.executable, "-c", program, str(Path(__file__).parents[3] / "labs/databases")],
                          capture_output=True, text=True, check=True)

    assert done.stdout == "['sql-not-read']\n"
