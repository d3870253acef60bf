"""The proof of our labs: right servers pass everything, wrong ones fail where and why they should."""

from __future__ import annotations

import hashlib
import os
import random
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.cli import Labs
from support.listeners import Quiet
from support.workspace import patch

from orchestrator import services
from orchestrator.catalog.labs import find_lab, find_milestones
from orchestrator.engines.choose import choose
from orchestrator.judge import supervisor
from orchestrator.judge.request import RunRequest
from orchestrator.judge.venue import Venue
from orchestrator.model import Verdict
from orchestrator.ownership import leases
from orchestrator.report.result import MilestoneResult
from orchestrator.report.terminal import details, milestone_line
from orchestrator.system.files import make_folder
from orchestrator.system.home import find_home
from orchestrator.workspace.select import select
from orchestrator.workspace.tracks import own_part
from orchestrator.workspace.workspace_toml import read_workspace

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
FULL_MATRIX = pytest.mark.engine("docker")
"""Once, on Docker: Go there, Python on the embedded engine, by the ordinary user's leg. `make verify` has every server."""

ROOT = Path(__file__).parents[2]
LABS = ROOT / "labs"
FAILURES = ROOT / "docs/failures"
SEED = 20_261_123
"""Fixed, so that the words of a failure are the same in every run; the checks' own tests use fresh ones."""
FEW = 8
"""So many wrong solutions are tried on Docker, too."""
ALL_SECONDS = 900
"""That all milestones may take, with a build from nothing before them (Go compiles all of SQLite)."""
EITHER_WAY = {"redis-outage-a-third-of-the-time", "elasticsearch-rebuild-tidies-up-all"}
"""Seen by one of two looks of its check, with the same reason. Which one depends, of the first, on when the server tried last
before the end of the outage, and so on how long Docker took to stop and start Redis: it makes no try then, or it makes one
that fails and none after. Of the second, on whether the server, which goes on by itself after a rebuild that was cut, has the
search right again when it is looked at: the next cut shows it then."""
ALL = os.environ.get("PROOF") == "all"
WRONG = sorted(LABS.glob("*/solutions/wrong/*.patch"), key=lambda path: path.stem)


def chosen(wrong: list[Path]) -> list[Path]:
    """A few wrong solutions on Docker, or all with PROOF=all. Which ones changes with the labs' content.

    ``labs verify --quick`` tries one of each milestone in every run of the tests (``scripts/quick_proofs.py``).
    """
    if ALL:
        return wrong
    content = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(LABS.rglob("*")) if path.is_file())).digest()
    return random.Random(content).sample(wrong, FEW)


def lab_of(wrong: Path) -> str:
    """The name of the lab that a wrong solution belongs to."""
    return wrong.parents[2].name


def headers(wrong: Path) -> dict[str, str]:
    """What a wrong solution says of itself: ``milestone``, ``reason``, ``story``; ``on``: of which server it is a patch."""
    return dict(re.findall(r"^# (\w+): (.+)$", wrong.read_text(encoding="utf-8"), re.MULTILINE))


@pytest.fixture(scope="module")
def venue_of(labs: Labs) -> Iterator[Callable[[str], Venue]]:
    """One judge space a lab for all wrong solutions that this worker meets, emptied before each attempt as always."""
    home = find_home(labs.environment)
    choice = choose(labs.engine, home=home)
    recipes = {name: services.recipe(name) for name in services.names()}
    with ExitStack() as open_ones:
        @cache
        def venue(lab: str) -> Venue:
            # Containers are named after the owner: two labs that have a service in common are two owners.
            owner = open_ones.enter_context(leases.hold(
                home, engine=choice.engine.info().key, environment=f"check-{secrets.token_hex(4)}", purpose="judge"))
            folder = make_folder(home.runs / owner.lease)
            return open_ones.enter_context(
                Venue(find_lab(lab), engine=choice.engine, recipes=recipes, owner=owner, folder=folder))

        yield venue
    choice.engine.close()


