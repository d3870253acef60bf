"""The learner's history in ``.labs/`` of the workspace: what passed, last report, hints that were seen; never a proof.

``progress.json`` has ``passed`` (milestone id -> content key for which it passed last, hash of the checks that it
passed) and ``runs``, oldest first.
``report.json`` is the last report as ``report/json.py`` writes it, ``trace.json`` the time lines of its milestones as
``report/timeline.py`` has them, ``hints.json`` the hints that were shown. All move with the folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.checks.shared_code import common_files
from orchestrator.errors import EnvironmentFault
from orchestrator.model import Lab, Verdict
from orchestrator.report.json import from_data, to_data
from orchestrator.report.result import BLAMED, Report
from orchestrator.report.timeline import Timeline
from orchestrator.report.timeline import from_data as timeline_of
from orchestrator.report.timeline import to_data as timeline_data
from orchestrator.system.files import make_folder, read_json, unwritable, write_json, write_whole

RUNS_KEPT = 200


@dataclass(frozen=True, slots=True)
class Pass:
    """When a milestone passed last (RFC 3339 UTC), and the key of the content for which it did; ``""``: no more."""

    content: str
    at: str


def read_passes(folder: Path, lab: Lab | None = None) -> dict[str, Pass]:
    """Milestone id -> its last pass. A lost or torn file is an empty history.

    With the ``lab``: no content where its checks are others now than those that were passed.
    """
    passed = _dictionary(_dictionary(read_json(_path(folder))).get("passed"))
    return {key: Pass("" if _outdated(lab, key, entry) else str(entry.get("content", "")), str(entry.get("at", "")))
            for key, entry in passed.items() if isinstance(entry, dict)}


def read_progress(folder: Path, lab: Lab | None = None) -> dict[str, str]:
    """Milestone id -> content key for which it passed last, as in ``read_passes``."""
    return {key: one.content for key, one in read_passes(folder, lab).items()}


def read_passed(folder: Path, lab: Lab | None = None) -> frozenset[str]:
    """Milestones that passed the last time they were judged: those that failed again since are not among them, nor,
    with the ``lab``, those whose checks have become others."""
    return frozenset(name for name, content in read_progress(folder, lab).items() if content)


def _outdated(lab: Lab | None, milestone: str, entry: Mapping[str, Any]) -> bool:
    # What was passed before this was noted down is believed.
    return lab is not None and "checks" in entry and entry["checks"] != _checks_key(lab, milestone)


def _checks_key(lab: Lab, milestone: str) -> str:
    """One hash of what decides a milestone: its checks, what all checks share, the contracts. ``""``: not there."""
    own = next((one.checks for one in lab.milestones if one.id == milestone), None)
    if own is None:
        return ""
    digest = hashlib.blake2b(digest_size=12)
    for path in (*own, *common_files(lab.folder)):
        content = path.read_bytes() if path.is_file() else b""
        digest.update(b"%d\0%s" % (len(content), content))
    return digest.hexdigest()


def read_runs(folder: Path) -> list[dict[str, Any]]:
    """How runs ended, oldest first: ``at`` (RFC 3339 UTC), ``seed``, ``seconds``, ``verdicts`` by milestone id."""
    runs = _dictionary(read_json(_path(folder))).get("runs")
    return [run for run in runs if isinstance(run, dict)] if isinstance(runs, list) else []


def read_report(folder: Path) -> Report | None:
    """The last report of this workspace; ``None`` if there is none that can be read."""
    try:
        return from_data(read_json(folder / ".labs" / "report.json"))
    except ValueError:
        return None


def record_progress(folder: Path, report: Report, content: str, lab: Lab | None = None) -> bool:
    """Note what passed and forget what no longer does; ``False`` if the folder cannot be written.

    An attached run changes neither: what runs need not be what is in the folder.
    """
    old = _dictionary(read_json(_path(folder)))
    passed: dict[str, Mapping[str, str]] = dict(_dictionary(old.get("passed")))
    judged = [milestone for milestone in report.milestones if milestone.role != "later"]
    for milestone in [] if report.attached else judged:
        if milestone.verdict is Verdict.PASS:
            passed[milestone.id] = {"content": content, "at": datetime.now(UTC).isoformat(timespec="seconds"),
                                    **({"checks": _checks_key(lab, milestone.id)} if lab is not None else {})}
        elif milestone.verdict in BLAMED and milestone.id in passed:
            # It stays in the regression set: once passed, it is judged again each time. Only its content is stale.
            passed[milestone.id] = {**passed[milestone.id], "content": ""}
    run = {"at": report.started_at, "seed": report.seed, "seconds": round(report.seconds, 1),
           "verdicts": {milestone.id: str(milestone.verdict) for milestone in judged}}
    value = {"v": 1, "lab": report.lab, "passed": passed, "runs": [*read_runs(folder), run][-RUNS_KEPT:]}
    try:
        remember(folder, _path(folder).name, value)
        remember(folder, "report.json", to_data(report))
    except EnvironmentFault:
        return False
    return True


def remember(folder: Path, name: str, value: Any) -> None:
    """Write one file of ``.labs/``. Raises ``EnvironmentFault``.

    What is in there is of this machine and grows, so git leaves it out, unless the learner's own file says otherwise.
    """
    ignore = make_folder(folder / ".labs") / ".gitignore"
    try:
        if not os.path.lexists(ignore):
            write_whole(ignore, b"*\n", mode=0o644)
    except OSError as error:
        raise unwritable(ignore, error) from error
    write_json(folder / ".labs" / name, value)


def record_timelines(folder: Path, timelines: Iterable[Timeline]) -> None:
    """Keep the time lines of the last run, by milestone; those of milestones that it did not judge go."""
    # Where nothing can be written the caller has said so already.
    with contextlib.suppress(EnvironmentFault):
        remember(folder, "trace.json", {"v": 1, "milestones": [timeline_data(one) for one in timelines]})


def add_timelines(folder: Path, timelines: Iterable[Timeline]) -> None:
    """Keep these beside those of the last run, in place of what it had of the same milestones."""
    record_timelines(folder, (read_timelines(folder) | {one.milestone: one for one in timelines}).values())


def read_timelines(folder: Path) -> dict[str, Timeline]:
    """Milestone id -> its time line in the last run, in the order of the run; empty if there are none."""
    stored = _dictionary(read_json(folder / ".labs" / "trace.json")).get("milestones")
    found: dict[str, Timeline] = {}
    for data in stored if isinstance(stored, list) else []:
        with contextlib.suppress(ValueError):
            timeline = timeline_of(data)
            found[timeline.milestone] = timeline
    return found


def read_hints(folder: Path) -> dict[str, list[str]]:
    """Milestone id -> texts of hints that were shown. A lost or torn file is an empty memory."""
    shown = _dictionary(_dictionary(read_json(folder / ".labs" / "hints.json")).get("shown"))
    return {name: [text for text in texts if isinstance(text, str)] for name, texts in shown.items()
            if isinstance(texts, list)}


def record_hint(folder: Path, milestone: str, text: str) -> None:
    """This hint was shown. In a folder that cannot be written it will come again, which is no harm."""
    shown = read_hints(folder)
    with contextlib.suppress(EnvironmentFault):
        remember(folder, "hints.json", {"v": 1, "shown": {**shown, milestone: [*shown.get(milestone, []), text]}})


def _dictionary(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _path(folder: Path) -> Path:
    return folder / ".labs" / "progress.json"
