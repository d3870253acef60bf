"""A lab's proof for people at a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.report.lab_promises import summary
from orchestrator.report.lab_proof import CHANGED, KINDS, RIGHT, CaseResult, Kind, Proof
from orchestrator.report.terminal import Paint, plain
from orchestrator.system.text import escape

TITLES = {
    "accepted": "right servers", "front": "behind the front", "starter": "starters", "junk": "junk servers",
    "wrong": "wrong servers", "mutant": "harmful changes", "fault": "faults in the source",
    "edit": "edits of the source",
    "variant": "harmless changes", "repeat": "other values", "order": "another order",
    "slow": "a quarter of the machine", "outage": "outages",
}
MOST_LINES = 60


def render(proof: Proof, paint: Paint = plain) -> str:
    """What was tried and held, per kind and per milestone; then everything that did not, and what was not tried."""
    word = paint("holds", "green") if proof.holds else paint("DOES NOT HOLD", "red")
    kind = "quick proof" if proof.quick else "proof"
    lines = [f"{kind} of {proof.lab} {proof.lab_version}: {word}   {proof.seconds:.0f} s, seed {proof.seed}",
             " · ".join(part for part in (_products(proof), proof.engine) if part), ""]
    lines += [f"  {TITLES[name]:<24} {one_kind(proof, name)}" for name in KINDS if proof.of(name)]
    if proof.promises:
        lines.append(f"  {'promises':<24} {summary(proof.promises)}")
    lines += ["", *table(proof), *list(_bad(proof, paint))]
    return "\n".join(escape(line) for line in lines)


def _products(proof: Proof) -> str:
    """What ran; nothing does for a lab without services, or where all was proved before."""
    before = bool(proof.results) and all(one.kept for one in proof.results)
    return ", ".join(proof.products.values()) or ("everything was proved before" if before else "")


def one_kind(proof: Proof, kind: Kind) -> str:
    """What came of a kind, in a few words."""
    results = [one for one in proof.results if one.kind == kind]
    held = sum(one.holds for one in results)
    if kind in CHANGED:
        noticed, counted = proof.score(kind=kind)
        idle = sum(one.idle for one in results)
        equivalents = sum(bool(one.equivalent) for one in results)
        share = f" ({100 * noticed / counted:.0f} %)" if counted else ""
        rest = f"; {equivalents} that nobody can notice" if equivalents else ""
        broken = f"; {len(results) - held} broke a check" if held < len(results) else ""
        never = f"; {idle} never took effect" if idle else ""
        return f"{noticed} of {counted} noticed{share}{rest}{never}{broken}"
    if kind == "repeat":
        verdicts = sum(len(one.seen) for one in results)
        return f"{verdicts} verdicts in {len(results)} more runs, {proof.flips()} flipped"
    said = "pass" if kind in RIGHT else "as they must be"
    blind = f"; written from the brief alone: {', '.join(proof.from_brief) or 'none'}" if kind == "accepted" else ""
    return f"{held} of {len(results)} {said}{blind}"


def table(proof: Proof) -> list[str]:
    """A line for each milestone."""
    lines = [f"  {'milestone':<24} {'wrong':>7} {'changes noticed':>18} {'no effect':>9} {'faults':>7} "
             f"{'seconds':>9} {'budget':>7}"]
    for name in proof.milestones:
        wrong = proof.of("wrong", name)
        noticed, counted = proof.score(name)
        share = f"{noticed}/{counted} {100 * noticed / counted:>4.0f} %" if counted else "-"
        caught, faults = proof.score(name, "fault")
        seconds = proof.timings(name).get("checks")
        lines.append(f"  {name:<24} {f'{sum(one.holds for one in wrong)}/{len(wrong)}':>7} {share:>18} "
                     f"{proof.idle(name) or '-':>9} {f'{caught}/{faults}' if faults else '-':>7} "
                     f"{f'{seconds:.1f}' if seconds is not None else '-':>9} {proof.budgets.get(name, 0):>7.0f}")
    return lines


def line(result: CaseResult) -> str:
    """One result that does not hold."""
    return f"{result.id}: {result.said}"


def _bad(proof: Proof, paint: Paint) -> Iterator[str]:
    groups: tuple[tuple[str, str, list[str]], ...] = (
        ("not as it must be", "red", [line(one) for one in proof.results if not one.holds]),
        ("harmful changes that no check noticed", "yellow",
         [f"{one.milestone:<24} {one.story}" for one in proof.survivors()]),
        ("promises that no check names", "red", [f"{one.name}: {one.text} ({one.place})" for one in proof.promises
                                                 if not one.checks]),
        ("promises whose wrong solution was not caught", "red",
         [f"{one.name}: {other}" for one in proof.promises for other in one.broken if other.caught is False]),
        ("faults and edits in the source that no check noticed", "yellow",
         [f"{one.milestone:<24} {one.id}: {one.story}" for kind in ("fault", "edit") for one in proof.survivors(kind)]),
        ("checks that go by luck (a right server passes one time and not another)", "red", list(proof.flipped())),
        ("not tried here", "yellow", [f"{name}: {why}" for name, why in proof.not_run.items()]),
    )
    for title, colour, texts in groups:
        if texts:
            yield from ("", paint(f"{title}:", colour), *(f"  {text}" for text in texts[:MOST_LINES]))
            if len(texts) > MOST_LINES:
                yield f"  and {len(texts) - MOST_LINES} more: labs verify ... --report DIR"
