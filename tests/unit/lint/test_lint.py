"""``labs lint``: each rule finds what it is about, with file and line, and nothing in a good lab."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator import resources
from orchestrator.judge.verdict import expected_checks
from orchestrator.lint.check_files import read_check_files
from orchestrator.lint.lint import lint

CHECKS = "checks/test_shop_buyers.py"
PATCH = "solutions/wrong/shop-buyers-dict.patch"
BODY = '    name = fresh.name("buyer")\n'


def found(lab: Path) -> list[tuple[str, int | None, str]]:
    return [(one.file, one.line, one.rule) for one in lint(lab)]


def change(lab: Path, name: str, old: str, new: str) -> None:
    """Replace a text that is there in a file."""
    text = (lab / name).read_text()
    assert old in text
    (lab / name).write_text(text.replace(old, new))


def extra(lab: Path, text: str) -> None:
    """One more thing at the end of the check file, from line 19 on."""
    path = lab / CHECKS
    path.write_text(f"{path.read_text()}\n{text}")


FIXTURE = """import pytest

@pytest.fixture
def {0}(server, fault):
    def read():
        fault.connections("kafka")
        return server.get("/buyers", reason="{1}")
    return read
"""


def shared(lab: Path, topic: str, text: str) -> None:
    """A file of ``checks/fixtures/``."""
    path = lab / "checks/fixtures" / f"{topic}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_good_lab_has_no_finding(lab: Path) -> None:
    assert [str(one) for one in lint(lab)] == []


@pytest.mark.parametrize("name", sorted(one.parent.name for one in resources.labs_folder().glob("*/lab.toml")))
def test_our_own_labs_have_no_finding(name: str) -> None:
    assert [str(one) for one in lint(resources.labs_folder() / name)] == []


def test_the_same_checks_as_the_judge_expects(lab: Path) -> None:
    """Lint's own reading of check files agrees with that of the verdict."""
    for folder in (lab, resources.labs_folder() / "databases"):
        for name, file in read_check_files(folder).by_name.items():
            text = (folder / name).read_text()
            assert [f"m/{check}" for check in file.checks] == [one.id for one in expected_checks("m", text)]


