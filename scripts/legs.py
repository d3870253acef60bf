"""`make test`: every leg of the suite, each with its budget in seconds; a table at the end says what it took.

Legs of several processes run one after the other; beside them, in a second lane, those that use one processor only.
A leg that cannot run on this machine says why and is no failure; a leg that fails fails the run. Names of legs as
arguments run only those. Standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]
PYTHON = str(ROOT / ".venv/bin/python")
CANNOT = 3
"""Exit status of a set-up script for: not on this machine."""


@dataclass(frozen=True)
class Leg:
    """``commands`` run in order until one fails. ``why_not`` gives a reason for not running it here, or nothing.

    ``alone``: it uses one processor at a time, so it runs beside the others.
    """

    name: str
    budget: int
    commands: tuple[tuple[str, ...], ...]
    why_not: Callable[[], str] = lambda: ""
    alone: bool = False


@dataclass(frozen=True)
class Row:
    """How a leg went. ``busy``: seconds of processor time; what the Docker daemon does is not in it."""

    leg: Leg
    result: str
    seconds: float
    busy: float


def pytest(*arguments: str, workers: int = 2) -> tuple[str, ...]:
    """``workers``: two compute; of tests that mostly wait, for processes, services and deadlines, four are as fast."""
    return (PYTHON, "-m", "pytest", "-q", "-n", str(workers), "--dist", "worksteal", "--durations=8", *arguments)


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
    ), alone=True),
    Leg("unit", 120, (pytest("tests/unit", workers=4),)),
    Leg("package", 90, (pytest("tests/docs", workers=0),), alone=True),
    Leg("services", 90, (pytest("tests/services", "tests/hostile", "-m", "not docker", workers=4),)),
    Leg("contract", 120, (pytest("tests/contract", "-m", "not docker"),)),
    Leg("embedded", 300, (pytest("tests/e2e", "--labs-engine", "embedded"),)),
    Leg("ordinary user", 90, ((PYTHON, "scripts/ordinary_user.py"),), has_other_user, alone=True),
    Leg("docker contract", 120, (pytest("tests/contract", "tests/services", "-m", "docker", workers=4),), has_docker),
    Leg("docker", 270, (pytest("tests/e2e", "--labs-engine", "docker"),), has_docker),
    Leg("proof", 150, ((PYTHON, "scripts/quick_proofs.py"),)),
    Leg("servers", 90, (pytest("tests/labs"),)),
)


def timed(command: tuple[str, ...], **options: Any) -> tuple[int, float]:
    """Run a command. Its exit status, and the seconds of processor time that it and what it waited for have used."""
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, **options) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, used.ru_utime + used.ru_stime


def run(leg: Leg, environment: dict[str, str], output: IO[str] | None) -> Row:
    """One leg, to its end. ``output``: where what it says goes; None: to where our own goes."""
    began, busy = time.monotonic(), 0.0
    reason = leg.why_not()
    if reason:
        return Row(leg, f"cannot run here: {reason}", time.monotonic() - began, busy)
    result = "passed"
    for command in leg.commands:
        print(f"\n=== {leg.name}: {' '.join(command[1:])}", file=output, flush=True)
        status, used = timed(command, env=environment, stdout=output, stderr=subprocess.STDOUT if output else None)
        busy += used
        if status:
            result = "FAILED"
            break
    return Row(leg, result, time.monotonic() - began, busy)


def beside(legs: list[Leg], environment: dict[str, str], rows: list[Row]) -> None:
    """The second lane: what a leg says is printed when it has ended."""
    for leg in legs:
        with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
            rows.append(run(leg, environment, output))
            output.seek(0)
            print(output.read(), end="", flush=True)


def main(chosen: list[str]) -> int:
    """Run the legs; 0 if all that could run passed."""
    legs = [leg for leg in LEGS if not chosen or leg.name in chosen]
    environment = {**os.environ, "NO_COLOR": "1"}
    rows: list[Row] = []
    began = time.monotonic()
    lane = threading.Thread(target=beside, args=([leg for leg in legs if leg.alone], environment, rows))
    lane.start()
    for leg in legs:
        if not leg.alone:
            rows.append(run(leg, environment, None))
    lane.join()
    print(f"\n{'leg':<16} {'seconds':>8} {'processor':>10} {'budget':>7}")
    for row in sorted(rows, key=lambda row: LEGS.index(row.leg)):
        over = "  (over its budget)" if row.seconds > row.leg.budget else ""
        print(f"{row.leg.name:<16} {row.seconds:>8.0f} {row.busy:>10.0f} {row.leg.budget:>7}  {row.result}{over}")
    print(f"{'all':<16} {time.monotonic() - began:>8.0f} {sum(row.busy for row in rows):>10.0f}")
    failed = sum(row.result == "FAILED" for row in rows)
    print(f"\n{sum(row.result == 'passed' for row in rows)} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    # Nothing of the person's own `labs` may leak into the tests.
    for name in [name for name in os.environ if name.startswith("LABS_")]:
        del os.environ[name]
    os.environ.setdefault("TMPDIR", tempfile.gettempdir())
    raise SystemExit(main(sys.argv[1:]))
