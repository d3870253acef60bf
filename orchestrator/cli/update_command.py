"""``labs update``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.cli.command import argument, command, confirm, dry_run_option, yes_option
from orchestrator.cli.outcome import Outcome, say

if TYPE_CHECKING:
    from orchestrator.catalog.fetch import Fetched
    from orchestrator.catalog.sources import Added
    from orchestrator.model import Lab
    from orchestrator.system.home import Home


@command("update")
@argument("lab", required=False)
@dry_run_option
@yes_option
def cli(lab: str | None, dry_run: bool, yes: bool) -> Outcome:
    """Newer versions of added labs: says which milestones change, asks, then takes them.

    Without LAB: all that were added. What no longer is a valid lab is not taken.
    """
    from orchestrator.catalog.sources import changing, read_added
    from orchestrator.errors import UsageError, did_you_mean
    from orchestrator.system.home import find_home

    home = find_home()
    added = read_added(home)
    if lab is not None and lab not in added:
        raise UsageError(f"no lab {lab!r} was added{did_you_mean(lab, added)}", code="not-added", hint="labs list")
    if not added:
        return Outcome({"labs": []}, "no labs were added; those of labs itself are updated with labs")
    chosen = [added[lab]] if lab is not None else list(added.values())
    told: list[dict[str, Any]] = []
    with changing(home):
        for one in chosen:
            told.append(_update(home, one, dry_run=dry_run, yes=yes))
    return Outcome({"labs": told}, "\n".join(f"{one['lab']}: {one['said']}" for one in told))


def _update(home: Home, one: Added, *, dry_run: bool, yes: bool) -> dict[str, Any]:
    """One lab: fetch, compare, ask, take."""
    from orchestrator import services
    from orchestrator.catalog.fetch import fetch
    from orchestrator.catalog.manifest import read_lab
    from orchestrator.catalog.sources import folder_of, install, stage
    from orchestrator.errors import LabInvalid, Problem

    with tempfile.TemporaryDirectory(prefix="labs-update-") as scratch:
        fetched = fetch(one.source, Path(scratch))
    data = {"lab": one.lab, "from": one.commit, "to": fetched.commit}
    if fetched.commit == one.commit:
        return data | {"said": f"up to date, at {one.commit[:12]}"}
    labs = stage(home, fetched, services=services.names())
    if one.lab not in labs:
        raise LabInvalid(f"{one.source} has no lab {one.lab} any more; the one you have stays",
                         [Problem("lab.toml", None, f"found: {', '.join(labs)}")])
    old = read_lab(folder_of(home, one.commit, one.lab), services=services.names())
    changes = _say(one, fetched, old, labs[one.lab])
    if dry_run:
        return data | changes | {"said": f"{one.commit[:12]} -> {fetched.commit[:12]}, not taken (--dry-run)"}
    confirm(f"Take it for {one.lab}?", yes=yes)
    install(home, fetched, [one.lab])
    return data | changes | {"said": f"{one.commit[:12]} -> {fetched.commit[:12]}"}


def _say(one: Added, fetched: Fetched, old: Lab, new: Lab) -> dict[str, Any]:
    from orchestrator.catalog.sources import compare

    changes = compare(old, new)
    say(f"{one.lab}: {one.commit[:12]} -> {fetched.commit[:12]}, version {old.version} -> {new.version}")
    for word, names in (("new", changes.new), ("changed", changes.changed), ("gone", changes.gone)):
        for name in names:
            say(f"  {word:<8} {name}")
    return {"new": changes.new, "changed": changes.changed, "gone": changes.gone}
