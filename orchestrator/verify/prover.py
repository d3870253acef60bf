"""The proof of a lab, carried out: every case at a stand, several stands side by side, nothing tried twice."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from orchestrator import __version__, services
from orchestrator.checks.routes import read_openapi, templates_of
from orchestrator.checks.shared_code import shared_code
from orchestrator.engines.base import Engine
from orchestrator.judge.blame import MACHINE
from orchestrator.judge.venue import Venue
from orchestrator.model import Lab, Owner
from orchestrator.report.lab_proof import AGAIN, CHANGED, CaseResult, Proof, Seen
from orchestrator.services.base import Recipe
from orchestrator.services.places import files_of
from orchestrator.system.files import make_folder
from orchestrator.system.interrupt import TICK, Cancel, Cancelled
from orchestrator.system.together import Together
from orchestrator.targets.build import build
from orchestrator.verify import plan, slow
from orchestrator.verify.case import Case, Observed, judged
from orchestrator.verify.depends import judging_code
from orchestrator.verify.memory import Memory, hash_of
from orchestrator.verify.mutants import changes
from orchestrator.verify.plan import Scope
from orchestrator.verify.solutions import Solutions
from orchestrator.verify.stand import Stand, copy_accepted
from orchestrator.workspace.budgets import build_budget
from orchestrator.workspace.workspace_toml import read_workspace

END_BUDGET = 40.0
"""Seconds in which a stand that is to end must have ended."""
SLOW = "slow"
MUTANT_WEIGHT = 0.7
"""Of a milestone's full time: the first check that notices ends it."""


@dataclass(frozen=True, slots=True)
class ProofProgress:
    """How far a proof is. ``left``: seconds, as far as that can be told."""

    done: int
    planned: int
    left: float
    last: CaseResult


@dataclass(frozen=True, slots=True)
class Order:
    """What to prove, and with what. ``folder`` is scratch that the caller removes; ``owner``'s lease is held."""

    lab: Lab
    lab_commit: str
    solutions: Solutions
    scope: Scope
    engine: Engine
    recipes: Mapping[str, Recipe]
    owner: Owner
    folder: Path
    cache: Path
    jobs: int
    again: bool = False
    """Prove also what was proved before."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Milestone -> why it cannot be proved on this machine; ``lab`` and ``scope`` are without them."""


def prove(order: Order, on_progress: Callable[[ProofProgress], None]) -> Proof:
    """Carry it out. ``KeyboardInterrupt`` ends it, and all that it started."""
    began, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    proving = _Proving(order, on_progress)
    proving.run()
    info = order.engine.info()
    return Proof(
        lab=order.lab.name, lab_version=order.lab.version, lab_commit=order.lab_commit, labs_version=__version__,
        content=hash_of([order.lab.folder]), quick=order.scope.quick, seed=order.scope.seed, started_at=started_at,
        seconds=time.monotonic() - began, engine=f"{info.name} {info.version}", products=proving.products,
        milestones=order.scope.chosen, results=tuple(proving.results), not_run=proving.not_run,
        budgets={one.id: one.budget for one in order.lab.milestones if one.id in order.scope.chosen},
        from_brief=tuple(sorted(order.solutions.from_brief)),
    )