@pytest.mark.parametrize(("name", "old", "new", "finding"), [
    # lab.toml
    ("lab.toml", 'title = "Buyers are rows"', 'title = "Buyers are rows"\nneeds = ["shop/buyers"]',
     ("lab.toml", None, "needs-circle")),
    ("lab.toml", "[services.redis]", "[services.reddis]", ("lab.toml", 10, "unknown-service")),
    ("lab.toml", "title = \"Small\"", "titel = \"Small\"", ("lab.toml", 2, "unknown-key")),
    ("lab.toml", "title = \"Small\"\n", "", ("lab.toml", None, "missing-key")),
    ("lab.toml", "format = 1", "format = 2", ("lab.toml", 1, "bad-value")),
    ("lab.toml", "checks/test_shop_buyers.py", "/etc/passwd", ("lab.toml", 21, "path-outside")),
    ("lab.toml", "checks/test_shop_buyers.py", "checks/test_none.py", ("lab.toml", 21, "no-such-file")),
    ("lab.toml", "briefs/shop-buyers.md", "briefs/none.md", ("lab.toml", 22, "no-such-file")),
    ("lab.toml", "format = 1", "format = ", ("lab.toml", 1, "bad-toml")),
    ("lab.toml", 'id = "shop/buyers"', 'id = "shops/buyers"', ("lab.toml", 18, "unknown-track")),
    ("lab.toml", 'reason = "not-stored"', 'reason = "not-storred"', ("lab.toml", 25, "unknown-reason")),
    # checks as programs
    (CHECKS, "def test_a_buyer", "def a_buyer", (CHECKS, None, "no-checks")),
    (CHECKS, '    """A buyer that is posted is a row in PostgreSQL."""\n', "", (CHECKS, 8, "no-docstring")),
    (CHECKS, "def test_a_buyer", "async def test_a_buyer", (CHECKS, 8, "async-check")),
    (CHECKS, BODY, f"{BODY}    postgres.admin('INSERT INTO public.buyers DEFAULT VALUES')\n", (CHECKS, 11, "hands-touch")),
    (CHECKS, BODY, f"{BODY}    postgres.admin('CREATE SCHEMA IF NOT EXISTS own')\n", (CHECKS, 11, "hands-take-over")),
    (CHECKS, BODY, f"{BODY}    postgres.admin('CREATE TRIGGER t AFTER UPDATE ON public.buyers"
     " FOR EACH ROW EXECUTE FUNCTION own.act()')\n", None),
    (CHECKS, BODY, f"{BODY}    import time\n    time.sleep(1)\n", (CHECKS, 12, "sleeps")),
    (CHECKS, BODY, f"{BODY}    from time import sleep as nap\n    nap(1)\n", (CHECKS, 12, "sleeps")),
    (CHECKS, BODY, f"{BODY}    import asyncio as a\n    a.run(a.sleep(1))\n", (CHECKS, 12, "sleeps")),
    (CHECKS, "from orchestrator.checks import expect", "from time import *\nfrom orchestrator.checks import expect\nsleep(1)",
     (CHECKS, 5, "sleeps")),
    (CHECKS, BODY, f'{BODY}    import pytest\n    pytest.skip("later")\n', (CHECKS, 12, "skip-or-xfail")),
    (CHECKS, "def test_a", "import pytest\n\n\n@pytest.mark.xfail\ndef test_a", (CHECKS, 11, "skip-or-xfail")),
    (CHECKS, "def test_a", "import pytest\n\n\n@pytest.mark.parametrize('x', [1])\ndef test_a", (CHECKS, 12, "parametrised")),
    (CHECKS, "from orchestrator.checks import expect", "import requests\nfrom orchestrator.checks import expect",
     (CHECKS, 3, "foreign-import")),
    (CHECKS, "from orchestrator.checks import expect", "from orchestrator import cli\nfrom orchestrator.checks import expect",
     (CHECKS, 3, "foreign-import")),
    (CHECKS, "from orchestrator.checks import expect", "from . import helper\nfrom orchestrator.checks import expect",
     (CHECKS, 3, "foreign-import")),
    (CHECKS, "    listed()\n", "    try:\n        listed()\n    except Exception:\n        pass\n", (CHECKS, 17, "swallows")),
    (CHECKS, "    listed()\n", "    try:\n        listed()\n    except:\n        pass\n", (CHECKS, 17, "swallows")),
    (CHECKS, "    listed()\n", "    import contextlib\n    with contextlib.suppress(Exception):\n        listed()\n",
     (CHECKS, 16, "swallows")),
    (CHECKS, 'json={"name": name}', 'json={"name": "Ada"}', None),
    (CHECKS, '    name = fresh.name("buyer")\n', '    name = "Ada"\n', (CHECKS, 8, "fixed-values")),
    (CHECKS, 'reason="answer-wrong"', 'reason="Answer wrong"', (CHECKS, 12, "bad-reason")),
    (CHECKS, 'reason="not-stored")', 'reason="not_stored")', (CHECKS, 13, "bad-reason")),
    (CHECKS, '"the row", reason="not-stored"', '"the row", "Not Stored"', (CHECKS, 13, "bad-reason")),
    (CHECKS, "def test_a_buyer", "def test_a_buyer(:", (CHECKS, 8, "syntax-error")),
    # the storage contract
    (CHECKS, "SELECT name FROM buyers", "SELECT colour FROM buyers", (CHECKS, 5, "unknown-storage")),
    (CHECKS, "SELECT name FROM buyers", "SELECT name FROM customers", (CHECKS, 5, "unknown-storage")),
    (CHECKS, "postgres.rows(ROW, [buyer])", 'postgres.plant(f"INSERT INTO buyers (colour) VALUES ({buyer})")',
     (CHECKS, 13, "unknown-storage")),
    (CHECKS, "seen:{buyer}", "counted:{buyer}", (CHECKS, 14, "unknown-storage")),
    (CHECKS, 'redis.get(f"seen:{buyer}")', 'redis.client.hget("trending", "colour")', (CHECKS, 14, "unknown-storage")),
    (CHECKS, "seen:{buyer}", "labs-control:{buyer}", None),
    (CHECKS, "SELECT name FROM buyers", "SELECT word FROM labs_check.words", None),
    # what learners read
    ("briefs/shop-buyers.md", "\n\nWrite a row.", "", ("briefs/shop-buyers.md", None, "brief-empty")),
    ("openapi.yaml", "paths:\n  /buyers: {}\n", "", ("openapi.yaml", None, "bad-openapi")),
    ("openapi.yaml", "/buyers: {}", "/buyers: {", ("openapi.yaml", 4, "bad-openapi")),
    ("openapi.yaml", "3.1.0", "3.0.3", ("openapi.yaml", None, "bad-openapi")),
    ("openapi.yaml", "/buyers: {}", "/buyers: &me {get: *me}", ("openapi.yaml", None, "bad-openapi")),
    ("openapi.yaml", "/buyers: {}", "/buyers: {get: {parameters: [{schema: {type: text}}]}}",
     ("openapi.yaml", None, "bad-openapi")),
    ("openapi.yaml", "/buyers: {}", "/buyers: {get: {parameters: [{schema: {$ref: '#/components/schemas/Buyer'}}]}}",
     ("openapi.yaml", 3, "bad-openapi")),
    ("openapi.yaml", "/buyers: {}", "/buyers: {get: {responses: {200: {content: {application/json: {schema: "
     "{allOf: [{type: object, minProperties: 1}]}}}}}}}", None),
    # solutions
    (PATCH, "-two = 2", "-two = 3", (PATCH, 7, "patch-fails")),
    (PATCH, "# reason: not-stored\n", "", (PATCH, 1, "bad-solutions")),
    (PATCH, "# story: Buyers are kept in a dict.\n", "", (PATCH, 1, "bad-solutions")),
    (PATCH, "# milestone: shop/buyers\n", "", (PATCH, 1, "bad-solutions")),
    (PATCH, "# story", "# on: cobol\n# story", (PATCH, 1, "bad-solutions")),
    (PATCH, "milestone: shop/buyers", "milestone: shop/buyer", (PATCH, 1, "unknown-milestone")),
    (PATCH, "reason: not-stored", "reason: lost", (PATCH, 2, "unknown-reason")),
    (PATCH, "reason: not-stored", "reason: Not stored", (PATCH, 2, "bad-reason")),
    ("solutions/accepted/python/workspace.toml", 'lab = "small"', 'lab = "large"',
     ("solutions/accepted/python/workspace.toml", 2, "other-lab")),
    ("starter/python/workspace.toml", "run =", "ran =", ("starter/python/workspace.toml", 3, "bad-workspace")),
    ("starter/python/workspace.toml", "run =", "start_budget = 120\nrun =", None),
    ("starter/python/workspace.toml", "run =", "start_budget = 121\nrun =",
     ("starter/python/workspace.toml", 3, "bad-workspace")),
])
def test_one_wrong_thing(lab: Path, name: str, old: str, new: str, finding: tuple[str, int | None, str] | None) -> None:
    """What is broken is found where it is; ``None``: it is allowed."""
    change(lab, name, old, new)

    assert finding in found(lab) if finding else found(lab) == []