def judge(labs: Labs, folder: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    """Milestone id -> its result, of one `labs check`."""
    answer = labs.json("check", *arguments, cwd=folder, timeout=ALL_SECONDS)
    assert "milestones" in answer["data"], answer
    return {milestone["id"]: milestone for milestone in answer["data"]["milestones"]}


def told(results: dict[str, dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """Milestone id -> verdict and reason, of those that ran; with everything else that helps when a test fails."""
    return {name: (one["verdict"], one["reason"]) for name, one in results.items() if one["role"] != "later"}


@FULL_MATRIX
@pytest.mark.parametrize(("lab", "name"), [("databases", "go"), ("databases", "go-mysql"), ("databases", "go-search"),
                                           ("caching", "go")])
def test_an_accepted_solution_passes_everything(labs: Labs, tmp_path: Path, lab: str, name: str) -> None:
    """Other languages and strategies than in the ordinary user's leg and the quick proof; built by the lab's own build."""
    server = tmp_path / "server"
    shutil.copytree(LABS / lab / "solutions/accepted" / name, server)

    results = judge(labs, server, "--all")

    assert told(results) == dict.fromkeys(results, ("pass", "")), results
    assert results.keys() == {one.id for one in own_part(find_lab(lab), read_workspace(server)).milestones}
    assert all(check["evidence"] for one in results.values() for check in one["checks"])


@pytest.mark.parametrize("language", ["python", pytest.param("go", marks=FULL_MATRIX),
                                      pytest.param("node", marks=FULL_MATRIX)])
def test_an_untouched_starter_passes_nothing(labs: Labs, tmp_path: Path, language: str) -> None:
    """The first milestone of each store fails with evidence, the rest waits for these."""
    labs.ok("init", "databases", "--language", language, str(tmp_path / "server"))

    results = judge(labs, tmp_path / "server", "--all")

    assert told(results)["postgres/schema"] == ("fail", "schema-missing-table"), results
    first = {one.id for one in find_lab("databases").milestones if not one.needs}
    here = {name: one for name, one in results.items() if one["reason"] != "no-service"}
    assert results.keys() - here.keys() == {name for name in results if name.startswith("elasticsearch/")
                                            and labs.engine == "embedded"}
    assert {one["verdict"] for name, one in here.items() if name in first} == {"fail"}, results
    assert {one["verdict"] for name, one in here.items() if name not in first} == {"blocked"}


def test_the_untouched_starter_of_caching_passes_nothing(labs: Labs, tmp_path: Path) -> None:
    """It is right, and asks PostgreSQL each time."""
    labs.ok("init", "caching", "--language", "python", str(tmp_path / "server"))

    results = judge(labs, tmp_path / "server", "--all")

    assert told(results) == {name: ("fail", "asked-again") if name == "caching/aside" else ("blocked", one["reason"])
                             for name, one in results.items()}


def test_the_first_step_passes_the_first_milestone(labs: Labs, tmp_path: Path) -> None:
    """Ten changed lines from the starter."""
    folder = tmp_path / "server"
    labs.ok("init", "databases", "--language", "python", str(folder))
    patch(folder, LABS / "databases/solutions/accepted/python-first-step.patch")

    assert told(judge(labs, folder)) == {"postgres/schema": ("pass", "")}


@FULL_MATRIX
@pytest.mark.parametrize("wrong", chosen(WRONG), ids=lambda path: path.stem)
def test_a_wrong_solution_fails_at_its_milestone_for_its_reason(
    tmp_path: Path, venue_of: Callable[[str], Venue], shop_of: Callable[..., Path], wrong: Path
) -> None:
    """And with PROOF=all passes what that milestone needs, as `labs verify` asks of each."""
    venue = venue_of(lab_of(wrong))
    shop = shop_of(headers(wrong).get("on", "python"), lab_of(wrong))
    patch(shop, wrong)
    milestone, reason = headers(wrong)["milestone"], headers(wrong)["reason"]
    planned = select(venue.lab, passed={}, asked=find_milestones(venue.lab, milestone), content="")
    if not ALL:
        planned = tuple(one for one in planned if one.role == "asked")
    request = RunRequest(venue.lab, read_workspace(shop), planned, SEED, tmp_path / "cache")

    report = supervisor.judge(request, venue, engine_reason="the proof", listener=Quiet())

    wanted = {one.id: (Verdict.PASS, "") for one in report.milestones if one.role != "later"} | {
        milestone: (Verdict.FAIL, reason)}
    for one in report.milestones:  # pytest would cut the report where it gets interesting
        if one.id in wanted and (one.verdict, one.reason) != wanted[one.id]:
            pytest.fail("\n".join([f"wanted: {wanted[one.id]}", milestone_line(one), one.message,
                                    *details(one)]), pytrace=False)
    compare_words(wrong, next(one for one in report.milestones if one.id == milestone))


def compare_words(wrong: Path, failed: MilestoneResult) -> None:
    """What the learner reads is in ``docs/failures`` as it was printed; ``make failures`` writes it anew.

    Compared are the sentences of the check that decides. Where a race is what is wrong, numbers, what was seen and
    which of the later checks fail as well differ from run to run.
    """
    page = FAILURES / f"{wrong.stem}.txt"
    lines = [*(f"# {headers(wrong)[key]}" for key in ("story", "milestone")), "", milestone_line(failed)]
    lines += [line for line in details(failed) if "|" not in line and "'s log" not in line]
    printed = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8080", "\n".join(lines)).replace(str(LABS), "labs") + "\n"
    printed = re.sub(rf"{re.escape(tempfile.gettempdir())}/(?:[\w.-]+/)*", "", printed)  # where the server and its files were
    if os.environ.get("WRITE_FAILURES"):
        page.write_text(printed, encoding="utf-8")
    looks = "reason" if wrong.stem in EITHER_WAY else "I looked at|expected|reason"
    assert sentences(printed, looks) == sentences(page.read_text(encoding="utf-8"), looks)


def sentences(text: str, looks: str) -> list[str]:
    """What was looked at, what was expected and why it failed, of the first check that did; without what is drawn."""
    decides = "\n  FAIL  ".join(text.split("\n  FAIL  ")[:2])
    told = [line for line in decides.splitlines() if re.match(rf"# |  FAIL  | {{8}}({looks})", line)]
    return [re.sub(r"\S*\d\S*", "N", line) for line in told]


def test_every_wrong_solutions_words_are_published() -> None:
    """One page each, none left over."""
    assert sorted(path.stem for path in FAILURES.glob("*.txt")) == [path.stem for path in WRONG]


def test_every_milestone_has_a_wrong_solution() -> None:
    """A check that no wrong server has met is not known to bite."""
    milestones = {one.id for lab in LABS.iterdir() for one in find_lab(lab.name).milestones}

    assert {headers(path)["milestone"] for path in WRONG} == milestones
