"""The part of a lab that can be proved on this machine. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from orchestrator.errors import EnvironmentFault
from orchestrator.model import Lab


def provable(lab: Lab, chosen: Sequence[str], missing: Mapping[str, str]) -> tuple[Lab, dict[str, str]]:
    """The lab without milestones whose services, or whose needs' services, are missing; and which, and why.

    ``missing``: service -> what is missing and what would help. Only chosen milestones are named;
    ``EnvironmentFault("no-service")`` where that is all of them.
    """
    out: dict[str, str] = {}
    while more := {one.id: why for one in lab.milestones if one.id not in out
                   and (why := next((missing[service] for service in one.services if service in missing), "")
                        or next((f"it needs {need}" for need in one.needs if need in out), ""))}:
        out |= more
    left_out = {one: out[one] for one in chosen if one in out}
    if left_out and len(left_out) == len(chosen):
        why = next(iter(left_out.values()))
        raise EnvironmentFault(f"nothing of this can be proved here: {why}", code="no-service")
    return dataclasses.replace(lab, milestones=tuple(one for one in lab.milestones if one.id not in out)), left_out
