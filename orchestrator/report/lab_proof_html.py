"""A lab's proof as one page: ``lab_proof.html``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from orchestrator.report.lab_promises import summary
from orchestrator.report.lab_proof import CHANGED, KINDS, CaseResult, Proof, noticed
from orchestrator.report.lab_proof_terminal import TITLES, one_kind
from orchestrator.report.page import page

PHASES = ("space", "start", "checks", "end")
HEAD = ("milestone", "wrong servers", "changes noticed", "no effect", "faults noticed", "edits noticed", "flips",
        *(f"{name} s" for name in PHASES), "budget s")


def render(proof: Proof) -> str:
    """What was tried and came of it, survivors and rejections with what was seen, timings, versions."""
    facts = (f"{proof.lab} {proof.lab_version} {proof.lab_commit[:12]}", f"content {proof.content[:16]}",
             f"labs {proof.labs_version}", ", ".join(proof.products.values()), proof.engine, proof.started_at,
             f"{proof.seconds:.0f} s", f"seed {proof.seed}", "a quick proof: samples only" if proof.quick else "")
    return page(
        "lab_proof.html", title=f"labs: the proof of {proof.lab}", lab=proof.lab, holds=proof.holds,
        facts=[fact for fact in facts if fact],
        kinds=[(TITLES[kind], one_kind(proof, kind), meaning) for kind, meaning in KINDS.items() if proof.of(kind)],
        head=HEAD, milestones=[(name, list(_cells(proof, name))) for name in proof.milestones],
        bad=_rows(one for one in proof.results if not one.holds),
        survivors=_rows(one for kind in CHANGED for one in proof.survivors(kind)), flipped=proof.flipped(),
        equivalents=_rows(one for kind in CHANGED for one in proof.of(kind) if one.equivalent),
        not_run=proof.not_run.items(),
        promises=proof.promises, promised=summary(proof.promises),
        tried=[(TITLES[kind], _rows(proof.of(kind))) for kind in KINDS if proof.of(kind)])


def _cells(proof: Proof, name: str) -> Iterator[str]:
    """A milestone's figures, under ``HEAD``."""
    wrong = proof.of("wrong", name)
    yield f"{sum(one.holds for one in wrong)} of {len(wrong)}"
    yield _share(*proof.score(name))
    yield str(proof.idle(name))
    yield from (_share(*proof.score(name, kind)) for kind in CHANGED[1:])
    yield str(sum(one.seen[name].verdict != "pass" for kind in ("repeat", "order")
                  for one in proof.of(kind) if name in one.seen))
    timings = proof.timings(name)
    yield from (f"{timings[phase]:.2f}" if phase in timings else "-" for phase in PHASES)
    yield f"{proof.budgets.get(name, 0):.0f}"


def _share(killed: int, counted: int) -> str:
    return f"{killed} of {counted}" + (f" ({100 * killed / counted:.0f} %)" if counted else "")


def _rows(results: Iterable[CaseResult]) -> list[dict[str, Any]]:
    return [{
        "id": one.id, "story": one.story, "said": one.said or one.equivalent,
        "good": one.holds and not (one.kind in CHANGED and not noticed(one) and not one.equivalent and not one.idle),
        "patch": one.patch,
        "seen": [(name, seen) for name, seen in one.seen.items() if seen.verdict != "pass" or len(one.seen) == 1],
    } for one in results]
