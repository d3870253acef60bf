"""Faults in the source: read from patches, tried where they belong and then elsewhere, counted and shown apart."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from orchestrator.catalog.labs import find_lab
from orchestrator.errors import LabInvalid
from orchestrator.report import lab_proof_html, lab_proof_terminal
from orchestrator.report.lab_proof import CaseResult, Proof, Seen, to_data
from orchestrator.verify import plan
from orchestrator.verify.case import Case, Observed, judged
from orchestrator.verify.solutions import Equivalent, check_patches, read_solutions

LAB = find_lab("databases")
SOLUTIONS = read_solutions(LAB.folder / "solutions")
ALL = tuple(one.id for one in LAB.milestones)
SCOPE = plan.Scope(ALL, quick=False, repeats=2, seed=1, edits=3)
PASS, FAIL = Seen("pass", passed_checks=("t/s/a",)), Seen("fail", "lost", "t/s/a", "the row")


def proof(*results: CaseResult) -> Proof:
    return Proof(lab="x", lab_version="1", lab_commit="", labs_version="1", content="", quick=False, seed=1,
                 started_at="", seconds=1.0, engine="e", products={}, milestones=("t/s",), results=results)


def test_our_lab_has_a_dozen_operators_on_two_languages() -> None:
    """Each applies to its solution and names a milestone of the lab."""
    operators: dict[str, set[str]] = {}
    for one in SOLUTIONS.faults:
        operator, _, language = one.name.partition(".")
        operators.setdefault(operator, set()).add(language)
        assert one.on == language
        assert one.milestone in ALL

    assert sum(languages == {"go", "python"} for languages in operators.values()) >= 12
    check_patches(SOLUTIONS)


def test_a_fault_is_tried_where_it_belongs_and_then_everywhere() -> None:
    """And for a chosen milestone only that one's."""
    cases = [case for case in plan.first_cases(LAB, SOLUTIONS, SCOPE, []) if case.kind == "fault"]
    alone = plan.first_cases(LAB, SOLUTIONS, dataclasses.replace(SCOPE, chosen=("redis/hold",)), [])

    own = {name: SOLUTIONS.judged(LAB, name) for name in SOLUTIONS.accepted}
    assert len(cases) == len(SOLUTIONS.faults)
    assert all(case.milestones[0] == case.milestone and set(case.milestones) == own[case.server]
               for case in cases)
    assert {case.milestones for case in alone if case.kind == "fault"} == {("redis/hold",)}


def test_a_proof_draws_as_many_edits_as_asked() -> None:
    """None in a quick one."""
    def count(scope: plan.Scope) -> int:
        return sum(case.kind == "edit" for case in plan.first_cases(LAB, SOLUTIONS, scope, []))

    assert (count(SCOPE), count(dataclasses.replace(SCOPE, quick=True))) == (3, 0)


def test_a_fault_says_what_it_is_in_its_name(tmp_path: Path) -> None:
    """Which operator, on which solution; and its milestone in the text."""
    (tmp_path / "accepted/python").mkdir(parents=True)
    (tmp_path / "accepted/python/workspace.toml").write_text('format = 1\nlab = "x"\nrun = ["x"]\n')
    (tmp_path / "faults").mkdir()
    (tmp_path / "faults/drop-lock.patch").write_text("# story: x\n# milestone: t/s\n")
    (tmp_path / "faults/drop-lock.rust.patch").write_text("# story: x\n")
    with pytest.raises(LabInvalid) as caught:
        read_solutions(tmp_path)

    text = "\n".join(caught.value.details)
    for words in ("OPERATOR.SOLUTION.patch", "is on 'rust'", "'# milestone: ...'"):
        assert words in text


@pytest.mark.parametrize("pattern", ["*", "**", "?*", " * "])
def test_nothing_waves_every_change_through(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "proof.toml").write_text(
        f'format = 1\n[[equivalent]]\nmilestone = "*"\nmutant = "{pattern}"\nreason = "x"\n')
    with pytest.raises(LabInvalid) as caught:
        read_solutions(tmp_path)

    assert "waves everything through" in "\n".join(caught.value.details)


def test_a_fault_may_be_one_that_nobody_can_notice() -> None:
    """With a reason, as for changes of answers."""
    case = Case("fault drop-lock.go", "fault", "go", ("t/s",), milestone="t/s")

    assert plan.equivalent(case, [Equivalent("*", "fault drop-lock.go", "because")]) == "because"
    assert plan.equivalent(dataclasses.replace(case, kind="wrong"), [Equivalent("*", "fault *", "because")]) == ""


