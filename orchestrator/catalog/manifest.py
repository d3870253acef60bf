"""``lab.toml`` -> ``Lab``: every problem at once, with file and line. pydantic is used here and nowhere else."""

from __future__ import annotations

import graphlib
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import LabInvalid, Problem, did_you_mean
from orchestrator.model import Hint, Lab, Milestone, Role, ServerContract, ServiceNeed, Track

if TYPE_CHECKING:
    from orchestrator.catalog.manifest_schema import LabFile
    from orchestrator.services.own import OwnService

FILE_LIMIT = 1024 * 1024
"""Bytes: a larger ``lab.toml`` is a mistake."""


Where = list[str | int]
"""A place in the file: keys and positions in lists."""


@dataclass(frozen=True, slots=True)
class OutlinedMilestone:
    """What a ``[[milestones]]`` says, as far as it has the right type; ``""`` and ``()`` for what has not.

    ``index`` is its place in the list, ``line`` where it begins; ``hints`` are the reasons of its hints, with lines.
    """

    index: int
    line: int | None
    id: str
    needs: tuple[str, ...]
    services: tuple[str, ...]
    checks: tuple[str, ...]
    brief: str
    hints: tuple[tuple[str, int | None], ...]
    level: str = ""

    @property
    def check_files(self) -> tuple[str, ...]:
        """``checks`` as files of the lab are named elsewhere: ``./a//b.py`` is ``a/b.py``."""
        return tuple(Path(one).as_posix() for one in self.checks)


@dataclass(frozen=True, slots=True)
class Outline:
    """What can be read of a ``lab.toml``, however wrong the rest of it is."""

    services: tuple[str, ...]
    tracks: tuple[str, ...]
    milestones: tuple[OutlinedMilestone, ...]
    own_services: tuple[str, ...] = ()
    """Those of ``services`` that name a Compose file, right or wrong."""
    roles: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Each with the services that can play it."""


def read_lab(folder: Path, *, services: Collection[str]) -> Lab:
    """The lab in ``folder``. ``services`` are the names of known recipes. Raises ``LabInvalid`` with all problems."""
    text, data = _load(folder)
    parsed, own, problems = _examined(text, data, folder, services)
    if parsed is None or problems:
        raise LabInvalid(f"{folder.name}: lab.toml has {len(problems)} problem(s)", problems)
    return _lab(parsed, own, folder)


def survey(folder: Path, *, services: Collection[str]) -> tuple[Outline | None, tuple[Problem, ...]]:
    """All problems of ``lab.toml``, and what can be said of it in spite of them: ``None`` if it is not TOML."""
    try:
        text, data = _load(folder)
    except LabInvalid as error:
        return None, error.problems
    return _outline(text, data), tuple(_examined(text, data, folder, services)[2])


def _load(folder: Path) -> tuple[str, dict[str, Any]]:
    text = _read(folder / "lab.toml")
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        last = len(text.splitlines()) or 1
        problem = Problem("lab.toml", int(line.group(1)) if line else last, str(error), "bad-toml")
        raise LabInvalid("lab.toml is not valid TOML", [problem]) from error
    except RecursionError as error:
        problem = Problem("lab.toml", None, "lists in lists without end", "bad-toml")
        raise LabInvalid("lab.toml is not valid TOML", [problem]) from error


def _read(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            problem = Problem("lab.toml", None, "is not a regular file", "cannot-read")
            raise LabInvalid(f"{path} is not a file", [problem])
        if path.stat().st_size > FILE_LIMIT:
            problem = Problem("lab.toml", None, f"more than {FILE_LIMIT} bytes", "too-large")
            raise LabInvalid("lab.toml is too large", [problem])
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = bytes(error.object)[:error.start].count(b"\n") + 1
        raise LabInvalid("lab.toml is not UTF-8", [Problem("lab.toml", line, str(error), "not-utf-8")]) from error
    except OSError as error:
        problem = Problem("lab.toml", None, error.strerror or str(error), "cannot-read")
        raise LabInvalid(f"{path} cannot be read", [problem]) from error


def _examined(
    text: str, data: dict[str, Any], folder: Path, services: Collection[str]
) -> tuple[LabFile | None, dict[str, OwnService], list[Problem]]:
    """The file in its shape, if it has one; the services of its own; everything that is wrong with it."""
    from pydantic import ValidationError

    from orchestrator.catalog.manifest_schema import LabFile
    from orchestrator.catalog.own_services import own_services

    parsed: LabFile | None = None
    problems: list[Problem] = []
    try:
        parsed = LabFile.model_validate(data)
    except ValidationError as error:
        problems += [_problem(text, data, dict(detail)) for detail in error.errors()]
    outline = _outline(text, data)
    own, wrong = own_services(data, folder, services, line_of=partial(_line_of, text), file_trouble=_file_trouble)
    return parsed, own, problems + wrong + [
        Problem("lab.toml", _line_of(text, where), message, rule)
        for where, message, rule in _contradictions(outline, folder, [*services, *outline.own_services])
    ]


def _outline(text: str, data: Mapping[str, Any]) -> Outline:
    milestones, services, roles = data.get("milestones"), data.get("services"), data.get("roles")
    return Outline(
        _keys(data.get("services")),
        _keys(data.get("tracks")),
        tuple(_outlined(text, index, one) for index, one in enumerate(milestones) if isinstance(one, dict))
        if isinstance(milestones, list) else (),
        tuple(name for name, one in services.items() if isinstance(one, dict) and "compose" in one)
        if isinstance(services, dict) else (),
        tuple((name, _strings(one.get("services"))) for name, one in roles.items() if isinstance(one, dict))
        if isinstance(roles, dict) else (),
    )


def _outlined(text: str, index: int, table: Mapping[str, Any]) -> OutlinedMilestone:
    line, following = (_line_of(text, ["milestones", place]) for place in (index, index + 1))
    lines = list(enumerate(text.splitlines(), 1))[(line or 1) - 1:following - 1 if following else None]
    hints = table.get("hints")
    reasons = [hint["reason"] for hint in hints if isinstance(hint, dict) and isinstance(hint.get("reason"), str)
               ] if isinstance(hints, list) else []
    said = [(reason, next((number for number, one in lines if re.search(
        rf"""reason\s*=\s*["']{re.escape(reason)}["']""", one)), line)) for reason in dict.fromkeys(reasons)]
    return OutlinedMilestone(
        index, line, _string(table.get("id")), _strings(table.get("needs")), _strings(table.get("services")),
        _files(table.get("checks")), _string(table.get("brief")), tuple(said),
        _string(table.get("level")),
    )


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _files(value: Any) -> tuple[str, ...]:
    return tuple(one for one in _strings([value] if isinstance(value, str) else value) if one)


def _strings(value: Any) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _keys(value: Any) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, dict) else ()