@pytest.mark.parametrize(("text", "finding"), [
    ("def test_b():\n    \"\"\"B.\"\"\"\n    print(1)\n", (19, "cannot-fail")),
    ("def test_b(server):\n    \"\"\"B.\"\"\"\n", (19, "cannot-fail")),
    ("def test_b():\n    \"\"\"B.\"\"\"\n    assert True\n    expect.true(True, \"x\", reason=\"x\")\n", (19, "cannot-fail")),
    ("def test_b():\n    \"\"\"B.\"\"\"\n    print(expect.shown({}))\n", (19, "cannot-fail")),
    ("def test_b(server):\n    \"\"\"B.\"\"\"\n    server.get(\"/buyers\")\n", None),
    ("def test_b(listed):\n    \"\"\"B.\"\"\"\n    listed()\n", None),
    ("def helper():\n    assert 1 + 1 == 3\n\n\ndef test_b():\n    \"\"\"B.\"\"\"\n    helper()\n", None),
    ("def test_b(server):\n    \"\"\"B.\"\"\"\n    return server.get(\"/buyers\")\n", (21, "check-returns")),
    ("def test_a_buyer_is_a_row(server):\n    \"\"\"B.\"\"\"\n    server.get(\"/buyers\")\n", (19, "check-twice")),
    ("class TestB:\n    def test_b(self, server):\n        \"\"\"B.\"\"\"\n        server.get(\"/buyers\")\n", (20, "check-not-at-top")),
    ("def test_b(server):\n    \"\"\"B.\"\"\"\n    expect.status(server.post(\"/buyers\", json={\"a\": 1}), 201, reason=\"x\")\n",
     (19, "fixed-values")),
    ("def test_b(server):\n    \"\"\"B.\"\"\"\n    try:\n        server.get(\"/buyers\")\n    except Exception as error:\n"
     "        expect.fail(str(error), reason=\"x\")\n", None),
])
def test_one_more_check(lab: Path, text: str, finding: tuple[int, str] | None) -> None:
    extra(lab, f"\n{text}")

    assert (CHECKS, *finding) in found(lab) if finding else found(lab) == []


