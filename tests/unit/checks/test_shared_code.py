"""Which files a lab's checks share, and that those of ``checks/fixtures/`` work in a real child as a conftest does."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.child import Run, run_checks

from orchestrator.checks.shared_code import shared_code
from orchestrator.model import Verdict

SHOP = '''
import pytest
from dataclasses import dataclass
from orchestrator.checks import expect

PRICE = 3

@dataclass
class Thing:
    price: "int"

@pytest.fixture
def thing(unit):
    return Thing(PRICE * unit)

@pytest.fixture
def judged():
    def look():
        expect.fail("it", reason="shared")
    return look

@pytest.fixture
def asserted():
    def look(values):
        assert values == [1, 2, 3]
    return look

@pytest.fixture
def seen():
    return "shop"
'''

AROUND = '''
import pytest

@pytest.fixture
def around(thing):
    return f"around {thing.price}"

@pytest.fixture
def fresh(fresh):
    return [fresh]

@pytest.fixture(autouse=True)
def always(evidence):
    evidence("always")
'''

CONFTEST = '''
import pytest

@pytest.fixture
def unit():
    return 2

@pytest.fixture
def through(around):
    return f"through {around}"
'''

CHECKS = '''
import sys
import pytest

def test_reached(thing, around, through):
    assert (thing.price, around, through) == (6, "around 6", "through around 6")

def test_stands_in(fresh):
    assert fresh[0].token()

@pytest.fixture
def seen(seen):
    return f"own {seen}"

def test_own_comes_first(seen):
    assert seen == "own shop"

def test_judged(judged):
    judged()

def test_asserted(asserted):
    asserted([1, 2, 4])
'''


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    # A folder whose name a shell, and pytest, would read as something else.
    return run_checks(tmp_path_factory.mktemp("shared"), CHECKS, conftest=CONFTEST, lab="a lab's [x] :: é $(id)",
                      fixtures={"shop": SHOP, "around": AROUND})


def test_the_files_that_checks_share(tmp_path: Path) -> None:
    """The conftest first, then those of the folder by name; nothing else that is there."""
    assert shared_code(tmp_path) == ()
    (tmp_path / "checks" / "fixtures" / "deep").mkdir(parents=True)
    for name in ("test_a.py", "helper.py", "fixtures/shop.py", "fixtures/races.py", "fixtures/notes.md",
                 "fixtures/deep/below.py", "conftest.py"):
        (tmp_path / "checks" / name).touch()
    (tmp_path / "checks" / "fixtures" / "folder.py").mkdir()

    assert [path.relative_to(tmp_path).as_posix() for path in shared_code(tmp_path)] == [
        "checks/conftest.py", "checks/fixtures/races.py", "checks/fixtures/shop.py"]


@pytest.mark.parametrize("name", ["reached", "stands_in", "own_comes_first"])
def test_fixtures_of_the_folder_are_there_as_a_conftests_are(run: Run, name: str) -> None:
    """For checks, for each other and for the conftest; one may stand in for a fixture of ours, a check file's for it."""
    result = run[f"test_{name}"]

    assert result.verdict is Verdict.PASS, run.output
    assert result.evidence == ("always",)


def test_a_failure_in_them_is_told_as_anywhere(run: Run) -> None:
    """Where the lab's line is, and what an assert compared."""
    line = SHOP.splitlines().index("        assert values == [1, 2, 3]") + 1
    asserted, judged = run["test_asserted"], run["test_judged"]

    assert (judged.verdict, judged.reason) == (Verdict.FAIL, "shared")
    assert judged.where == f"checks/fixtures/shop.py:{line - 6}"
    assert (asserted.verdict, asserted.where) == (Verdict.FAIL, f"checks/fixtures/shop.py:{line}")
    assert asserted.what.startswith("assert [1, 2, 4] == [1, 2, 3]")


@pytest.mark.parametrize(("broken", "words"), [
    ("\nx = 1 / 0\n", "ZeroDivisionError: division by zero"),
    ("def (:\n", "SyntaxError: invalid syntax"),
    ("import pytest\npytest.exit('enough', returncode=0)\n", "enough"),
    ("from .shop import PRICE\n", "no known parent package"),
    ("import shop\n", "No module named 'shop'"),
])
def test_one_that_cannot_be_imported_is_our_error(tmp_path: Path, broken: str, words: str) -> None:
    """Its path and Python's own words are in the last lines, which the report shows. No file can import another."""
    run = run_checks(tmp_path, "def test_a(): pass\n", fixtures={"shop": "PRICE = 3\n", "shop_more": broken})
    last = "\n".join(run.output.strip().splitlines()[-5:])

    assert run.judgement.verdict is Verdict.ERROR
    assert "checks/fixtures/shop_more.py" in last
    assert words in last


def test_it_is_reported_as_a_conftest_is(tmp_path: Path) -> None:
    """The same verdict, and the same words but for the path."""
    broken = "import no_such_module_here\n"
    folder = run_checks(tmp_path / "folder", "def test_a(): pass\n", fixtures={"shop": broken})
    conftest = run_checks(tmp_path / "conftest", "def test_a(): pass\n", conftest=broken)
    said, wanted = (one.output.strip().splitlines() for one in (folder, conftest))

    assert folder.judgement == conftest.judgement
    assert said[0].removeprefix("ERROR: ").startswith("ImportError while loading")
    assert [line.replace("fixtures/shop.py", "conftest.py") for line in said[1:]] == wanted[1:]
