"""How a proof goes on when the machine is too busy: no verdict is no proof of anything, and the case comes once more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.catalog.labs import find_lab
from orchestrator.engines.base import EngineInfo
from orchestrator.judge.blame import MACHINE
from orchestrator.report.lab_proof import Proof, Seen
from orchestrator.verify import prover
from orchestrator.verify.case import Case, Observed
from orchestrator.verify.plan import Scope
from orchestrator.verify.solutions import read_solutions

BUSY = Seen("error", MACHINE, "", "this machine is too busy to judge whether your server starts")


class BusyAtFirst:
    """Stands at whose cases the machine was too busy ``times`` times; then each server is what its case says."""

    def __init__(self, times: int) -> None:
        self._times = times
        self.met: Counter[str] = Counter()

    @contextmanager
    def opened(self, _proving: object, _number: int) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(meet=self.meet)

    def meet(self, case: Case) -> tuple[Mapping[str, Seen], Observed | None]:
        self.met[case.id] += 1
        if self.met[case.id] <= self._times:
            return dict.fromkeys(case.milestones, BUSY), None
        rejected = {"wrong": Seen("fail", case.reason), "starter": Seen("fail", "x"), "junk": Seen("fail", "x")}
        return {one: rejected[case.kind] if case.kind in rejected and one in (case.milestone, *case.milestones[-1:])
                else Seen("pass", "") for one in case.milestones}, None


def proved(monkeypatch: pytest.MonkeyPatch, folder: Path, stands: BusyAtFirst) -> Proof:
    lab = find_lab("databases")
    monkeypatch.setattr(prover._Proving, "_stand", lambda proving, number: stands.opened(proving, number))
    engine = SimpleNamespace(info=lambda: EngineInfo("toy", "1", "", "toy"))
    monkeypatch.setattr(prover, "_base", lambda _order: "toy")
    order = prover.Order(lab, "", read_solutions(lab.folder / "solutions"),
                         Scope(("postgres/schema",), quick=True, repeats=0, seed=1),
                         engine, {}, None, folder, folder / "cache", jobs=1)  # type: ignore[arg-type]
    return prover.prove(order, lambda _progress: None)


def test_a_case_that_the_machine_was_too_busy_for_comes_once_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each is met twice, reported once, and holds."""
    stands = BusyAtFirst(1)
    proof = proved(monkeypatch, tmp_path, stands)

    assert {one.id: one.said for one in proof.results if not one.holds} == {}
    assert set(stands.met.values()) == {2}
    assert sorted(one.id for one in proof.results) == sorted(stands.met)


def test_a_machine_that_stays_too_busy_proves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Twice is enough: a proof ends, and says of each case that the machine could not judge it."""
    proof = proved(monkeypatch, tmp_path, BusyAtFirst(99))

    assert not proof.holds
    assert all(MACHINE in one.said for one in proof.results)
