"""Which servers a lab's checks must meet: the plan of a proof. Pure."""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator import services
from orchestrator.model import Lab
from orchestrator.report.lab_proof import AGAIN, CHANGED
from orchestrator.verify.case import Case, Observed, answer_of
from orchestrator.verify.changes import VARIANTS, WAYS, Change
from orchestrator.verify.edits import as_patch, drawn
from orchestrator.verify.junk import KINDS
from orchestrator.verify.solutions import DEFAULT, Equivalent, Solutions

PLAIN_JUNK = ("ok", "created", "echo", "error")
"""Junk that every milestone meets; the other kinds meet one milestone of each track."""
NEVER_READY = ("silent", "closes", "random", "endless", "slow", "huge-header")
"""Junk that is met a second time with a ``/health`` as bad as the rest."""
GROUPS = ((*VARIANTS, "chunked"), ("close", "charset"), ("slow",))
"""Harmless changes that are tried together; those of a group that is rejected are then tried ``alone``."""
QUICK_MUTANTS = 1
QUICK_JUNK = 6
HIDDEN = frozenset({".venv", "__pycache__", ".labs", "node_modules"})


@dataclass(frozen=True, slots=True)
class Scope:
    """How much is proved. ``chosen``: ids of the milestones that it is about."""

    chosen: tuple[str, ...]
    quick: bool
    repeats: int
    seed: int
    edits: int = 0
    """How many edits of the Python solution are drawn."""
    every_check: bool = False
    """Whether changes of answers meet also the checks that never get such an answer."""


def first_cases(lab: Lab, solutions: Solutions, scope: Scope, starters: Sequence[str]) -> list[Case]:
    """What is known before any server was seen: all but mutants."""
    chosen = scope.chosen
    # In a quick proof the servers behind the front stand for those without one, and for the harmless changes.
    cases = [Case(f"accepted {name}", "accepted", name, own) for name in solutions.accepted
             if not scope.quick and (own := _of(solutions, lab, name, chosen))]
    cases += [Case(f"starter {name}", "starter", name, chosen[:1]) for name in starters]
    cases += [Case("starter that ends at once", "starter", "", chosen[:1])]
    cases += _junk(lab, scope)
    cases += _faults(lab, solutions, scope)
    cases += _wrong(lab, solutions, scope)
    if scope.quick:
        return cases
    cases += [Case(f"variant {one.name}", "variant", one.on, _of(solutions, lab, one.on, chosen), patch=one.text,
                   story=one.story) for one in solutions.variants]
    cases += [Case(f"variant {' + '.join(group)}{_beside(number, server)}", "variant", server, share, variants=group)
              for group in GROUPS
              for number, (server, share) in enumerate(solutions.shares(lab, chosen, quick=True).items())]
    mains = solutions.shares(lab, chosen)
    cases += [Case(f"order {time}{_beside(number, server)}", "order", server, share, seed=scope.seed,
                   variants=("shuffled",))
              for time in range(1, 1 + min(scope.repeats, 1)) for number, (server, share) in enumerate(mains.items())]
    cases += [Case(f"repeat {time}{_beside(number, server)}", "repeat", server, share, seed=scope.seed + time)
              for time in range(1, 1 + scope.repeats) for number, (server, share) in enumerate(mains.items())]
    cases += _edits(lab, solutions, scope)
    return cases + _outages(lab, solutions, scope)


def _beside(number: int, server: str) -> str:
    """What tells the case of another server from that of the first."""
    return f" on {server}" if number else ""


def _of(solutions: Solutions, lab: Lab, server: str, chosen: Sequence[str]) -> tuple[str, ...]:
    """The chosen milestones that an accepted solution is for."""
    own = solutions.judged(lab, server)
    return tuple(one for one in chosen if one in own)


