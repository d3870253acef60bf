"""`make test`: every leg of the suite in order, each with its budget in seconds; a table at the end says what it took.

A leg that cannot run on this machine says why and is no failure; a leg that fails fails the run. Names of legs as
arguments run only those. Standard library only.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = str(ROOT / ".venv/bin/python")
CANNOT = 3
"""Exit status of a set-up script for: not on this machine."""


@dataclass(frozen=True)
class Leg:
    """``commands`` run in order until one fails. ``why_not`` gives a reason for not running it here, or nothing."""

    name: str
    budget: int
    commands: tuple[tuple[str, ...], ...]
    why_not: Callable[[], str] = lambda: ""


def pytest(*arguments: str) -> tuple[str, ...]:
    return (PYTHON, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", "--durations=8", *arguments)


def has_docker() -> str:
    """Why Docker legs cannot run here, if they cannot: sets an engine up where that is possible."""
    done = subprocess.run([str(ROOT / "scripts/engine-debian.sh")], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    if done.returncode == CANNOT:
        return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no Docker engine"
    raise SystemExit(f"scripts/engine-debian.sh failed ({done.returncode}):\n{done.stderr}")


def has_other_user() -> str:
    """The ordinary user's leg starts from root and needs an interpreter that anybody can run."""
    if os.geteuid() != 0:
        return "this run is an ordinary user's already: the embedded leg was it"
    if not Path("/usr/bin/python3").exists() or shutil.which("setpriv") is None:
        return "needs /usr/bin/python3 and setpriv"
    return ""


LEGS = (
    Leg("static", 60, (
        (PYTHON, "-m", "ruff", "check", "."),
        (PYTHON, "-m", "mypy"),
    )),
    Leg("unit", 120, (pytest("tests/unit"),)),
    Leg("package", 90, (pytest("tests/docs", "-n", "0"),)),
    Leg("services", 90, (pytest("tests/services", "tests/hostile", "-m", "not docker"),)),
    Leg("contract", 120, (pytest("tests/contract", "-m", "not docker"),)),
    Leg("embedded", 300, (pytest("tests/e2e", "--labs-engine", "embedded"),)),
    Leg("ordinary user", 90, ((PYTHON, "scripts/ordinary_user.py"),), has_other_user),
    Leg("docker contract", 120, (pytest("tests/contract", "tests/services", "-m", "docker"),), has_docker),
    Leg("docker", 270, (pytest("tests/e2e", "--labs-engine", "docker"),), has_docker),
    Leg("proof", 150, ((PYTHON, "scripts/quick_proofs.py"),)),
    Leg("servers", 90, (pytest("tests/labs"),)),
)


def processor() -> float:
    """Seconds of processor time that ended commands have used. What the Docker daemon does is not in it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(chosen: list[str]) -> int:
    """Run the legs; 0 if all that could run passed."""
    rows: list[tuple[str, str, float, float, int]] = []
    environment = {**os.environ, "NO_COLOR": "1"}
    for leg in LEGS:
        if chosen and leg.name not in chosen:
            continue
        began, busy = time.monotonic(), processor()
        reason = leg.why_not()
        if reason:
            rows.append((leg.name, f"cannot run here: {reason}", time.monotonic() - began, 0.0, leg.budget))
            continue
        result = "passed"
        for command in leg.commands:
            print(f"\n=== {leg.name}: {' '.join(command[1:])}", flush=True)
            if subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=False).returncode:
                result = "FAILED"
                break
        rows.append((leg.name, result, time.monotonic() - began, processor() - busy, leg.budget))
    print(f"\n{'leg':<16} {'seconds':>8} {'processor':>10} {'budget':>7}")
    for name, result, seconds, busy, budget in rows:
        over = "  (over its budget)" if seconds > budget else ""
        print(f"{name:<16} {seconds:>8.0f} {busy:>10.0f} {budget:>7}  {result}{over}")
    print(f"{'all':<16} {sum(row[2] for row in rows):>8.0f} {sum(row[3] for row in rows):>10.0f} "
          f"{sum(row[4] for row in rows):>7}")
    failed = sum(row[1] == "FAILED" for row in rows)
    print(f"\n{sum(row[1] == 'passed' for row in rows)} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    # Nothing of the person's own `labs` may leak into the tests.
    for name in [name for name in os.environ if name.startswith("LABS_")]:
        del os.environ[name]
    os.environ.setdefault("TMPDIR", tempfile.gettempdir())
    raise SystemExit(main(sys.argv[1:]))