BREAK: list[tuple[Callable[[Path], object], tuple[str, int | None, str]]] = [
    (lambda lab: (lab / "lab.toml").write_bytes(b"x" * (50 * 1024 * 1024)), ("lab.toml", None, "too-large")),
    (lambda lab: (lab / "lab.toml").write_bytes(b"format = 1\n\xff"), ("lab.toml", 2, "not-utf-8")),
    (lambda lab: (lab / "lab.toml").write_text("a = " + "[" * 10_000), ("lab.toml", None, "bad-toml")),
    (lambda lab: ((lab / "lab.toml").unlink(), (lab / "lab.toml").mkdir()), ("lab.toml", None, "cannot-read")),
    (lambda lab: ((lab / "lab.toml").unlink(), os.mkfifo(lab / "lab.toml")), ("lab.toml", None, "cannot-read")),
    (lambda lab: (lab / "checks/test_junk.py").write_bytes(os.urandom(4096)), ("checks/test_junk.py", None, "checks-unused")),
    (lambda lab: (lab / CHECKS).write_bytes(b"\x00\xff\xfe" * 100), (CHECKS, None, "syntax-error")),
    (lambda lab: (lab / CHECKS).write_text("x = " + "(" * 5_000), (CHECKS, 1, "syntax-error")),
    (lambda lab: (lab / CHECKS).write_text("x = " + "-" * 100_000 + "1"), (CHECKS, None, "syntax-error")),
    (lambda lab: (lab / "checks/helper.py").write_text(""), ("checks/helper.py", None, "checks-unused")),
    (lambda lab: (lab / "checks/test_other.py").write_text(""), ("checks/test_other.py", None, "checks-unused")),
    (lambda lab: shared(lab, "deep/below", ""), ("checks/fixtures/deep/below.py", None, "checks-unused")),
    (lambda lab: shared(lab, "test_more", ""), ("checks/fixtures/test_more.py", None, "checks-unused")),
    (lambda lab: shared(lab, "Two words", ""), ("checks/fixtures/Two words.py", None, "bad-name")),
    (lambda lab: shared(lab, "shop", "def (:"), ("checks/fixtures/shop.py", 1, "syntax-error")),
    (lambda lab: shared(lab, "shop", "from .more import row"), ("checks/fixtures/shop.py", 1, "foreign-import")),
    (lambda lab: shared(lab, "shop", "from checks.fixtures.more import row"), ("checks/fixtures/shop.py", 1, "foreign-import")),
    (lambda lab: shared(lab, "shop", "import time\ntime.sleep(1)"), ("checks/fixtures/shop.py", 2, "sleeps")),
    (lambda lab: shared(lab, "shop", "def test_a():\n    pass"), ("checks/fixtures/shop.py", 1, "check-among-fixtures")),
    (lambda lab: shared(lab, "shop", FIXTURE.format("listed", "x")), ("checks/fixtures/shop.py", 4, "fixture-twice")),
    (lambda lab: (shared(lab, "shop", FIXTURE.format("row", "x")), shared(lab, "more", FIXTURE.format("row", "y"))),
     ("checks/fixtures/shop.py", 4, "fixture-twice")),
    (lambda lab: (lab / "briefs/other.md").write_text("x"), ("briefs/other.md", None, "brief-unused")),
    (lambda lab: (lab / "briefs/shop-buyers.md").write_bytes(b"\xff"), ("briefs/shop-buyers.md", 1, "not-utf-8")),
    (lambda lab: (lab / "briefs/Other one.md").write_text("x"), ("briefs/Other one.md", None, "bad-name")),
    (lambda lab: (lab / "starter/python/a b").write_text("x"), ("starter/python/a b", None, "bad-name")),
    (lambda lab: (lab / "Storage.md").write_text("x"), ("storage.md", None, "case-collision")),
    (lambda lab: (lab / "big.bin").write_bytes(b"x" * (6 * 1024 * 1024)), ("big.bin", None, "file-too-large")),
    (lambda lab: (lab / "storage.md").unlink(), ("storage.md", None, "no-storage-contract")),
    (lambda lab: (lab / "storage.md").write_bytes(b"\xff"), ("storage.md", 1, "not-utf-8")),
    (lambda lab: (lab / "passwd").symlink_to("/etc/passwd"), ("passwd", None, "link")),
    (lambda lab: (lab / "etc").symlink_to("/etc"), ("etc", None, "link")),
    (lambda lab: (lab / "loop").symlink_to("loop"), ("loop", None, "link")),
    (lambda lab: os.mkfifo(lab / "pipe"), ("pipe", None, "not-a-file")),
    (lambda lab: (lab / "solutions").rename(lab / "solution"), ("solution", None, "nearly-named")),
    (lambda lab: (lab / "solutions").rename(lab / "solution"), ("solutions", None, "no-solutions")),
    (lambda lab: (lab / "solutions/accepted").rename(lab / "solutions/acepted"), ("solutions/acepted", None, "nearly-named")),
    (lambda lab: (lab / "solutions/accepted").rename(lab / "solutions/acepted"), ("solutions/accepted", None, "bad-solutions")),
    (lambda lab: (lab / "solutions/accepted/go").mkdir(), ("solutions/accepted/go", None, "no-workspace")),
    (lambda lab: (lab / PATCH).rename(lab / "solutions/wrong/dict.patch"), ("solutions/wrong/dict.patch", None, "bad-patch-name")),
    (lambda lab: (lab / PATCH).rename(lab / "solutions/wrong/dict.diff"), ("solutions/wrong/dict.diff", None, "not-a-patch")),
    (lambda lab: (lab / PATCH).unlink(), ("lab.toml", 17, "no-wrong-solution")),
    (lambda lab: (lab / PATCH).write_bytes(b"\xff\xfe"), (PATCH, 1, "not-utf-8")),
    (lambda lab: ((lab / PATCH).unlink(), os.mkfifo(lab / PATCH)), (PATCH, None, "cannot-read")),
    (lambda lab: os.mkfifo(lab / "solutions/proof.toml"), ("solutions/proof.toml", None, "cannot-read")),
    (lambda lab: ((lab / PATCH).unlink(), (lab / PATCH).symlink_to("/dev/zero")), (PATCH, None, "cannot-read")),
    (lambda lab: change(lab, "lab.toml", "checks/test_shop", "./checks//test_none"), ("lab.toml", 21, "no-such-file")),
    (lambda lab: change(lab, "lab.toml", '"checks/test_shop_buyers.py"', '"solutions/accepted/python/server.py"'),
     ("solutions/accepted/python/server.py", None, "no-checks")),
    (lambda lab: change(lab, "lab.toml", "[[milestones]]", '[[milestones]]\nid = "shop/more"\ntitle = "More"\nchecks = '
                        f'"{CHECKS}"\nbrief = "briefs/shop-buyers.md"\n\n[[milestones]]'), ("lab.toml", 23, "checks-shared")),
    (lambda lab: ((lab / "storage.md").unlink(missing_ok=True), os.mkfifo(lab / "storage.md")), ("storage.md", None, "cannot-read")),
    (lambda lab: ((lab / "openapi.yaml").unlink(missing_ok=True), os.mkfifo(lab / "openapi.yaml")), ("openapi.yaml", None, "cannot-read")),
    (lambda lab: (lab / "openapi.yaml").write_text("[" * 5_000), ("openapi.yaml", None, "bad-openapi")),
]