def observed_milestones(lab: Lab, solutions: Solutions, scope: Scope) -> tuple[str, ...]:
    """Whose answers are looked at: the chosen milestones' and those of all that their servers are for.

    So a milestone alone is charged for the same changes as beside those. In a quick proof: the chosen ones' only. What
    these need comes with them.
    """
    wanted = set(scope.chosen)
    if not scope.quick:
        serving = _serving(lab, solutions, [one.id for one in lab.milestones])
        servers = {serving.get(one) for one in scope.chosen}
        wanted |= {one for one, server in serving.items() if server in servers}
    waiting = list(wanted)
    while waiting:
        more = set(lab.milestone(waiting.pop()).needs) - wanted
        wanted |= more
        waiting += more
    return tuple(one.id for one in lab.milestones if one.id in wanted)


def _serving(lab: Lab, solutions: Solutions, milestones: Sequence[str]) -> dict[str, str]:
    """Milestone -> the accepted solution that is changed for it."""
    return {one: server for server, share in solutions.shares(lab, milestones, quick=True).items() for one in share}


def again(case: Case, rejected: Sequence[str]) -> Case:
    """The same server, values and order once more, at the milestones that rejected it: was it luck?"""
    return replace(case, id=f"{AGAIN}{case.id}", milestones=tuple(rejected))


def observing(lab: Lab, solutions: Solutions, scope: Scope) -> list[Case]:
    """The accepted server behind a front that looks, a milestone at a time; in a quick proof with harmless changes."""
    variants = GROUPS[0] if scope.quick else ()
    observed = observed_milestones(lab, solutions, scope)
    serving = _serving(lab, solutions, observed)
    return [Case(f"front {one}", "front", serving[one], (one,), milestone=one, variants=variants)
            for one in observed if one in serving]


def mutant_cases(
    lab: Lab, solutions: Solutions, scope: Scope, found: Mapping[Change, tuple[str, ...]],
    observed: Mapping[str, Observed],
) -> list[Case]:
    """A case for each change; in a quick proof some of each milestone, others for each seed.

    It meets the milestones that its server is for: another server may give the same answer elsewhere.
    """
    cases: dict[str, list[Case]] = {}
    serving = _serving(lab, solutions, tuple(observed))
    for change, seen_by in found.items():
        if seen_by[0] not in scope.chosen:
            continue
        server = serving[seen_by[0]]
        milestones = tuple(one for one in seen_by if serving[one] == server)
        case = Case(f"mutant {change.id}", "mutant", server, milestones, milestone=milestones[0],
                    change=change, all_checks=False,
                    checks={} if scope.every_check else _noticing(change, milestones, observed))
        cases.setdefault(milestones[0], []).append(case)
    if scope.quick:
        cases = {name: sorted(some, key=lambda case: _lot(scope.seed, case.id))[:QUICK_MUTANTS]
                 for name, some in cases.items()}
    return [case for some in cases.values() for case in some]


def _noticing(
    change: Change, milestones: Sequence[str], observed: Mapping[str, Observed]
) -> dict[str, tuple[str, ...]]:
    """Of each milestone the checks that get the answer which is changed: no other one can notice.

    All of a milestone's where that is not known, and for what is spoilt in a service, which has no answer.
    """
    answer = answer_of(change.route, change.status)
    return {one: observed[one].asked[answer] for one in milestones if answer in observed[one].asked}


def equivalent(case: Case, known: Sequence[Equivalent]) -> str:
    """The lab's reason why no check can notice this change; ``""`` if it gives none."""
    words = case.change.id if case.change else case.id if case.kind in CHANGED else ""
    if not words:
        return ""
    return next((one.reason for one in known
                 if fnmatch.fnmatchcase(case.milestone, one.milestone) and _like(words, one.mutant)), "")


def _like(text: str, pattern: str) -> bool:
    # Brackets are part of a field's path, here and there.
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))


def _lot(seed: int, text: str) -> bytes:
    return hashlib.sha256(f"{seed} {text}".encode()).digest()


