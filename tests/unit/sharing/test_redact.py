"""Secrets go, ordinary text stays."""

from __future__ import annotations

import time

import pytest

from orchestrator import services
from orchestrator.services.parts import Sight
from orchestrator.sharing.redact import KnownSecrets, redact, redact_values

KNOWN = KnownSecrets.of(services.sights())

PEM = "-----{} {}PRIVATE KEY-----"
BODY = "MIIabcdefghijklmnopqrst\nxx=="

SECRET = {
    "postgresql://u:s3cr3t@127.0.0.1:5432/db?sslmode=disable": "postgresql://u:[removed]@127.0.0.1:5432/db?sslmode=disable",
    "redis://:p/w@h:6379/0": "redis://:[removed]@h:6379/0",
    "postgres://u:p@ss@h/db": "postgres://u:[removed]@h/db",
    "redis://:12@h:6379": "redis://:[removed]@h:6379",
    "https://u:pw1@h/x http://v:pw2@h": "https://u:[removed]@h/x http://v:[removed]@h",
    "postgres://u:${PW:-hunter2}@h": "postgres://u:[removed]@h",
    "u:pw1@tcp(127.0.0.1:3306)/db": "u:[removed]@tcp(127.0.0.1:3306)/db",
    '{"name":"N","password":"hun\\"ter2","x":1}': '{"name":"N","password":"[removed]","x":1}',
    r'body "{\"password\":\"hunter2\",\"a\":1}"': r'body "{\"password\":\"[removed]\",\"a\":1}"',
    r'"b": "{\"password\":\"hun\\\"ter2\",\"a\":\"b\"}"': r'"b": "{\"password\":\"[removed]\",\"a\":\"b\"}"',
    '{"password":"cut off he': '{"password":"[removed]',
    '{"password":"cut\nnext line': '{"password":"[removed]\nnext line',
    '"password": 12345,': '"password": [removed],',
    "{'api_key': 'abc'}": "{'api_key': '[removed]'}",
    "run='psql password=\"x1\"'": "run='psql password=\"[removed]\"'",
    'secretKey: "abc"': 'secretKey: "[removed]"',
    'const password = "abc";': 'const password = "[removed]";',
    'os.environ["DB_PASSWORD"] = "x1"': 'os.environ["DB_PASSWORD"] = "[removed]"',
    'if password == "hunter2":': 'if password == "[removed]":',
    '{"key": "q8f7a6s5d4f3a2s1d0f9"}': '{"key": "[removed]"}',
    "PGPASSWORD=hunter2": "PGPASSWORD=[removed]",
    "export API_TOKEN=ab&cd)": "export API_TOKEN=[removed]",
    "SECRET_KEY_BASE=abc": "SECRET_KEY_BASE=[removed]",
    "AWS_SECRET_ACCESS_KEY=abc/def": "AWS_SECRET_ACCESS_KEY=[removed]",
    "SECRET=two words": "SECRET=[removed]",
    "DB_PASSWORD=123456": "DB_PASSWORD=[removed]",
    "DB_PASS=abc": "DB_PASS=[removed]",
    "REDISCLI_AUTH=abc": "REDISCLI_AUTH=[removed]",
    "KEY=abc": "KEY=[removed]",
    "API_KEY=abc # the key": "API_KEY=[removed] # the key",
    "host=x password=foo dbname=y": "host=x password=[removed] dbname=y",
    "GET /x?token=abc&y=1": "GET /x?token=[removed]&y=1",
    "password: hunter2": "password: [removed]",
    "  POSTGRES_PASSWORD: postgres": "  POSTGRES_PASSWORD: [removed]",
    "generated password: hunter2": "generated password: [removed]",
    "ALTER ROLE a PASSWORD 'x''y' LOGIN": "ALTER ROLE a PASSWORD '[removed]' LOGIN",
    "ALTER USER a IDENTIFIED BY 'x1'": "ALTER USER a IDENTIFIED BY '[removed]'",
    "mysql://u:p/w@h/db kafka+ssl://u:p/w@h": "mysql://u:[removed]@h/db kafka+ssl://u:[removed]@h",
    "a-labs-own://:p/w@h:1/x": "a-labs-own://:[removed]@h:1/x",
    "jdbc:oracle://u:p#w@h": "jdbc:oracle://u:[removed]@h",
    "curl -u u:pw http://x": "curl -u u:[removed] http://x",
    "psql --password hunter2 -x": "psql --password [removed] -x",
    "-H 'Authorization: Bearer abc.def'": "-H 'Authorization: Bearer [removed]'",
    "-H 'X-Api-Key: abc'": "-H 'X-Api-Key: [removed]'",
    "got Bearer abcdefgh12345678": "got Bearer [removed]",
    "clone with ghp_" + "a1" * 18: "clone with [removed]",
    "jwt eyJhbGciOiJI.eyJzdWIi.c2ln": "jwt [removed]",
    f"a\n{PEM.format('BEGIN', 'RSA ')}\n{BODY}\n{PEM.format('END', 'RSA ')}\nz": "a\n[private key removed]\nz",
    f'K="{PEM.format("BEGIN", "")}\\nMIIab\\n{PEM.format("END", "")}"': 'K="[private key removed]"',
    f"{PEM.format('BEGIN', 'EC ')}\nMIIabcdefghijklmnopqrst\n[log cut]": "[private key removed]\n[log cut]",
    f"hello\n{BODY}\n{PEM.format('END', '')}\nz": "hello\n[private key removed]\nz",
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\nab\n-----END PGP PRIVATE KEY BLOCK-----": "[private key removed]",
}

