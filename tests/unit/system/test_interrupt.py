"""The first signal always interrupts, also one that comes where Python lets no exception out; a second one does not."""

from __future__ import annotations

import subprocess
import sys

import pytest

IN_A_FINALIZER = """
class Dying:
    def __del__(self):
        signal.raise_signal(number)
Dying()
"""
IN_A_CALLBACK = """
import weakref
class Dying: pass
one = Dying()
watched = weakref.ref(one, lambda _: signal.raise_signal(number))
del one
"""
OUTSIDE = "signal.raise_signal(number)"

PROGRAM = """
import signal, time
from orchestrator.system.interrupt import interrupt_once

number = signal.{name}
signal.signal(number, signal.SIG_DFL)  # a shell that runs the tests in the background ignores SIGINT for all of them
interrupt_once()
try:
    exec({moment!r})
    time.sleep(10)
    print("never interrupted")
except KeyboardInterrupt:
    signal.raise_signal(number)
    time.sleep(0.2)  # longer than a tick: a second one would come now
    print("interrupted once")
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("moment", [OUTSIDE, IN_A_FINALIZER, IN_A_CALLBACK], ids=["outside", "finalizer", "callback"])
def test_the_first_signal_interrupts_wherever_it_comes(name: str, moment: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(name=name, moment=moment)],
                          capture_output=True, text=True, check=False, timeout=30)

    assert (done.stdout, done.stderr) == ("interrupted once\n", "")


def test_other_exceptions_that_are_lost_are_told_as_ever() -> None:
    program = "from orchestrator.system.interrupt import interrupt_once\ninterrupt_once()\n" \
              "class Dying:\n    def __del__(self):\n        raise ValueError('lost')\nDying()"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30)

    assert "ValueError: lost" in done.stderr