class _Proving:
    """The queue of cases, the stands' threads, and what came of it. ``_news`` guards all of it."""

    def __init__(self, order: Order, on_progress: Callable[[ProofProgress], None]) -> None:
        self._order = order
        self._on_progress = on_progress
        lab, solutions, scope = order.lab, order.solutions, order.scope
        self._memory = Memory(order.cache / "proofs" / f"{lab.name}.json", lab=lab, solutions=solutions,
                              base=_base(order))
        self._templates = templates_of(read_openapi(lab.folder))
        self._news = threading.Condition()
        self._stopped = False
        self._stands: list[Stand] = []
        self._slow_cancel = Cancel()
        self._fault: BaseException | None = None
        self._under_way = 0
        self._observed: dict[str, Observed] = {}
        self._too_slow: set[str] = set()
        """Cases that this machine was too busy for; each is tried once more."""
        starters = [one.name for one in sorted((lab.folder / "starter").glob("*")) if (one / "workspace.toml").is_file()
                    and one.name != "other"]
        observing = plan.observing(lab, solutions, scope)
        self._to_observe = len(observing)
        first = plan.first_cases(lab, solutions, scope, starters if not scope.quick else starters[:1])
        self.not_run: dict[str, str] = dict(order.left_out)
        self._slow: Case | None = None
        if not scope.quick:
            why = slow.unavailable()
            if why:
                self.not_run[SLOW] = why
            else:
                own = solutions.shares(lab, scope.chosen)
                self._slow = Case("slow", "slow", *next(iter(own.items()), (solutions.main, scope.chosen)))
        # What takes long comes early, so that at the end no stand waits for another.
        first.sort(key=lambda case: -len(case.milestones))
        self._queue = collections.deque([*observing, *first])
        self.results: list[CaseResult] = []
        self.products: dict[str, str] = {}
        self._worked = 0.0
        self._weight = 0.0

    def run(self) -> None:
        """All cases, to their end; the first fault that is not a verdict ends it."""
        stands: list[Callable[[], None]] = [partial(self._work, number) for number in range(self._order.jobs)]
        if self._slow is not None:
            # Beside the stands: it leaves most of the machine to them.
            stands.append(partial(self._work_slowly, self._slow))
        working = Together(lambda work: work(), stands)
        try:
            working.start()
            working.wait()
        finally:
            with self._news:
                self._stop()
            working.settle(END_BUDGET)
            self._memory.save()
        if self._fault is not None:
            raise self._fault

    # --- a stand's thread ----------------------------------------------------------------------------------------

    def _work(self, number: int) -> None:
        with self._ending_all(), self._stand(number) as stand:
            while (case := self._next()) is not None:
                equivalent = plan.equivalent(case, self._order.solutions.equivalents)
                if equivalent:
                    self._note(case, CaseResult(case.id, case.kind, case.milestone, _story(case), {},
                                                equivalent=equivalent, patch=_patch(case)))
                    continue
                found = None if self._order.again else self._memory.find(case)
                seen, observed, seconds = found or self._meet(stand, case)
                self._done(case, seen, observed, seconds, kept=found is not None)

    @contextlib.contextmanager
    def _ending_all(self) -> Iterator[None]:
        """Around the work of one thread: what goes wrong in it is the whole proof's end."""
        try:
            yield
        except Cancelled:
            pass
        except BaseException as error:
            with self._news:
                self._fault = self._fault or error
                self._stop()

    @contextlib.contextmanager
    def _stand(self, number: int) -> Iterator[Stand]:
        order = self._order
        folder = make_folder(order.folder / f"stand-{number}")
        owner = dataclasses.replace(order.owner, environment=f"{order.owner.environment}-{number}")
        with Venue(order.lab, engine=order.engine, recipes=order.recipes, owner=owner,
                   folder=make_folder(folder / "venue")) as venue:
            stand = Stand(venue, solutions=order.solutions, folder=folder, cache=order.cache,
                          templates=self._templates, seed=order.scope.seed)
            with self._news:
                self._stands.append(stand)
            yield stand
            with self._news:
                self.products |= {name: str(product) for name, product in venue.products.items()}

    def _meet(self, stand: Stand, case: Case) -> tuple[Mapping[str, Seen], Observed | None, float]:
        began = time.monotonic()
        seen, observed = stand.meet(case)
        return seen, observed, time.monotonic() - began

    def _work_slowly(self, case: Case) -> None:
        """The one case that needs no stand, to its end."""
        with self._news:
            self._under_way += 1
        with self._ending_all():
            kept = None if self._order.again else self._memory.find(case)
            self._done(case, *(kept or self._judge_slowly(case)), kept=kept is not None)

    def _judge_slowly(self, case: Case) -> tuple[Mapping[str, Seen], None, float]:
        order, began = self._order, time.monotonic()
        workspace = read_workspace(copy_accepted(order.solutions, case.server, make_folder(order.folder / SLOW)))
        build(workspace, budget=build_budget(order.lab, workspace), cache=order.cache, cancel=self._slow_cancel)
        seen = slow.judge_slowly(workspace.folder, order.lab, case.milestones, engine=order.engine.info().name,
                                 environ=os.environ, cancel=self._slow_cancel)
        return seen, None, time.monotonic() - began

    # --- the queue -----------------------------------------------------------------------------------------------

    def _next(self) -> Case | None:
        """The next case, when there is one; ``None`` when there will be none."""
        with self._news:
            while not self._stopped:
                if self._queue:
                    self._under_way += 1
                    return self._queue.popleft()
                if not self._under_way:
                    return None
                self._news.wait(TICK)
        return None

    def _stop(self) -> None:
        """No further case; what is under way ends."""
        self._stopped = True
        for cancel in (self._slow_cancel, *(stand.cancel for stand in self._stands)):
            cancel.ask()
        self._news.notify_all()

    def _done(self, case: Case, seen: Mapping[str, Seen], observed: Observed | None, seconds: float, *,
              kept: bool) -> None:
        """What came of a case, what follows from it, and whether it is worth remembering."""
        if self._postponed(case, seen):
            return
        missing = next((one.what for one in seen.values() if one.reason == "toolchain-missing"), "")
        said = judged(case, seen)
        with self._news:
            if not said and not missing and not kept:
                self._memory.keep(case, seen, observed, seconds)
            if not kept and case.kind != SLOW:
                self._worked, self._weight = self._worked + seconds, self._weight + weight(case)
            self._follow(case, seen, observed, rejected=bool(said))
        self._note(case, CaseResult(case.id, case.kind, case.milestone, _story(case), seen, said, "", seconds, kept,
                                    _patch(case)),
                   missing)

    def _postponed(self, case: Case, seen: Mapping[str, Seen]) -> bool:
        """Whether the machine was too busy to judge the case: nothing is said of its server, and it comes once more."""
        with self._news:
            if case.kind == SLOW or case.id in self._too_slow or all(one.reason != MACHINE for one in seen.values()):
                return False
            self._too_slow.add(case.id)
            self._queue.append(case)
            self._under_way -= 1
            self._news.notify_all()
        return True

    def _note(self, case: Case, result: CaseResult, missing: str = "") -> None:
        """Write it down and say how far we are."""
        with self._news:
            self._under_way -= 1
            if missing:
                self.not_run[case.id] = missing
            else:
                self.results.append(result)
            left = self._worked / (self._weight or 1) * sum(map(weight, self._queue)) / self._order.jobs
            done = len(self.results) + len(self.not_run)
            self._news.notify_all()
            self._on_progress(ProofProgress(done, len(self._queue) + self._under_way, left, result))

    def _follow(self, case: Case, seen: Mapping[str, Seen], observed: Observed | None, *, rejected: bool) -> None:
        """Cases that are known only now: mutants of what was observed, the one variant of a group that is minded."""
        if case.kind == "front" and not case.id.startswith(AGAIN):
            self._to_observe -= 1
            if observed is not None:
                self._observed[case.milestone] = observed
            if not self._to_observe:
                order = self._order
                observed_ones = plan.observed_milestones(order.lab, order.solutions, order.scope)
                seen_by = {one: self._observed[one] for one in observed_ones if one in self._observed}
                found = changes(seen_by, possible(seen_by))
                self._queue.extend(plan.mutant_cases(order.lab, order.solutions, order.scope, found, seen_by))
        if not rejected and case.id.startswith(AGAIN):
            self._call_it_luck(case.id.removeprefix(AGAIN))
        elif rejected and case.kind in ("variant", "order", "front") and not case.id.startswith(AGAIN):
            bad = [name for name, one in seen.items() if one.verdict != "pass"]
            self._queue.append(plan.again(case, bad))
        elif case.kind == "variant" and rejected and len(case.variants) > 1:
            self._queue.extend(plan.alone(case, [name for name, one in seen.items() if one.verdict != "pass"]))

    def _call_it_luck(self, name: str) -> None:
        """A case that was rejected passed when it was tried again: what it changes is not to blame."""
        self.results = [dataclasses.replace(one, said=f"a flip: it passed when it was tried again; {one.said}")
                        if one.id == name else one for one in self.results]


