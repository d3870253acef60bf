"""How the services' own words are read: what counts as the same, and where a password stands."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, strategies

from orchestrator import services

SHAPES = {
    "postgres": [
        ("SELECT a FROM b WHERE c = 1", "SELECT  a\nFROM b WHERE c = 22", True),
        ("SELECT a FROM b WHERE c = $1  [$1 = '5']", "SELECT a FROM b WHERE c = $1  [$1 = 'it''s', $2 = 'x", True),
        ("SELECT 'a', E'b'", "SELECT 'it''s', 'c'", True),
        ("SELECT a FROM b WHERE c IN ($1, $2)", "SELECT a FROM b WHERE c IN ($1,$2,$3)", True),
        ("INSERT INTO a (b, c) VALUES (1, 'x')", "INSERT INTO a (b, c) VALUES (1, 'x'), (2, 'y')", True),
        ("DO $x$ one $x$", "DO $y$ two $y$", True),
        ("SELECT a FROM b /* trace=1f */", "-- trace=2e\nSELECT a FROM b", True),
        ("SELECT a FROM b", "SELECT b FROM b", False),
        ('SELECT "a"', 'SELECT "b"', False),
        ("SELECT '-- x' FROM a", "SELECT '-- x' FROM b", False),
        ("SELECT a  [1]", "SELECT a", False),
    ],
    "mysql": [
        ("SELECT a FROM b WHERE c = 1", "SELECT  a\nFROM b WHERE c = 22.5e3", True),
        ("SELECT a FROM b WHERE c = ?", "SELECT a FROM b WHERE c = ?  ['it''s', 5", True),
        ("SELECT 'a', _binary'b', x'00'", "SELECT 'it\\'s', \"c\", 0xFF", True),
        ("SELECT a FROM b WHERE c IN (1, 2)", "SELECT a FROM b WHERE c IN ('x','y','z')", True),
        ("INSERT INTO a (b, c) VALUES (1, 'x')", "INSERT INTO a (b, c) VALUES (1, 'x'), (2, 'y')", True),
        ("SELECT a FROM b /* trace=1f */", "-- trace=2e\n# it's\nSELECT a FROM b", True),
        ("SELECT a FROM b", "SELECT b FROM b", False),
        ("SELECT `a1`", "SELECT `a2`", False),
        ("SELECT a /*! FROM b */", "SELECT a /*! FROM c */", False),
        ("SELECT a--1 FROM b", "SELECT a FROM b", False),
    ],
    "redis": [
        ("GET hold:1:2", "get hold:3:44", True),
        ("SET hold:1:2 a1b2 NX PX 120000", "SET hold:1:3 'x y' NX PX 3", True),
        ("SET hold:1:2 a NX PX 1", "SET hold:1:2 a PX 1", False),
        ("MGET views:1 views:2", "MGET views:1 views:2 views:3", True),
        ("GET user:0b50f6e8-1111-4f6e-9c3a-5e1f0a9b8c7d", "GET user:77", True),
        ("GET a", "GET b", False),
        ("GET a", "DEL a", False),
        ("CLIENT LIST", "CLIENT KILL", False),
        ("PING", "ping", True),
    ],
}
KNOWN = {
    "postgres": {
        "127.0.0.1:5432:shop:learner:s3cr3t": "s3cr3t",
        "*:*:*:learner:p:w": "p:w",
        "rolpassword | SCRAM-SHA-256$4096:abc=$def=:ghi=": "4096:abc=$def=:ghi=",
    },
    "mysql": {
        "CREATE USER 'a'@'%' IDENTIFIED BY 's3cr3t'": "s3cr3t",
        "alter user a identified with caching_sha2_password by \"s3:cr\"": "s3:cr",
        "SET PASSWORD FOR 'a'@'%' = 's3cr3t'": "s3cr3t", "SET PASSWORD = 's3cr3t'": "s3cr3t",
        "mysql -h 127.0.0.1 -u learner -ps3cr3t app": "s3cr3t", "mysqldump -ps3cr3t app": "s3cr3t",
        "authentication_string: $A$005$abcdefghijklmnopqrstuvwxyz": "005$abcdefghijklmnopqrstuvwxyz",
    },
    "galera": {
        "CREATE USER 'a'@'%' IDENTIFIED BY 's3cr3t'": "s3cr3t", "IDENTIFIED BY PASSWORD '*8BEBF6'": "*8BEBF6",
        "alter user a identified via ed25519 using password('s3:cr')": "s3:cr",
        "mariadb -h 127.0.0.1 -u learner -ps3cr3t app": "s3cr3t", "mariadb-dump -ps3cr3t app": "s3cr3t",
    },
    "redis": {
        "requirepass foo": "foo", "CONFIG SET requirepass 'a b'": "a b", 'masterauth "a b"': "a b",
        '1.0 [0 127.0.0.1:1] "CONFIG" "SET" "requirepass" "foo"': "foo",
        '1.0 [0 127.0.0.1:1] "AUTH" "pw"': "pw", '1.0 [0 127.0.0.1:1] "AUTH" "default" "p\\"w"': 'default" "p\\"w',
        '"HELLO" "3" "AUTH" "default" "pw" "SETNAME" "x"': 'default" "pw',
        "ACL SETUSER bob on >s3cr3t ~* +@all": "s3cr3t", '"ACL" "SETUSER" "bob" "on" ">s3cr3t"': "s3cr3t",
        "user bob reset on >s3cr3t ~* &*": "s3cr3t",
    },
}


@pytest.mark.parametrize(("service", "one", "other", "same"),
                         [(service, *case) for service, cases in SHAPES.items() for case in cases])
def test_what_counts_as_the_same(service: str, one: str, other: str, same: bool) -> None:
    shape = services.sight_of(service).shape
    assert shape is not None
    assert (shape(one) == shape(other)) is same, (shape(one), shape(other))


@pytest.mark.parametrize(("service", "text", "secret"),
                         [(service, *case) for service, cases in KNOWN.items() for case in cases.items()])
def test_where_a_password_stands(service: str, text: str, secret: str) -> None:
    found = [match["secret"] for pattern in services.sight_of(service).secrets for match in re.finditer(pattern, text)]

    assert found == [secret]


@pytest.mark.parametrize(("service", "text"), [
    ("redis", "requirepass: no"), ("redis", "the user bob is -> here"), ("redis", "user bob wrote a > b"),
    ("redis", '"AUTHOR" "x"'), ("postgres", "10:20:30:40"), ("postgres", "at 12:30:45.1:x: no such table"),
    ("mysql", "identified by nobody"), ("mysql", "SELECT mysql -p"), ("mysql", "the password is set to 'x'"),
    ("mysql", "mysql started -- see the log"), ("galera", "identified by nobody"), ("galera", "mariadb started -- fine"),
])
def test_ordinary_lines_have_none(service: str, text: str) -> None:
    assert [match[0] for pattern in services.sight_of(service).secrets for match in re.finditer(pattern, text)] == []


@pytest.mark.parametrize("service", services.names())
def test_every_service_says_what_its_parts_must_have(service: str) -> None:
    """Patterns with the group that is taken out, words for both numbers, a legend where there are records."""
    sight = services.sight_of(service)

    assert all("secret" in re.compile(pattern).groupindex for pattern in sight.secrets)
    assert sight.entry != sight.entries
    assert all(name == name.lower() for name in sight.secret_names)
    assert bool(services.sight_of(service).legend) is hasattr(services.recipe(service), "record")


@pytest.mark.parametrize("service", sorted(SHAPES))
@given(text=strategies.text(max_size=80) | strategies.text(alphabet="'\"$a1 -/*[]=\n", max_size=80))
def test_any_text_has_a_shape(service: str, text: str) -> None:
    shape = services.sight_of(service).shape
    assert shape is not None
    assert isinstance(shape(text), str)


@pytest.mark.parametrize("piece", ["'", "$a$", "\"", "a:", "setuser >", "user a ", "/*", "(1),", "  [$1 = ", "1"])
@pytest.mark.parametrize("service", services.names())
def test_hostile_text_takes_no_time(service: str, piece: str) -> None:
    """A shape is asked of 4000 characters, secrets of a whole log."""
    sight = services.sight_of(service)
    began = time.process_time()
    if sight.shape is not None:
        sight.shape((piece * 4000)[:4000])
    assert time.process_time() - began < 0.5

    for pattern in sight.secrets:
        re.sub(pattern, "", (piece * 100_000)[:100_000])

    assert time.process_time() - began < 5


def test_what_a_service_does_not_say_is_nothing() -> None:
    assert services.sight_of("a-labs-own").secrets == ()
    assert services.names_of("a-labs-own").methods == {}