def test_a_milestone_of_several_files(lab: Path) -> None:
    """The hints of a milestone are for reasons of any of them; two checks of one name are one too many."""
    change(lab, "lab.toml", f'checks = "{CHECKS}"', f'checks = ["{CHECKS}", "checks/test_more.py"]')
    (lab / "checks/test_more.py").write_text((lab / CHECKS).read_text().replace("def test_a_buyer", "def test_another"))
    (lab / CHECKS).write_text((lab / CHECKS).read_text().replace('"not-stored"', '"not-there"'))

    assert found(lab) == []

    change(lab, "checks/test_more.py", "def test_another", "def test_a_buyer")
    assert [(file, rule) for file, _, rule in found(lab)] == [("checks/test_more.py", "check-twice")]


def test_fixtures_in_files_of_their_own(lab: Path) -> None:
    """What a check reaches in ``checks/fixtures/`` counts as it does in a conftest, from file to file, too."""
    conftest = lab / "checks/conftest.py"
    shared(lab, "reading", conftest.read_text())
    conftest.unlink()

    assert found(lab) == []

    shared(lab, "reading", """import pytest

@pytest.fixture
def listed(row):
    return row
""")
    shared(lab, "rows", FIXTURE.format("row", "list-shape"))
    assert found(lab) == [("checks/fixtures/rows.py", 6, "unknown-service")]

    shared(lab, "rows", FIXTURE.format("row", "another"))
    assert [rule for _, _, rule in found(lab)] == ["unknown-reason", "unknown-service"]


