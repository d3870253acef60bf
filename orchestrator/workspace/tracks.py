"""The part of a lab that a server is for: the tracks that its ``workspace.toml`` names, with what these need. Pure."""

from __future__ import annotations

import dataclasses

from orchestrator.errors import Problem, did_you_mean
from orchestrator.model import Lab, Workspace
from orchestrator.roles import stand_ins
from orchestrator.workspace.workspace_toml import FILE, invalid, line_of


def own_part(lab: Lab, workspace: Workspace) -> Lab:
    """The lab without the milestones of other tracks.

    A workspace that names none is for all but those of services that stand in for another: no server must know each of
    them. What a milestone needs stays, whichever track it is of. ``WorkspaceInvalid`` for a track that the lab has not.
    """
    own = workspace.tracks or tuple(track.id for track in lab.tracks if track.id not in stand_ins(lab))
    known = [track.id for track in lab.tracks]
    strange = [one for one in workspace.tracks if one not in known]
    if strange:
        line = line_of(workspace.folder, "tracks")
        raise invalid([Problem(FILE, line, f"{lab.name} has no track {one!r}{did_you_mean(one, known)}")
                       for one in strange])
    wanted: set[str] = set()
    waiting = [one.id for one in lab.milestones if one.track in own]
    while waiting:
        if (milestone := waiting.pop()) not in wanted:
            wanted.add(milestone)
            waiting += lab.milestone(milestone).needs
    milestones = tuple(one for one in lab.milestones if one.id in wanted)
    tracks = tuple(track for track in lab.tracks if any(one.track == track.id for one in milestones))
    return dataclasses.replace(lab, milestones=milestones, tracks=tracks)
