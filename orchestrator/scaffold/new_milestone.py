"""A new milestone of a lab that is there: a table at the end of ``lab.toml``, a brief and a check to fill in. Pure."""

from __future__ import annotations

import re

from orchestrator.errors import UsageError
from orchestrator.model import Lab

ID = re.compile(r"[a-z][a-z0-9-]*/[a-z][a-z0-9-]*")

BRIEF = """# TITLE

In two or three sentences: what the learner's product cannot do yet, and who minds.

## Build

- What the server has to do, in terms of `openapi.yaml` and `storage.md`.

## See it work

    curl -i http://127.0.0.1:8080/...

## What the check looks at

- One line for each check: what is done, and where it is looked.

## Read more

- The page of the service's manual that explains it.
"""

CHECK = '''"""{id}: what this milestone is about, in one sentence.

Until it is written this check breaks (verdict `error`), so that nobody passes a milestone that judges nothing.
"""

from orchestrator.checks import expect


def test_{step}(server, fresh, evidence):
    """What a right server does, as its learner reads it."""
    answer = server.get(f"/{{fresh.token()}}")
    expect.status(answer, 404, reason="unknown-code")
    raise NotImplementedError("write this check: act by `server`, look by the service's reader, judge by `expect`")
'''


def additions(lab: Lab, milestone: str, text: str) -> tuple[str, dict[str, str]]:
    """The new text of ``lab.toml``, which begins with the old one, and the new files. ``UsageError``."""
    if not ID.fullmatch(milestone):
        raise UsageError(f"a milestone cannot be named {milestone!r}: TRACK/STEP, lower-case letters, digits, dashes",
                         code="milestone-name", hint=f"labs new milestone {lab.name} {lab.tracks[0].id}/next-step")
    if any(one.id == milestone for one in lab.milestones):
        raise UsageError(f"{lab.name} has the milestone {milestone} already", code="milestone-exists",
                         hint=f"labs info {lab.name}")
    track, step = milestone.split("/")
    name = milestone.replace("/", "-")
    same = [one for one in lab.milestones if one.track == track]
    services = same[-1].services if same else tuple(need.name for need in lab.services)
    checks, brief = f"checks/test_{name.replace('-', '_')}.py", f"briefs/{name}.md"
    lines = [] if any(one.id == track for one in lab.tracks) else [
        f"[tracks.{track}]", f'title = "{track}"', 'summary = "One sentence for learners."', ""]
    lines += ["[[milestones]]", f'id = "{milestone}"', 'title = "The goal in one sentence"']
    lines += [f'needs = ["{same[-1].id}"]'] if same else []
    lines += [f"services = [{', '.join(f'{one!r}' for one in services)}]".replace("'", '"')]
    lines += [f'checks = "{checks}"', f'brief = "{brief}"', "budget = 60",
              'hints = [', '  { text = "A nudge, for any failure." },', "]", ""]
    new = text + ("" if text.endswith("\n") else "\n") + "\n" + "\n".join(lines)
    return new, {brief: BRIEF.replace("TITLE", "The goal in one sentence"),
                 checks: CHECK.format(id=milestone, step=step.replace("-", "_"))}