def test_a_check_file_may_stand_in_for_a_shared_fixture(lab: Path) -> None:
    """And use it: what that one does is reached through it."""
    shared(lab, "rows", FIXTURE.format("row", "x"))
    extra(lab, """import pytest


@pytest.fixture
def row(row):
    return row


def test_b(row):
    \"\"\"B.\"\"\"
    row()
""")

    assert [one for one in found(lab) if one[0] == CHECKS] == []


@pytest.mark.parametrize(("spoil", "finding"), BREAK, ids=[f"{one[1][2]}-{number}" for number, one in enumerate(BREAK)])
def test_one_wrong_file(lab: Path, spoil: Callable[[Path], object], finding: tuple[str, int | None, str]) -> None:
    spoil(lab)

    assert finding in found(lab)


def test_the_rest_is_read_behind_a_broken_manifest(lab: Path) -> None:
    """No TOML is no excuse for a check that sleeps."""
    (lab / "lab.toml").write_text("format =")
    change(lab, CHECKS, BODY, f"{BODY}    import time\n    time.sleep(1)\n")

    assert found(lab) == [("lab.toml", 1, "bad-toml"), (CHECKS, 12, "sleeps")]


def test_contradictions_are_told_behind_an_unknown_key(lab: Path) -> None:
    change(lab, "lab.toml", 'services = ["postgres", "redis"]', 'services = ["postgres", "redis", "postgress"]\ncolour = "red"')

    assert found(lab) == [("lab.toml", 20, "unknown-service"), ("lab.toml", 21, "unknown-key")]


