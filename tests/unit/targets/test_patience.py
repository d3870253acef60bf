"""How long is waited: the budget in time in which the machine let the target work, and no longer than the bound."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from support.busy import busy_processor, needs
from support.target import Make, invalid, processes_of
from support.wait import until

from orchestrator.system import demand
from orchestrator.system.demand import Demand, demand_below, from_ps
from orchestrator.targets.looks import Tally
from orchestrator.targets.patience import LONGEST, Patience, Waiting, more_time
from orchestrator.workspace.budgets import Budget

BUDGET = Budget(20, 120, "start_budget")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="gives processes a processor of their own")


class Machine:
    """A clock, and a target that ``wants`` so many processors all the time and ``gets`` so much of them."""

    def __init__(self, wants: int, gets: float) -> None:
        self.now = 100.0
        self.wants = wants
        self.gets = gets
        self.used = 0.0
        self.wait = Waiting(BUDGET, clock=lambda: self.now, look=lambda _: Demand(self.wants, self.used), most=2)
        self.wait.follow(1)

    def go_on(self, seconds: float, *, every: float = 0.05) -> Patience:
        """Ask again and again; the last answer."""
        end = self.now + seconds
        answer = self.wait.ask()
        while self.now < end and answer is Patience.WAIT:
            self.now += every
            self.used += self.gets * every
            self.wait.note()
            answer = self.wait.ask()
        return answer


@pytest.mark.parametrize(("wants", "gets"), [(0, 0.0), (1, 1.0), (2, 2.0), (40, 2.0), (1, 1.3)])
def test_who_is_slow_on_a_free_machine_has_the_budget(wants: int, gets: float) -> None:
    """It sleeps, it works on one processor or on both, or with more threads than there are processors."""
    machine = Machine(wants, gets)

    assert machine.go_on(19.8) is Patience.WAIT
    assert machine.go_on(0.4) is Patience.SLOW
    assert machine.wait.within() == "within its start_budget of 20 s; the machine did not slow it down"


@pytest.mark.parametrize(("wants", "gets"), [(1, 0.5), (2, 1.0), (40, 1.0)])
def test_who_has_half_of_what_it_wants_has_twice_the_time(wants: int, gets: float) -> None:
    """However many threads it has."""
    machine = Machine(wants, gets)

    assert machine.go_on(39.0) is Patience.WAIT
    assert machine.go_on(2.0) is Patience.SLOW
    assert machine.wait.within() == ("within its start_budget of 20 s; it was given 40 s, because it waited 20 s for a "
                                     "processor or the disk")


def test_who_is_not_let_work_at_all_is_not_judged() -> None:
    """Nothing is known of it after five times its budget, so nothing is said against it."""
    machine = Machine(1, 0.05)

    assert machine.go_on(LONGEST * 20 - 1) is Patience.WAIT
    assert machine.go_on(2) is Patience.STARVED
    assert "too busy to judge whether it starts: in 100 s it waited 95 s" in machine.wait.starved("whether it starts")


def test_time_in_which_we_could_not_look_is_nobodys() -> None:
    """A laptop that slept, a `labs` that was stopped for a while: the target was, too."""
    machine = Machine(0, 0.0)
    machine.go_on(10)
    machine.now += 50

    assert machine.go_on(9) is Patience.WAIT
    assert machine.go_on(2) is Patience.SLOW
    assert round(machine.wait.lost) == 50


def test_time_that_was_not_looked_at_yet_does_not_count() -> None:
    """On a busy machine the looks are late, too."""
    machine = Machine(0, 0.0)
    assert machine.go_on(19.5) is Patience.WAIT
    machine.wants, machine.now = 1, machine.now + 0.9
    assert machine.wait.ask() is Patience.WAIT

    machine.wait.note()
    assert machine.wait.ask() is Patience.WAIT


def test_more_than_it_wanted_pays_nothing_back() -> None:
    """Looks come at any moment, so sums may be a little off."""
    tally = Tally(2)
    tally.add(0.5, 0, 0.4)

    assert tally.lost == 0


def test_the_next_step_stays_within_the_cap() -> None:
    assert more_time(BUDGET, "x") == "set start_budget = 40 in workspace.toml (at most 120), then labs check"
    assert more_time(Budget(100, 120, "start_budget"), "x").startswith("set start_budget = 120 in")
    assert more_time(Budget(120, 120, "start_budget"), "labs run") == "labs run"


def test_processes_below_are_seen_with_what_they_used() -> None:
    """A grandchild that works, one that has ended, and one that sleeps; ``ps`` says the same where it must."""
    code = ("import subprocess, sys, time\n"
            "subprocess.run([sys.executable, '-S', '-c', 'import time\\nwhile time.process_time() < 0.3: pass'])\n"
            "sleeping = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])\n"
            "working = subprocess.Popen([sys.executable, '-S', '-c', 'while True: pass'])\n"
            "print('there', flush=True)\ntime.sleep(60)")
    with subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            until(lambda: demand_below(process.pid).used > 0.5)
            until(lambda: demand_below(process.pid).wanting == 1)
            until(lambda: from_ps(process.pid).wanting == 1)
            assert from_ps(os.getpid()).used >= from_ps(process.pid).used
        finally:
            os.killpg(process.pid, 9)


def test_times_of_ps_are_read() -> None:
    """macOS has hundredths, Linux days."""
    assert [demand._seconds(text) for text in ("0:00.05", "12:34.50", "01:02:03", "1-00:00:01")] == [
        0.05, 754.5, 3723, 86_401]


# --- real servers ----------------------------------------------------------------------------------------------


@linux_only
def test_a_server_that_waits_for_a_busy_processor_is_given_more_time(make: Make) -> None:
    """A quarter of a second of work with a sixteenth of a processor takes longer than its budget of 1.5 s."""
    with busy_processor() as cpu:
        target = make(needs(0.25, cpu) + "serve()", budget=1.5)
        began = time.monotonic()
        target.start()

    assert time.monotonic() - began > 1.5
    assert target.alive()


@linux_only
def test_a_server_that_sleeps_on_a_busy_processor_is_not(make: Make, run_id: str) -> None:
    """Nobody kept it from working."""
    with busy_processor() as cpu:
        began = time.monotonic()
        error = invalid(make(needs(0, cpu) + "time.sleep(60)", budget=1.5, most=2.0))

    assert error.reason == "never-bound"
    assert "within its start_budget of 1.5 s" in error.message
    assert error.advice == "set start_budget = 2 in workspace.toml (at most 2), then labs check"
    assert time.monotonic() - began < 1.5 * LONGEST
    assert processes_of(run_id) == []


@linux_only
def test_a_server_that_the_machine_never_lets_start_is_not_blamed(make: Make, run_id: str) -> None:
    """It is ended in the end, and the machine is named."""
    with busy_processor() as cpu:
        error = invalid(make(needs(30, cpu), budget=1.0))

    assert (error.reason, error.ours) == ("machine-too-slow", True)
    assert "this machine is too busy to judge whether your server starts" in error.message
    assert processes_of(run_id) == []


@linux_only
def test_a_server_that_works_only_when_it_is_asked_is_not_taken_for_one_that_waits(make: Make) -> None:
    """Each of our looks at its health wakes it; it sleeps between them."""
    error = invalid(make("s = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\nwhile True:\n"
                         "    c, _ = s.accept()\n    try:\n        while True: c.sendall(b'garbage' * 1000)\n"
                         "    except OSError: pass", budget=2.0))

    assert error.reason == "never-bound"


def test_a_server_that_listens_elsewhere_needs_no_time(make: Make) -> None:
    """The next step is not to wait longer."""
    assert invalid(make("serve(port=0)", budget=1.5, most=60.0)).advice == ""
