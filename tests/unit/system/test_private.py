"""What other programs of the same user may read of a process."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASK = """
import ctypes
from orchestrator.system.private import keep_memory_private
ask = lambda: ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
before = ask()
keep_memory_private()
print(before, ask())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a property of processes on Linux")
def test_memory_is_private_from_then_on() -> None:
    """``PR_GET_DUMPABLE`` says so."""
    said = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True, timeout=30)
    assert said.stdout.split() == ["1", "0"]
