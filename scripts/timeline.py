"""Where the time of one warm `labs check` goes: ``docs/timeline.md``, measured anew.

Looks at all threads of the command every 5 ms, from its first line on. Linux only; needs the engines that it is asked
for (both by itself). Standard library only.
"""

from __future__ import annotations

import collections
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parents[1]
LOOK = 0.005
SLOT = 0.050
BEGAN = "TIMELINE_BEGAN"
FILE = "TIMELINE_FILE"
HEAD = """# Where the time of one `labs check` goes

`labs check postgres/n-plus-one --only` with the accepted Python server, the third time: its services run on from the
second. Written by `make timeline`; each line is what a thread was at most often in these milliseconds (the file and
function of `orchestrator/`, and what is imported there). The checks themselves run in a process of their own.
"""
Sample = tuple[float, str, frozenset[str]]
"""Seconds since the command began, what the main thread is at, what the others are at."""


def main() -> None:
    """Judge one milestone twice, the second time watched, on each engine."""
    parts = []
    for engine in sys.argv[1:] or ("embedded", "docker"):
        with tempfile.TemporaryDirectory() as folder:
            workspace = Path(folder) / "server"
            shutil.copytree(ROOT / "labs/databases/solutions/accepted/python", workspace)
            check = ["check", "postgres/n-plus-one", "--only", "--engine", engine, "--workspace", str(workspace)]
            environment = {**os.environ, "LABS_HOME": str(Path(folder) / "home"), "PYTHONPATH": str(ROOT)}
            environment.pop("CI", None)
            try:
                for _ in range(2):
                    subprocess.run([sys.executable, "-m", "orchestrator", *check], env=environment, check=True)
                file = Path(folder) / "samples"
                began = time.monotonic()
                subprocess.run([sys.executable, __file__, "--watched", *check], check=True,
                               env={**environment, BEGAN: str(began), FILE: str(file)})
                seconds = time.monotonic() - began
                parts.append(f"## {engine}, {seconds:.2f} s\n\n{file.read_text(encoding='utf-8')}{judged(workspace)}")
            finally:
                subprocess.run([sys.executable, "-m", "orchestrator", "stop", "--engine", engine], env=environment,
                               check=False)
    (ROOT / "docs/timeline.md").write_text("\n".join([HEAD, *parts]), encoding="utf-8")


def watched() -> None:
    """The command itself, in this process."""
    samples: list[Sample] = []
    began, me = float(os.environ[BEGAN]), threading.get_ident()
    first = time.monotonic() - began
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK):
            found = {ident: place(frame) for ident, frame in sys._current_frames().items()
                     if ident != threading.get_ident()}
            samples.append((time.monotonic() - began, found.pop(me, ""), frozenset(found.values()) - {""}))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    sys.argv = ["labs", *sys.argv[2:]]
    try:
        from orchestrator.cli.main import main as labs

        labs()
    finally:
        over.set()
        watcher.join()
        Path(os.environ[FILE]).write_text("\n".join(rows(first, samples)) + "\n", encoding="utf-8")


def place(frame: FrameType | None) -> str:
    """The innermost function of ours that a thread is in, or the module that is imported there; else nothing."""
    importing = ""
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if frame.f_code.co_name == "<module>" and not importing and name != "__main__":
            importing = name
        if name.startswith("orchestrator.") and frame.f_code.co_name != "<module>":
            here = f"`{name.removeprefix('orchestrator.').replace('.', '/')}.py` {frame.f_code.co_name}"
            return f"{here}: imports {importing.split('.')[0]}" if importing else here
        frame = frame.f_back
    return f"imports {importing}" if importing else ""


def rows(first: float, samples: list[Sample]) -> Iterator[str]:
    """A table with a line for each 50 ms, those that say the same together: what each thread was at most often."""
    yield f"| ms | main thread | beside it |\n|---|---|---|\n| 0 to {first * 1000:.0f} | Python starts | |"
    slots: dict[int, list[Sample]] = collections.defaultdict(list)
    for sample in samples:
        slots[int(sample[0] / SLOT)].append(sample)
    said = [(slot, most(sample[1] or "Python itself" for sample in found),
             most(what for sample in found for what in sample[2])) for slot, found in sorted(slots.items())]
    for (mine, beside), group in itertools.groupby(said, key=lambda one: one[1:]):
        numbers = [slot for slot, *_ in group]
        yield f"| {numbers[0] * SLOT * 1000:.0f} to {(numbers[-1] + 1) * SLOT * 1000:.0f} | {mine} | {beside} |"


def most(words: Iterable[str]) -> str:
    """What was seen most often, or nothing."""
    return next((word for word, _ in collections.Counter(words).most_common(1)), "")


def judged(workspace: Path) -> str:
    """What the supervisor and the checks' own process say of the same run."""
    report = json.loads((workspace / ".labs/report.json").read_text(encoding="utf-8"))
    (milestone,) = (one for one in report["milestones"] if one["role"] == "asked")
    phases = ", ".join(f"{name} {seconds * 1000:.0f}" for name, seconds in milestone["phases"].items())
    checks = ", ".join(f"`{one['id'].rsplit('/', 1)[1]}` {one['seconds'] * 1000:.0f}" for one in milestone["checks"])
    return f"\nMilliseconds of the attempt: {phases}. Of its checks: {checks}.\n"


if __name__ == "__main__":
    watched() if sys.argv[1:2] == ["--watched"] else main()
