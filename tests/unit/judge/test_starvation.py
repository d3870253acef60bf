"""Whether the machine let a server work, asked about the last seconds."""

from __future__ import annotations

import pytest

from orchestrator.judge.starvation import Starvation
from orchestrator.system.demand import Demand


class Machine:
    """Two processors, on which a server wants some and gets some."""

    def __init__(self) -> None:
        self.now, self.used, self.wants, self.root = 0.0, 0.0, 0, 7
        self.starvation = Starvation(lambda: self.root, clock=lambda: self.now,
                                     look=lambda _: Demand(self.wants, self.used), most=2)
        self.starvation.note()

    def go_on(self, seconds: float, *, wants: int, gets: float) -> None:
        """So it is for some time."""
        self.wants = wants
        for _ in range(round(seconds / 0.2)):
            self.now += 0.2
            self.used += gets * 0.2
            self.starvation.note()


@pytest.mark.parametrize(("wants", "gets", "lost"), [(0, 0.0, 0.0), (1, 1.0, 0.0), (9, 2.0, 0.0), (1, 0.25, 3.75), (8, 0.5, 3.75)])
def test_what_a_server_wanted_and_did_not_get(wants: int, gets: float, lost: float) -> None:
    """Who sleeps wants nothing; who has every processor lacks none, however many threads wait."""
    machine = Machine()
    machine.go_on(5, wants=wants, gets=gets)

    assert machine.starvation.lost(5) == pytest.approx(lost)


def test_only_the_last_seconds_count() -> None:
    """A busy minute before does not excuse a late answer now."""
    machine = Machine()
    machine.go_on(20, wants=1, gets=0.1)
    machine.go_on(5, wants=1, gets=1.0)

    assert machine.starvation.lost(5) == pytest.approx(0.0, abs=0.2)
    assert machine.starvation.total() == pytest.approx(18.0, abs=0.5)


def test_a_server_that_is_started_again_is_another_one() -> None:
    """What the first one had used is none of the second one's; while there is none, nothing is wanted."""
    machine = Machine()
    machine.go_on(3, wants=1, gets=1.0)
    machine.root = 0
    machine.go_on(1, wants=9, gets=0.0)
    machine.root, machine.used = 8, 0.0
    machine.go_on(1, wants=1, gets=1.0)

    assert machine.starvation.lost(5) == pytest.approx(0.0, abs=0.25)
