"""A lab's proof as one page."""

from __future__ import annotations

from orchestrator.report.lab_proof import KINDS, CaseResult, Proof, Seen, noticed
from orchestrator.report.lab_proof_terminal import TITLES, one_kind
from orchestrator.report.page import page, text

STYLE = """
table{border-collapse:collapse;width:100%;display:block;overflow-x:auto}th,td{text-align:left;padding:.25rem .6rem;
border-top:1px solid var(--edge);vertical-align:top}th{color:var(--soft);font-weight:500}.n{text-align:right}
details{border:1px solid var(--edge);border-radius:8px;background:var(--card);margin:.5rem 0;padding:.4rem .8rem}
summary{cursor:pointer}
"""


def render(proof: Proof) -> str:
    """What was tried and came of it, survivors and rejections with what was seen, timings, versions."""
    word = "<span class=good>holds</span>" if proof.holds else "<span class=bad>does not hold</span>"
    facts = (f"{proof.lab} {proof.lab_version} {proof.lab_commit[:12]}", f"content {proof.content[:16]}",
             f"labs {proof.labs_version}", ", ".join(proof.products.values()), proof.engine, proof.started_at,
             f"{proof.seconds:.0f} s", f"seed {proof.seed}", "a quick proof: samples only" if proof.quick else "")
    parts = [
        f"<h1>{text(proof.lab)}: the proof of its checks {word}</h1>",
        f"<p class=soft>{text(' · '.join(fact for fact in facts if fact))}</p>",
        "<table>" + "".join(f"<tr><th>{text(TITLES[kind])}</th><td>{text(one_kind(proof, kind))}</td>"
                            f"<td class=soft>{text(meaning)}</td></tr>"
                            for kind, meaning in KINDS.items() if proof.of(kind)) + "</table>",
        "<h2>Milestones</h2>", _milestones(proof),
    ]
    bad = [one for one in proof.results if not one.holds]
    parts += _list("Not as it must be", bad, opened=True)
    parts += _list("Harmful changes that no check noticed", list(proof.survivors()), opened=True)
    parts += _list("Harmful changes that nobody can notice", [one for one in proof.of("mutant") if one.equivalent])
    if proof.not_run:
        parts += ["<h2>Not tried here</h2><ul>", *(f"<li>{text(name)}: {text(why)}</li>"
                                                   for name, why in proof.not_run.items()), "</ul>"]
    parts.append("<h2>Everything that was tried</h2>")
    for kind in KINDS:
        results = proof.of(kind)
        if results:
            rows = "".join(_row(one) for one in results)
            parts.append(f"<details><summary>{text(TITLES[kind])}: {len(results)}</summary><table>{rows}</table>"
                         "</details>")
    return page(f"labs: the proof of {proof.lab}", "\n".join(parts), style=STYLE)


def _milestones(proof: Proof) -> str:
    phases = ("space", "start", "checks", "end")
    head = ("milestone", "wrong servers", "changes noticed", "flips", *(f"{name} s" for name in phases), "budget s")
    rows = []
    for name in proof.milestones:
        wrong = proof.of("wrong", name)
        killed, counted = proof.score(name)
        flips = sum(one.seen[name].verdict != "pass" for one in proof.of("repeat") if name in one.seen)
        timings = proof.timings(name)
        cells = (f"{sum(one.holds for one in wrong)} of {len(wrong)}",
                 f"{killed} of {counted}" + (f" ({100 * killed / counted:.0f} %)" if counted else ""), str(flips),
                 *(f"{timings[phase]:.2f}" if phase in timings else "-" for phase in phases),
                 f"{proof.budgets.get(name, 0):.0f}")
        rows.append(f"<tr><td><code>{text(name)}</code></td>"
                    + "".join(f"<td class=n>{text(cell)}</td>" for cell in cells) + "</tr>")
    return "<table><tr>" + "".join(f"<th>{text(one)}</th>" for one in head) + "</tr>" + "".join(rows) + "</table>"


def _list(title: str, results: list[CaseResult], *, opened: bool = False) -> list[str]:
    if not results:
        return []
    rows = "".join(_row(one) for one in results)
    return [f"<h2>{text(title)}</h2><details{' open' if opened else ''}><summary>{len(results)}</summary>"
            f"<table>{rows}</table></details>"]


def _row(result: CaseResult) -> str:
    good = result.holds and not (result.kind == "mutant" and not noticed(result) and not result.equivalent)
    said = result.said or result.equivalent
    seen = "<br>".join(f"<code>{text(name)}</code> {_seen(one)}" for name, one in result.seen.items()
                       if one.verdict != "pass" or len(result.seen) == 1)
    return (f"<tr><td class={'good' if good else 'bad'}>{'as it must be' if good else 'NOT'}</td>"
            f"<td>{text(result.id)}<br><span class=soft>{text(result.story)}</span></td>"
            f"<td>{seen}{f'<br><b>{text(said)}</b>' if said else ''}</td></tr>")


def _seen(seen: Seen) -> str:
    if not seen.check:
        return text(f"{seen.verdict} {seen.reason}")
    return (f"{text(seen.verdict)} <b>{text(seen.reason)}</b> <span class=soft>{text(seen.check)}</span><br>"
            f"{text(seen.what)}: expected {text(seen.expected)}, seen {text(seen.got)}")