def _junk(lab: Lab, scope: Scope) -> list[Case]:
    by_track: dict[str, list[str]] = {}
    for one in scope.chosen:
        by_track.setdefault(lab.milestone(one).track, []).append(one)
    cases = []
    for number, (kind, (story, _)) in enumerate(KINDS.items()):
        met = scope.chosen if kind in PLAIN_JUNK and not scope.quick else [
            some[(number + scope.seed) % len(some)] for some in by_track.values()]
        cases += [Case(f"junk {kind} {one}", "junk", kind, (one,), milestone=one, story=story,
                       variants=("healthy",), all_checks=kind in PLAIN_JUNK) for one in met]
    cases += [Case(f"junk {kind} without health", "junk", kind, scope.chosen[:1], milestone=scope.chosen[0],
                   story=KINDS[kind][0]) for kind in NEVER_READY]
    if scope.quick:
        cases = sorted(cases, key=lambda case: _lot(scope.seed, case.id))[:QUICK_JUNK]
    return cases


def _edits(lab: Lab, solutions: Solutions, scope: Scope) -> list[Case]:
    """Edits of the Python solution, at all its milestones: nobody knows beforehand which of them is about one."""
    own = _of(solutions, lab, DEFAULT, scope.chosen) if DEFAULT in solutions.accepted and scope.edits else ()
    if not own:
        return []
    folder = solutions.folder / "accepted" / DEFAULT
    texts = {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
             for path in sorted(folder.rglob("*.py")) if not HIDDEN & set(path.relative_to(folder).parts)}
    return [Case(f"edit {one.file}:{one.line} {one.what}", "edit", DEFAULT, own,
                 milestone=own[0], patch=as_patch(one, texts[one.file]),
                 story=f"{one.file}:{one.line} {one.what}", all_checks=False)
            for one in drawn(texts, scope.seed, scope.edits)]


def _faults(lab: Lab, solutions: Solutions, scope: Scope) -> list[Case]:
    """Each fault of a chosen milestone; if it is not noticed there, its server's others are asked, in the lab's order.

    None in a quick proof: whether nine of ten are noticed cannot be told from a handful of other ones for each seed.
    """
    if scope.quick:
        return []
    return [Case(f"fault {one.name}", "fault", one.on,
                 (one.milestone, *(other for other in _of(solutions, lab, one.on, scope.chosen)
                                   if other != one.milestone)),
                 milestone=one.milestone, patch=one.text, story=one.story, all_checks=False)
            for one in solutions.faults if one.milestone in scope.chosen]


def _wrong(lab: Lab, solutions: Solutions, scope: Scope) -> list[Case]:
    cases = []
    for one in solutions.wrong:
        if one.milestone in scope.chosen:
            needs = () if scope.quick else lab.milestone(one.milestone).needs
            cases.append(Case(f"wrong {one.name}", "wrong", one.on, (*needs, one.milestone), milestone=one.milestone,
                              reason=one.reason, patch=one.text, story=one.story))
    if scope.quick:
        # One of each milestone, another for each seed.
        drawn = sorted(cases, key=lambda case: _lot(scope.seed, case.id))
        cases = list({case.milestone: case for case in drawn}.values())
    return cases


def alone(case: Case, rejected: Sequence[str]) -> list[Case]:
    """The variants of a rejected group one by one, at the milestones that rejected it."""
    return [Case(f"variant {one}", "variant", case.server, tuple(rejected), variants=(one,),
                 story=VARIANTS[one][0] if one in VARIANTS else WAYS[one]) for one in case.variants]


def _outages(lab: Lab, solutions: Solutions, scope: Scope) -> list[Case]:
    """Each service ends once while a milestone that uses it is judged, and once before. A file does not end."""
    cases = []
    for need in lab.services:
        if not need.own and not services.recipe(need.name).port:
            continue
        users = [one for one in scope.chosen if need.name in lab.milestone(one).services]
        for moment in ("during", "before") if users else ():
            one = users[scope.seed % len(users)]
            server = next(iter(solutions.shares(lab, (one,))), solutions.main)
            cases.append(Case(f"outage of {need.name} {moment} {one}", "outage", server, (one,),
                              milestone=one, service=need.name, variants=(moment,)))
    return cases
