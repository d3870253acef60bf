"""A quarter of the machine: a control group in which ``labs check`` judges, to see that its verdicts stay."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestrator.errors import EnvironmentFault
from orchestrator.model import Lab
from orchestrator.report.json import from_data
from orchestrator.report.lab_proof import Seen
from orchestrator.system.interrupt import TICK, Cancel
from orchestrator.verify.stand import seen_of

SHARE = 0.25
PERIOD = 100_000
"""Microseconds in which the group gets its share."""
ROOT = Path("/sys/fs/cgroup")
GRACE = 30.0
"""Seconds for `labs check` to clean up: it has a quarter of the machine for that, too."""


def unavailable() -> str:
    """Why no part of this machine can be given away; ``""`` if it can."""
    if sys.platform != "linux":
        return "only Linux can limit the processor's time of some processes"
    try:
        with group():
            return ""
    except OSError as error:
        return f"no control group can be made here: {error.strerror or error}"


@contextlib.contextmanager
def group() -> Iterator[Path]:
    """A new group with a quarter of all processors; yields the file that takes processes. May raise ``OSError``."""
    name, quota = f"labs-verify-{secrets.token_hex(4)}", int(PERIOD * SHARE * (os.cpu_count() or 1))
    old = (ROOT / "cpu" / "cpu.cfs_quota_us").exists() or (ROOT / "cpu").is_dir()
    folder = ROOT / "cpu" / name if old else ROOT / name
    folder.mkdir()
    try:
        if old:
            (folder / "cpu.cfs_period_us").write_text(str(PERIOD))
            (folder / "cpu.cfs_quota_us").write_text(str(quota))
            yield folder / "tasks"
        else:
            (folder / "cpu.max").write_text(f"{quota} {PERIOD}")
            yield folder / "cgroup.procs"
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()


def judge_slowly(workspace: Path, lab: Lab, milestones: tuple[str, ...], *, engine: str,
                 environ: Mapping[str, str], cancel: Cancel) -> dict[str, Seen]:
    """What ``labs check`` says of each milestone on a quarter of the machine. ``workspace`` is built."""
    seen: dict[str, Seen] = {}
    base = {**environ, "LABS_PATH": str(lab.folder.parent), "LABS_ENGINE": engine, "CI": "true"}
    whole = milestones == tuple(one.id for one in lab.milestones)
    with group() as tasks:
        for asked in ("--all",) if whole else milestones:
            # The shell enters the group; all that it starts is in it.
            command = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(tasks), sys.executable, "-m", "orchestrator",
                       "check", asked, "--json"]
            said, trouble = _run(command, workspace, base, cancel)
            try:
                report = from_data(json.loads(said)["data"])
            except (ValueError, KeyError, TypeError) as error:
                raise EnvironmentFault("labs check gave no report on a quarter of the machine",
                                       details=trouble.splitlines()[-5:]) from error
            seen |= {one.id: seen_of(one) for one in report.milestones if one.id in milestones}
    return seen


def _run(command: list[str], folder: Path, environ: Mapping[str, str], cancel: Cancel) -> tuple[str, str]:
    """Standard output and error of a command; asked to end it, it is given the time to clean up."""
    with subprocess.Popen(command, cwd=folder, env=environ, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            while True:
                cancel.look()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return process.communicate(timeout=TICK)
        finally:
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.communicate(timeout=GRACE)
                process.kill()
