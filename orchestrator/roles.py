"""Roles: what any of several services can be for a server, as where its sales are kept. Pure.

The first service of a role is the usual one. Each other stands in for it in a track that is called as the service is,
whose milestones are judged only when somebody asks for them: no server must know each of them. Checks ask for the
evidence of the one that plays the role by the role's name; the server finds its address in the role's ``variable``.
"""

from __future__ import annotations

from orchestrator.model import Lab, Milestone


def players(lab: Lab, milestone: Milestone) -> dict[str, str]:
    """Role -> the service that plays it in a milestone: the first that it lists; the usual one, if it lists none."""
    return {role.name: next((one for one in role.services if one in milestone.services), role.services[0])
            for role in lab.roles}


def addresses(lab: Lab, milestone: Milestone) -> dict[str, str]:
    """Variable -> the service whose address a server finds in it while this milestone is judged."""
    playing = players(lab, milestone)
    return {role.variable: playing[role.name] for role in lab.roles}


def stand_ins(lab: Lab) -> frozenset[str]:
    """Services that play a role in the place of the usual one."""
    return frozenset(service for role in lab.roles for service in role.services[1:])
