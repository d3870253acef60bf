"""``labs lint``: each rule finds what it is about, with file and line, and nothing in a good lab."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.linting import BODY, CHECKS, PATCH, change, extra, found

from orchestrator import resources
from orchestrator.judge.verdict import expected_checks
from orchestrator.lint.check_files import read_check_files
from orchestrator.lint.lint import lint


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


def test_the_rest_is_read_behind_a_broken_manifest(lab: Path) -> None:
    """No TOML is no excuse for a check that sleeps."""
    (lab / "lab.toml").write_text("format =")
    change(lab, CHECKS, BODY, f"{BODY}    import time\n    time.sleep(1)\n")

    assert found(lab) == [("lab.toml", 1, "bad-toml"), (CHECKS, 12, "sleeps")]


def test_contradictions_are_told_behind_an_unknown_key(lab: Path) -> None:
    change(lab, "lab.toml", 'services = ["postgres", "redis"]', 'services = ["postgres", "redis", "postgress"]\ncolour = "red"')

    assert found(lab) == [("lab.toml", 20, "unknown-service"), ("lab.toml", 21, "unknown-key")]