def _story(case: Case) -> str:
    return case.story or (case.change.id if case.change else "")


def _patch(case: Case) -> str:
    """What a reader needs to look at a survivor."""
    return case.patch if case.kind in CHANGED else ""


def weight(case: Case) -> float:
    """How long a case takes beside others, as far as that can be told before."""
    return MUTANT_WEIGHT if case.kind in CHANGED else len(case.milestones)


def possible(observed: Mapping[str, Observed]) -> dict[str, Callable[[Sequence[str]], list[str]]]:
    """Service -> what can be spoilt in it; nothing for a service that nobody has written it for."""
    found: dict[str, Callable[[Sequence[str]], list[str]]] = {}
    for service in {name for one in observed.values() for name in one.records}:
        sabotage = services.part(service, "sabotage")
        found[service] = (lambda _: []) if sabotage is None else sabotage.possible
    return found


def _base(order: Order) -> str:
    """What any verdict may depend on beside the case itself: our code, the engine, the lab's shared files."""
    lab = order.lab
    contract = lab.folder / "openapi.yaml"
    # pytest reads a conftest in every folder down to a file of checks, wherever the lab has those.
    checks = sorted({*shared_code(lab.folder), *lab.folder.rglob("conftest.py")})
    own = services.own_recipes(lab.services)
    recipes = {**order.recipes, **own}
    used = [recipes[need.name] for need in lab.services if need.name in recipes]
    offers = sorted(order.engine.offer(recipe).expected for recipe in used)
    shared = hash_of([*judging_code(), lab.folder / "lab.toml", *([contract] if contract.exists() else []), *checks,
                      *(lab.folder / recipe.compose for recipe in own.values()),
                      *(path for recipe in used for path in files_of(recipe))])
    return " ".join([shared, order.engine.info().name, order.engine.info().version, *offers])