def _problem(text: str, data: Mapping[str, Any], detail: Mapping[str, Any]) -> Problem:
    """One pydantic error as a person would say it."""
    location = [part for part in detail["loc"] if part not in ("[key]",)]
    name = ".".join(str(part) for part in location)
    rule = {"extra_forbidden": "unknown-key", "missing": "missing-key"}.get(detail["type"], "bad-value")
    if rule == "unknown-key":
        from orchestrator.catalog.manifest_schema import known_keys

        key = str(location[-1])
        message = f"unknown key {name}" + did_you_mean(key, known_keys(location[:-1]))
    elif rule == "missing-key":
        message = f"{name} is missing"
    else:
        message = f"{name}: {detail['msg']}"
    return Problem("lab.toml", _line_of(text, _path_in(data, location)), message, rule)


def _path_in(data: Mapping[str, Any], location: list[str | int]) -> list[str | int]:
    """The longest part of ``location`` that exists in the file: a missing key is reported at its table."""
    found: list[str | int] = []
    value: Any = data
    for part in location:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            break
        found.append(part)
    return found


def _line_of(text: str, where: list[str | int]) -> int | None:
    """The line of a key, table or array element. TOML readers keep no positions, so this reads headers and keys."""
    if not where:
        return None
    table: list[str] = []
    counts: dict[str, int] = {}
    wanted = [str(part) for part in where]
    best: tuple[int, int] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\[(.+?)\]\]", line):
            name = header.group(1).strip()
            counts[name] = counts.get(name, -1) + 1
            table = [*name.split("."), str(counts[name])]
            here = table
        elif header := re.match(r"\s*\[(.+?)\]", line):
            table = [part.strip().strip('"') for part in header.group(1).split(".")]
            here = table
        elif key := re.match(r"\s*([A-Za-z0-9_.\-\"]+)\s*=", line):
            here = [*table, *key.group(1).replace('"', "").split(".")]
        else:
            continue
        depth = len(here)
        if wanted[:depth] == here and (best is None or depth > best[0]):
            best = (depth, number)
    return best[1] if best else None