def test_another_way_to_write_a_path(lab: Path) -> None:
    change(lab, "lab.toml", "checks/test_shop", "./checks//test_shop")

    assert found(lab) == []


def test_a_link_is_not_followed(lab: Path, tmp_path: Path) -> None:
    """A check file that leads out of the lab is named, not read."""
    (tmp_path / "outside.py").write_text("import time\ntime.sleep(1)\n")
    (lab / "checks/test_link.py").symlink_to(tmp_path / "outside.py")

    assert {rule for file, _, rule in found(lab) if file == "checks/test_link.py"} == {"link", "path-outside", "checks-unused"}


def test_without_git_one_line_says_so(lab: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    change(lab, PATCH, "-two = 2", "-two = 3")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert found(lab) == [("solutions/wrong", None, "patches-not-checked")]


def test_an_installed_lab_has_no_solutions(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    shutil.rmtree(lab / "solutions")
    monkeypatch.setattr(resources, "is_checkout", lambda: False)

    assert found(lab) == []


def test_names_that_no_terminal_may_obey(lab: Path) -> None:
    """Whatever a file is called, the finding can be printed."""
    (lab / os.fsdecode(b"\xff\x1b[2J")).write_text("")

    (finding,) = lint(lab)
    assert finding.file == "\\udcff\\x1b[2J"
    assert str(finding).isprintable()


COMPOSE = """services:
  alarm:
    image: alarm:1
    ports: ["127.0.0.1:${LABS_ALARM_PORT:-8000}:8000"]
    mem_limit: 64m
    cpus: 0.5
    pids_limit: 64
"""
NAMED = """
def test_b(server, services, fault):
    \"\"\"B.\"\"\"
    services["alarm"]
    with fault.down("alarm"):
        server.get("/buyers")
"""


def with_alarm(lab: Path, listed: str = '"postgres", "redis", "alarm"') -> Path:
    """The lab with a service of its own, and a check that names it."""
    (lab / "services").mkdir()
    (lab / "services/alarm.yaml").write_text(COMPOSE)
    toml = (lab / "lab.toml").read_text().replace('"postgres", "redis"', listed)
    (lab / "lab.toml").write_text(f'{toml}\n[services.alarm]\ncompose = "services/alarm.yaml"\n')
    (lab / CHECKS).write_text((lab / CHECKS).read_text() + NAMED)
    return lab


def test_a_service_of_the_labs_own_is_known(lab: Path) -> None:
    """Its name may stand in milestones, in faults and in `services`."""
    assert [str(one) for one in lint(with_alarm(lab))] == []


def test_a_service_that_a_check_names_must_be_listed(lab: Path) -> None:
    """By the lab, and by the milestone: only these run."""
    with_alarm(lab, '"postgres", "redis"')
    (found,) = lint(lab)
    assert (found.file, found.line, found.rule) == (CHECKS, 20, "service-not-listed")
    (lab / CHECKS).write_text((lab / CHECKS).read_text().replace('services["alarm"]', 'services["alram"]'))

    assert any(one.rule == "unknown-service" and "did you mean alarm?" in one.message for one in lint(lab))


def test_a_compose_file_that_is_wrong_is_found_where_it_is(lab: Path) -> None:
    """In its own file, at its line."""
    with_alarm(lab)
    (lab / "services/alarm.yaml").write_text(COMPOSE.replace("cpus", "cpu"))

    assert {(one.file, one.line, one.rule) for one in lint(lab)} == {
        ("services/alarm.yaml", 6, "bad-compose"), ("services/alarm.yaml", 2, "bad-compose")}