ORDINARY = [
    "", "http://127.0.0.1:8080/users/@me", "http://h:8080?x=a@b", "mongodb://a:27017,b:27017/db", "GET /health 200 0.4 ms",
    'f"postgres://u:{password}@h/db"', "postgres://u:%s@%s/db", "postgresql://user:password@127.0.0.1:port/db",
    "password = get_password()", 'token = request.headers["x"]', 'password := r.FormValue("password")',
    'connect(password=os.environ["PGPASSWORD"], token=t.token)', "def f(password: str, token: str) -> None:",
    "x = {'password': password, 'token': token}", "user.password = body.password", "token: string;",
    "  password: process.env.PGPASSWORD,", "PASSWORD '{verifier}'", 'SyntaxError: unexpected token: "}"',
    "token: unexpected end of input", "bad token: expected", '"reason": "token expired"', "max_tokens=100",
    'FATAL: password authentication failed for user "u"', "use --password to log in", "password=''", "secret=",
    "primary key (id)", "Key (id)=(3) already exists", '{"key": "hold:seat:1"}', "cache_key=abc", "idempotency-key: 7f",
    '{"pass": 3, "fail": 1}', "auth: 12ms", "POSTGRES_HOST_AUTH_METHOD: trust", "PGPASSFILE=/x/y", "tokenizer: bpe",
    "docker run -u 1000:1000 x", "Basic understanding of things", "DATABASE_PASSWORD=$PW", "password=[removed]",
    'duplicate key value violates unique constraint "holds_pkey"', '<input type="password" name="password">',
    "-----BEGIN CERTIFICATE-----\nMIIabcdefghijklmnopqrst\n-----END CERTIFICATE-----",
]


@pytest.mark.parametrize(("text", "expected"), SECRET.items())
def test_a_secret_goes_and_what_stands_around_it_stays(text: str, expected: str) -> None:
    """And a second time changes nothing more."""
    assert redact(text) == expected
    assert redact(expected) == expected
    assert redact(f"before\n{text}\nafter") == f"before\n{expected}\nafter"


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays(text: str) -> None:
    """Who helps must still be able to read it; also where services say what they know."""
    assert redact(text) == text
    assert redact(text, known=KNOWN) == text


@pytest.mark.parametrize(("text", "expected"), [
    ("requirepass foo", "requirepass [removed]"),
    ("requirepass: foo", "requirepass: [removed]"),
    ('{"masterauth": "foo"}', '{"masterauth": "[removed]"}'),
    ('1 [0 127.0.0.1:1] "AUTH" "default" "pw"', '1 [0 127.0.0.1:1] "AUTH" "[removed]"'),
    ('1 [0 127.0.0.1:1] "ACL" "SETUSER" "a" ">pw" "on"', '1 [0 127.0.0.1:1] "ACL" "SETUSER" "a" ">[removed]" "on"'),
    ("127.0.0.1:5432:shop:learner:s3cr3t", "127.0.0.1:5432:shop:learner:[removed]"),
])
def test_a_secret_in_a_services_own_words_goes_by_what_it_says(text: str, expected: str) -> None:
    assert redact(text, known=KNOWN) == expected
    assert redact(expected, known=KNOWN) == expected
    assert redact(f"before\n{text}\nafter", known=KNOWN) == f"before\n{expected}\nafter"


def test_a_service_from_elsewhere_is_asked_as_ours_are() -> None:
    """Its patterns, its settings, its name as that of an account; in JSON, too."""
    known = KnownSecrets.of({"toydb": Sight(secrets=(r"OPEN SESAME (?P<secret>\S+)",), secret_names=("opener",))})

    assert redact_values({"a": ["toydb: OPEN SESAME x1 y", "vault_opener=x1"]}, users=["toydb"], known=known) == {
        "a": ["toydb: OPEN SESAME [removed] y", "vault_opener=[removed]"]}
    assert redact("OPEN SESAME x1, vault_opener=x1") == "OPEN SESAME x1, vault_opener=x1"


@pytest.mark.parametrize(("text", "expected"), [
    ("/home/zoe/x and file:///home/zoe", "~/x and file://~"),
    ("/home/zoey/x /srv/home/zoe2 /home/zoe-old", "/home/zoey/x /srv/home/zoe2 /home/[user]-old"),
    ("zoe@host, zoe_db and zoetrope", "[user]@host, [user]_db and zoetrope"),
    ("/Users/zoe/x", "/Users/[user]/x"),
])
def test_the_person_goes(text: str, expected: str) -> None:
    """The home folder becomes ~, the account's name goes where it is a word."""
    assert redact(text, homes=["/home/zoe", "/"], users=["zoe"]) == expected


@pytest.mark.parametrize("user", ["root", "postgres", "ed", ""])
def test_a_name_that_is_an_ordinary_word_stays(user: str) -> None:
    """Else half of every log would be gone."""
    text = "root started postgres, ed waits"

    assert redact(text, users=[user], known=KNOWN) == text


def test_values_of_json_are_cleaned_at_every_depth() -> None:
    data = {"a zoe": ["PGPASSWORD=x", {"n": 1, "t": None}], "b": ("redis://:pw@h",)}

    assert redact_values(data, users=["zoe"]) == {
        "a [user]": ["PGPASSWORD=[removed]", {"n": 1, "t": None}], "b": ["redis://:[removed]@h"]}


@pytest.mark.parametrize("piece", [
    "a", "key=", 'key="', "key: ", "A" * 64 + "\n", "a://b:", '\\"password\\":\\"', "password= ", "a-.", "\\",
    PEM.format("BEGIN", "") + "\n", "'", "token `",
])
def test_hostile_text_takes_no_time(piece: str) -> None:
    """A log of megabytes made to be slow is as fast as another."""
    text = 'password="' + piece * (100_000 // len(piece))
    began = time.process_time()

    redact(text, known=KNOWN)

    assert time.process_time() - began < 5