def test_both_scores_are_shown_and_survivors_with_their_patch() -> None:
    """Of answers and of the source; a survivor's patch stands on the page."""
    one = proof(CaseResult("mutant a", "mutant", "t/s", "a", {"t/s": FAIL}),
                CaseResult("fault b.go", "fault", "t/s", "b", {"t/s": PASS}, patch="-right\n+wrong <b>\n"),
                CaseResult("fault c.go", "fault", "t/s", "c", {"t/s": FAIL}, patch="x"))
    page, text, data = lab_proof_html.render(one), lab_proof_terminal.render(one), to_data(one)

    assert one.score("t/s") == (1, 1)
    assert one.score("t/s", "fault") == (1, 2)
    assert not one.holds
    assert "+wrong &lt;b&gt;" in page
    assert "1 of 2 (50 %)" in page
    assert "fault b.go: b" in text
    assert data["source_score"] == {"noticed": 1, "counted": 2}
    assert data["survivors"] == ["fault b.go"]


def test_a_change_that_never_took_effect_is_counted_apart() -> None:
    """Nothing was different: neither noticed nor a survivor."""
    idle = CaseResult("mutant a", "mutant", "t/s", "a", {"t/s": dataclasses.replace(PASS, effect=False)})
    text = lab_proof_terminal.render(proof(idle))

    assert proof(idle).score() == (0, 0)
    assert proof(idle).survivors() == ()
    assert proof(idle).idle("t/s") == 1
    assert "1 never took effect" in text
    assert not dataclasses.replace(idle, seen={"t/s": FAIL}).idle


def test_a_check_that_goes_by_luck_is_named() -> None:
    """It passed one run of a right server and not another: by values, by chance, by the clock, by order."""
    flips = proof(CaseResult("accepted go", "accepted", "", "", {"t/s": PASS}),
                  CaseResult("repeat 1", "repeat", "", "", {"t/s": FAIL}, said="rejected"))
    always = proof(CaseResult("accepted go", "accepted", "", "", {"t/s": FAIL}, said="rejected"))

    assert flips.flipped() == ("t/s/a: 1 of 2 runs of right servers: fail (lost) in repeat 1",)
    assert "go by luck" in lab_proof_terminal.render(flips)
    assert "t/s/a: 1 of 2" in lab_proof_html.render(flips)
    assert always.flipped() == ()


def test_checks_whose_order_matters_are_named_so() -> None:
    case = next(case for case in plan.first_cases(LAB, SOLUTIONS, SCOPE, []) if case.kind == "order")

    assert case.variants == ("shuffled",)
    assert case.seed == SCOPE.seed
    assert "their order matters" in judged(case, {"t/s": FAIL})
    assert judged(case, {"t/s": PASS}) == ""


def test_a_variant_that_is_rejected_by_luck_is_no_rejected_variant() -> None:
    """The very same is tried again; only if it is rejected again, its changes are looked at one by one."""
    case = Case("variant a + b", "variant", "python", ("t/s", "t/n"), variants=("a", "b"))
    again = plan.again(case, ["t/s"])
    seen = proof(CaseResult(case.id, "variant", "", "", {"t/s": FAIL}, said="rejected"),
                 CaseResult(again.id, "variant", "", "", {"t/s": PASS}))
    minded = proof(CaseResult(case.id, "variant", "", "", {"t/s": FAIL}, said="rejected"),
                   CaseResult(again.id, "variant", "", "", {"t/s": FAIL}, said="rejected"),
                   CaseResult("accepted go", "accepted", "", "", {"t/s": PASS}))

    assert (again.milestones, again.variants, again.seed) == (("t/s",), case.variants, case.seed)
    assert len(seen.flipped()) == 1
    assert minded.flipped() == ()


def test_a_milestone_alone_is_charged_as_in_the_whole_lab() -> None:
    """Changes of routes that an earlier milestone brings in belong to that one; so the others are observed, too."""
    from orchestrator.verify.changes import Change

    alone = dataclasses.replace(SCOPE, chosen=("postgres/isolation",))
    early, own = Change("POST /buyers", 201, "status", to=500), Change("POST /orders", 402, "status", to=201)
    found = {early: ("postgres/crud", "postgres/isolation"), own: ("postgres/isolation", "redis/hold")}
    observed = {one: Observed() for one in ALL}

    assert [case.change for case in plan.mutant_cases(LAB, SOLUTIONS, alone, found, observed)] == [own]
    assert [case.milestone for case in plan.observing(LAB, SOLUTIONS, alone)] == [
        one for one in ALL if not one.startswith(("mysql/", "elasticsearch/"))]
    assert [case.milestone for case in plan.observing(LAB, SOLUTIONS, dataclasses.replace(alone, quick=True))] == [
        "postgres/schema", "postgres/crud", "postgres/constraints", "postgres/transactions", "postgres/isolation"]


@pytest.mark.parametrize("track", ["mysql", "elasticsearch"])
def test_a_track_with_a_server_of_its_own_is_charged_for_what_that_one_answers(track: str) -> None:
    """What other servers answer on the same routes is of no matter to it, and not looked at."""
    own = tuple(one for one in ALL if one.startswith(f"{track}/"))

    assert [case.milestone for case in plan.observing(LAB, SOLUTIONS, dataclasses.replace(SCOPE, chosen=own))] == list(own)