def _contradictions(lab: Outline, folder: Path, services: Collection[str]) -> Iterator[tuple[Where, str, str]]:
    """What each key's own type cannot say: names that must exist, circles, files. Place, message and rule."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*", folder.name):
        yield ([], f"the lab's folder is named {folder.name!r}: use lower-case letters, digits and dashes",
               "bad-lab-name")
    for service in lab.services:
        if service not in services:
            yield (["services", service], f"unknown service {service}" + did_you_mean(service, services),
                   "unknown-service")
    for role, players in lab.roles:
        if role in services:
            yield (["roles", role], f"role {role} is called as a service is: checks could not tell them apart",
                   "bad-role")
        for service in players:
            if service not in lab.services:
                yield (["roles", role, "services"], f"role {role} names {service}, which the lab does not list"
                       + did_you_mean(service, lab.services), "unknown-service")
            elif service in lab.own_services:
                yield (["roles", role, "services"], f"role {role} names {service}, a service of the lab's own: labs "
                       "does not know which of its variables is its address", "bad-role")
    ids = [milestone.id for milestone in lab.milestones]
    deeper = {milestone.id for milestone in lab.milestones if milestone.level == "deeper"}
    for place, milestone in enumerate(lab.milestones):
        where: Where = ["milestones", milestone.index]
        track = milestone.id.split("/", 1)[0]
        if milestone.id and milestone.id in ids[:place]:
            yield [*where, "id"], f"milestone {milestone.id} is there twice", "milestone-twice"
        if milestone.id and track not in lab.tracks:
            yield ([*where, "id"], f"milestone {milestone.id}: there is no [tracks.{track}]" + did_you_mean(
                track, lab.tracks), "unknown-track")
        for need in milestone.needs:
            if need not in ids:
                yield ([*where, "needs"], f"{milestone.id} needs {need}, which does not exist" + did_you_mean(
                    need, ids), "unknown-need")
        for need in () if milestone.id in deeper else sorted(deeper & set(milestone.needs)):
            yield ([*where, "needs"], f"{milestone.id} is core and needs {need}, which goes deeper: who does the core"
                   " alone would never come to it", "core-needs-deeper")
        for service in milestone.services:
            if service not in lab.services:
                yield ([*where, "services"], f"{milestone.id} uses {service}, which the lab does not list" + (
                    did_you_mean(service, lab.services)), "unknown-service")
        for key, name in (*(("checks", one) for one in milestone.checks), ("brief", milestone.brief)):
            trouble, rule = _file_trouble(folder, name) if name else ("", "")
            if trouble:
                yield [*where, key], f"{milestone.id}: {key} {name!r} {trouble}", rule
    yield from (([], f"needs go in a circle: {' -> '.join(cycle)}", "needs-circle") for cycle in _cycles(lab))


def _file_trouble(folder: Path, name: str) -> tuple[str, str]:
    path = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        return "must be a path inside the lab's folder", "path-outside"
    try:
        if not path.is_file():
            return "does not exist", "no-such-file"
        if not path.resolve().is_relative_to(folder.resolve()):
            return "leads out of the lab's folder", "path-outside"
    except OSError as error:
        return f"cannot be read: {error.strerror}", "cannot-read"
    return "", ""


def _cycles(lab: Outline) -> Iterator[list[str]]:
    """Circles of needs, each from its first milestone in the lab's order back to it. Opened where it was found, one
    does not hide another."""
    needs = {milestone.id: set(milestone.needs) for milestone in lab.milestones}
    place = {name: number for number, name in enumerate(needs)}
    while True:
        try:
            graphlib.TopologicalSorter({name: found & needs.keys() for name, found in needs.items()}).prepare()
        except graphlib.CycleError as error:
            circle = error.args[1][:0:-1]  # graphlib goes from what is needed to what needs it
            first = circle.index(min(circle, key=place.__getitem__))
            circle = [*circle[first:], *circle[:first]]
            circle.append(circle[0])
            yield circle
            needs[circle[0]].discard(circle[1])
        else:
            return


def _lab(parsed: LabFile, own: Mapping[str, OwnService], folder: Path) -> Lab:
    return Lab(
        name=folder.name,
        title=parsed.title,
        summary=parsed.summary,
        step=parsed.step,
        version=parsed.version,
        folder=folder,
        services=tuple(
            ServiceNeed(name, need.versions, own[name].encoded() if name in own else "", need.start)
            for name, need in parsed.services.items()),
        server=ServerContract(**parsed.server.model_dump()),
        tracks=tuple(Track(name, track.title, track.summary) for name, track in parsed.tracks.items()),
        milestones=tuple(
            Milestone(
                id=milestone.id,
                title=milestone.title,
                needs=tuple(milestone.needs),
                services=tuple(milestone.services),
                checks=tuple(folder / one for one in milestone.checks),
                brief=folder / milestone.brief,
                hints=tuple(Hint(hint.text, hint.reason) for hint in milestone.hints),
                budget=milestone.budget,
                points=milestone.points,
                level=milestone.level,
            )
            for milestone in parsed.milestones
        ),
        roles=tuple(Role(name, tuple(role.services), role.variable) for name, role in parsed.roles.items()),
    )
