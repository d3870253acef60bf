"""Which reason ids the checks of a milestone can give, and whether a hint names one that none can.

Taken to be possible is every string in the milestone's check file and in the shared functions that its checks use,
every ``reason=f"..."`` whatever stands in its holes, and what the framework and the readers of the lab's services give
by themselves (``catalog.reasons``). So a reason that is only mentioned, not given, is not seen.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.catalog.manifest import Outline, OutlinedMilestone
from orchestrator.errors import did_you_mean
from orchestrator.lint.check_files import HOLE, CheckFile, CheckFiles, keyword, text_of
from orchestrator.lint.checks import EXPECT
from orchestrator.lint.finding import Finding

SHAPE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
PLACES = {"fail": 1, "true": 2, "equal": 3, "at_most": 3, "at_least": 3, "between": 4, "field": 3}
"""Where the functions of ``expect`` take the reason if it is not given by name."""


@dataclass(frozen=True)
class Given:
    """What a milestone's checks can give. ``said`` are the reasons that are plainly reasons, for did-you-mean.

    ``framework``: those that need no check to say them.
    """

    said: frozenset[str]
    strings: frozenset[str]
    patterns: tuple[re.Pattern[str], ...]
    framework: frozenset[str]

    def can(self, reason: str) -> bool:
        """Whether some check could give it."""
        return reason in self.strings or reason in self.framework or any(one.fullmatch(reason) for one in self.patterns)

    def near(self, reason: str) -> str:
        """``; did you mean X?`` or nothing."""
        return did_you_mean(reason, self.said | self.framework)


def given(check_files: CheckFiles, milestone: OutlinedMilestone, framework: frozenset[str]) -> Given | None:
    """For a milestone; ``None``: one of its check files cannot be read."""
    files = check_files.of(milestone)
    if not files or len(files) < len(milestone.check_files):
        return None
    said: set[str] = set()
    strings: set[str] = set()
    patterns: list[re.Pattern[str]] = []
    shared = [node for own, check in check_files.checks_of(milestone)
              for where, node in check_files.reach(own, check).parts if where is not own]
    for node in (one for root in (*(own.tree for own in files), *shared) for one in ast.walk(root)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            strings.add(node.value)
        elif isinstance(node, ast.Call):
            reason = keyword(node, "reason")
            text = text_of(reason, {}) if reason is not None else None
            if text is not None and HOLE in text:
                patterns.append(re.compile(".*".join(re.escape(part) for part in text.split(HOLE))))
            elif text is not None:
                said.add(text)
    return Given(frozenset(said), frozenset(strings), tuple(patterns), framework)


def findings(outline: Outline | None, check_files: CheckFiles, framework: frozenset[str]) -> Iterator[Finding]:
    """Reasons that are no ids, and hints that nobody will ever see."""
    for file in check_files.by_name.values():
        yield from _shapes(file)
    for milestone in outline.milestones if outline else ():
        possible = given(check_files, milestone, framework)
        for reason, line in milestone.hints:
            if possible is not None and not possible.can(reason):
                files = " and ".join(milestone.checks)
                yield Finding("lab.toml", line, "unknown-reason", f"a hint of {milestone.id} is for {reason}, which no "
                              f"check of {files} can give{possible.near(reason)}",
                              "name a reason of a check, or leave the reason out")


def _shapes(file: CheckFile) -> Iterator[Finding]:
    for node in ast.walk(file.tree):
        if not isinstance(node, ast.Call):
            continue
        function = file.dotted(node.func)
        place = PLACES.get(function.removeprefix(f"{EXPECT}.")) if function.startswith(f"{EXPECT}.") else None
        reason = keyword(node, "reason")
        if reason is None and place is not None and place < len(node.args):
            reason = node.args[place]
        text = text_of(reason, file.names_at(node)) if reason is not None else None
        if text is not None and not SHAPE.fullmatch(text.replace(HOLE, "x")):
            yield Finding(file.name, node.lineno, "bad-reason", f"the reason {text.replace(HOLE, '...')!r} is no id",
                          "use lower-case words with dashes, like not-stored")
