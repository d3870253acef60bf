"""A lab's proof: what follows from its results, and its forms."""

from __future__ import annotations

import dataclasses
import json

import pytest

from orchestrator.report import lab_proof_html, lab_proof_terminal
from orchestrator.report.lab_proof import KINDS, CaseResult, Kind, Proof, Seen, to_data

PASS, FAIL = Seen("pass", seconds=2.0, phases={"checks": 1.5}), Seen("fail", "lost", "t/s/check", "the row", "1", "0")
HOSTILE = "<script>alert(1)</script>\x1b[31m"


def result(kind: Kind, seen: Seen, *, said: str = "", equivalent: str = "", story: str = "a story") -> CaseResult:
    return CaseResult(f"{kind} one", kind, "t/s", story, {"t/s": seen}, said, equivalent, 1.0)


def proof(*results: CaseResult, **more: object) -> Proof:
    one = Proof(lab="tiny", lab_version="1.0.0", lab_commit="", labs_version="1", content="abc", quick=False, seed=7,
                started_at="2026-01-01T00:00:00+00:00", seconds=12.0, engine="embedded 1", products={"redis": "Redis 8"},
                milestones=("t/s",), results=results, budgets={"t/s": 60.0})
    return dataclasses.replace(one, **more)


NOTICED, SURVIVED = result("mutant", FAIL), result("mutant", PASS, story="id absent")
EQUIVALENT = result("mutant", PASS, equivalent="for people")


def test_the_score_counts_what_could_be_noticed() -> None:
    """Equivalent ones count neither way; below nine of ten the proof does not hold."""
    good = proof(*[NOTICED] * 9, SURVIVED, EQUIVALENT)

    assert good.score() == (9, 10)
    assert good.score("t/s") == (9, 10)
    assert good.score("t/other") == (0, 0)
    assert good.survivors() == (SURVIVED,)
    assert good.holds
    assert not proof(*[NOTICED] * 8, SURVIVED).holds
    assert not proof(NOTICED, result("wrong", PASS, said="passes")).holds
    assert not proof().holds, "what tried nothing proves nothing"


def test_flips_and_timings() -> None:
    """A repeat that does not pass flipped; timings are the accepted server's."""
    one = proof(result("accepted", PASS), result("repeat", PASS), result("repeat", FAIL, said="rejected"))

    assert one.flips() == 1
    assert one.timings("t/s") == {"checks": 1.5}
    assert one.timings("t/none") == {}


def test_the_screen_says_what_did_not_hold_and_what_survived() -> None:
    text = lab_proof_terminal.render(proof(
        *[result(kind, PASS) for kind in KINDS if kind != "mutant"], *[NOTICED] * 9, SURVIVED, EQUIVALENT,
        result("wrong", PASS, said="passes t/s"), not_run={"slow": "no control group"}))

    assert "proof of tiny 1.0.0: DOES NOT HOLD" in text
    assert "9 of 10 noticed (90 %); 1 that nobody can notice" in text
    assert "1 of 1 pass; written from the brief alone: none" in text
    assert "wrong one: passes t/s" in text
    assert "id absent" in text
    assert "slow: no control group" in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("render", [lab_proof_terminal.render, lab_proof_html.render], ids=["screen", "page"])
def test_foreign_text_is_shown_and_does_nothing(render: object) -> None:
    """A server's words are in it: no tag, no control character."""
    bad = Seen("fail", "r", "t/s/check", HOSTILE, HOSTILE, HOSTILE)
    text = render(proof(result("accepted", bad, said=HOSTILE), result("mutant", PASS, story=HOSTILE)))  # type: ignore[operator]

    assert "\x1b" not in text
    if render is lab_proof_html.render:
        assert "<script>" not in text
        assert "&lt;script&gt;" in text


def test_as_json() -> None:
    """Everything, and what follows from it."""
    data = json.loads(json.dumps(to_data(proof(*[NOTICED] * 9, SURVIVED))))

    assert (data["proof"], data["holds"], data["score"]) == (1, True, {"noticed": 9, "counted": 10, "least": 0.9})
    assert data["survivors"] == ["mutant one"]
    assert data["outcomes"][0]["seen"]["t/s"]["expected"] == "1"
    assert "results" not in data
