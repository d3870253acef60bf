"""Whether everything that binds a server has a name, and whether checks and wrong solutions name what is there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from orchestrator.catalog.manifest import Outline
from orchestrator.catalog.promises import ID, KEY, OPENAPI, STORAGE, Promises, promises_in
from orchestrator.checks.promised import MARK
from orchestrator.errors import did_you_mean
from orchestrator.lint.check_files import CheckFile, CheckFiles, Function
from orchestrator.lint.finding import Finding, read_text
from orchestrator.verify.solutions import promises_of

SHOWN = 90


def findings(lab: Path, outline: Outline | None, check_files: CheckFiles) -> Iterator[Finding]:
    """Nothing in a lab that names no promise and whose checks name none."""
    briefs = sorted({one.brief for one in outline.milestones if one.brief}) if outline else []
    # What cannot be read promises nothing here: its own rule says so.
    promises = promises_in({name: text for name in (OPENAPI, STORAGE, *briefs)
                            if isinstance(text := read_text(lab, name), str)})
    yield from _contract(promises)
    names = [one.name for one in promises.named]
    for file in check_files.by_name.values():
        for check in file.checks.values():
            yield from _check(file, check, names)
    for path in sorted((lab / "solutions" / "wrong").glob("*.patch")):
        place = path.relative_to(lab).as_posix()
        text = read_text(lab, place)
        for name in promises_of(text) if isinstance(text, str) else ():
            if name not in names:
                yield _unknown(place, 1, f"breaks {name!r}", name, names)


def _contract(promises: Promises) -> Iterator[Finding]:
    said: dict[str, str] = {}
    for one in promises.bare:
        fix = (f"give it {KEY}: NAME, or {KEY}: \"#NAME\" if that is said elsewhere" if one.kind == "node" else
               'end it with <a id="NAME"></a>, or <a href="#NAME"></a> if that is said elsewhere')
        yield Finding(one.file, one.line, "unnamed-promise", f"binds a server and has no name: {one.text[:SHOWN]}", fix)
    for one in promises.named:
        if not ID.fullmatch(one.name):
            yield Finding(one.file, one.line, "bad-promise", f"the promise {one.name!r} is no id",
                          "use lower-case words with dashes, like seat-sold-once")
        if one.name in said:
            yield Finding(one.file, one.line, "promise-twice", f"{one.name} is there twice ({said[one.name]})",
                          "give it another name, or point to the first with #")
        said.setdefault(one.name, str(one))
    for one in promises.cited:
        if one.name not in said:
            yield _unknown(one.file, one.line, f"points to {one.name!r}", one.name, list(said))


def _check(file: CheckFile, check: Function, names: list[str]) -> Iterator[Finding]:
    marks = [one for one in check.decorator_list if file.dotted(one.func if isinstance(one, ast.Call) else one) == MARK]
    for mark in marks:
        given = mark.args if isinstance(mark, ast.Call) else []
        if not given or not all(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in given):
            yield Finding(file.name, mark.lineno, "bad-promise", f"{check.name} names its promises in a way that "
                          "only a run knows", 'write them out: @promises("NAME", "NAME")')
        for one in given:
            if isinstance(one, ast.Constant) and isinstance(one.value, str) and one.value not in names:
                yield _unknown(file.name, one.lineno, f"{check.name} judges {one.value!r}", one.value, names)
    if names and not marks:
        yield Finding(file.name, check.lineno, "judges-nothing", f"{check.name} does not say which promises it judges",
                      'begin it with @promises("NAME", ...)')


def _unknown(file: str, line: int, what: str, name: str, names: list[str]) -> Finding:
    return Finding(file, line, "unknown-promise", f"{what}, which no sentence promises{did_you_mean(name, names)}",
                   "name a promise of openapi.yaml, storage.md or a brief")
