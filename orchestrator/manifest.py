"""``lab.toml`` -> ``Lab``: every problem at once, with file and line. pydantic is used here and nowhere else."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import LabInvalid, Problem, did_you_mean
from orchestrator.model import Hint, Lab, Milestone, ServerContract, ServiceNeed, Track

if TYPE_CHECKING:
    from orchestrator.manifest_schema import LabFile

FILE_LIMIT = 1024 * 1024
"""Bytes: a larger ``lab.toml`` is a mistake."""


def read_lab(folder: Path, *, services: Collection[str]) -> Lab:
    """The lab in ``folder``. ``services`` are the names of known recipes. Raises ``LabInvalid`` with all problems."""
    path = folder / "lab.toml"
    text = _read(path)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        raise LabInvalid(
            "lab.toml is not valid TOML", [Problem("lab.toml", int(line.group(1)) if line else None, str(error))]
        ) from error
    from pydantic import ValidationError

    from orchestrator.manifest_schema import LabFile

    try:
        parsed = LabFile.model_validate(data)
    except ValidationError as error:
        problems = [_problem(text, data, dict(detail)) for detail in error.errors()]
        raise LabInvalid(f"{folder.name}: lab.toml has {len(problems)} problem(s)", problems) from error
    problems = [Problem("lab.toml", _line_of(text, where), message)
                for where, message in _contradictions(parsed, folder, services)]
    if problems:
        raise LabInvalid(f"{folder.name}: lab.toml has {len(problems)} problem(s)", problems)
    return _lab(parsed, folder)


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > FILE_LIMIT:
            raise LabInvalid("lab.toml is too large", [Problem("lab.toml", None, f"more than {FILE_LIMIT} bytes")])
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise LabInvalid("lab.toml is not UTF-8", [Problem("lab.toml", None, str(error))]) from error
    except OSError as error:
        raise LabInvalid(f"{path} cannot be read", [Problem("lab.toml", None, error.strerror or str(error))]) from error


def _problem(text: str, data: Mapping[str, Any], detail: Mapping[str, Any]) -> Problem:
    """One pydantic error as a person would say it."""
    location = [part for part in detail["loc"] if part not in ("[key]",)]
    name = ".".join(str(part) for part in location)
    if detail["type"] == "extra_forbidden":
        from orchestrator.manifest_schema import known_keys

        key = str(location[-1])
        message = f"unknown key {name}" + did_you_mean(key, known_keys(location[:-1]))
    elif detail["type"] == "missing":
        message = f"{name} is missing"
    else:
        message = f"{name}: {detail['msg']}"
    return Problem("lab.toml", _line_of(text, _path_in(data, location)), message)


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


def _contradictions(lab: LabFile, folder: Path, services: Collection[str]) -> Iterator[tuple[list[str | int], str]]:
    """What each key's own type cannot say: names that must exist, cycles, files."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*", folder.name):
        yield [], f"the lab's folder is named {folder.name!r}: use lower-case letters, digits and dashes"
    for service in lab.services:
        if service not in services:
            yield ["services", service], f"unknown service {service}" + did_you_mean(service, services)
    ids = [milestone.id for milestone in lab.milestones]
    for index, milestone in enumerate(lab.milestones):
        where: list[str | int] = ["milestones", index]
        if milestone.id in ids[:index]:
            yield [*where, "id"], f"milestone {milestone.id} is there twice"
        track = milestone.id.split("/", 1)[0]
        if track not in lab.tracks:
            yield [*where, "id"], f"milestone {milestone.id}: there is no [tracks.{track}]" + did_you_mean(
                track, lab.tracks)
        for need in milestone.needs:
            if need not in ids:
                yield [*where, "needs"], f"{milestone.id} needs {need}, which does not exist" + did_you_mean(need, ids)
        for service in milestone.services:
            if service not in lab.services:
                yield [*where, "services"], f"{milestone.id} uses {service}, which the lab does not list" + (
                    did_you_mean(service, lab.services))
        for key, name in (("checks", milestone.checks), ("brief", milestone.brief)):
            trouble = _file_trouble(folder, name)
            if trouble:
                yield [*where, key], f"{milestone.id}: {key} {name!r} {trouble}"
    yield from (([], f"needs go in a circle: {' -> '.join(cycle)}") for cycle in _cycles(lab))


def _file_trouble(folder: Path, name: str) -> str:
    path = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        return "must be a path inside the lab's folder"
    if not path.is_file():
        return "does not exist"
    if not path.resolve().is_relative_to(folder.resolve()):
        return "leads out of the lab's folder"
    return ""


def _cycles(lab: LabFile) -> Iterator[list[str]]:
    needs = {milestone.id: milestone.needs for milestone in lab.milestones}
    done: set[str] = set()

    def visit(milestone: str, trail: list[str]) -> Iterator[list[str]]:
        if milestone in trail:
            yield [*trail[trail.index(milestone):], milestone]
        elif milestone in needs and milestone not in done:
            for need in needs[milestone]:
                yield from visit(need, [*trail, milestone])
            done.add(milestone)

    for milestone in needs:
        yield from visit(milestone, [])


def _lab(parsed: LabFile, folder: Path) -> Lab:
    return Lab(
        name=folder.name,
        title=parsed.title,
        summary=parsed.summary,
        step=parsed.step,
        version=parsed.version,
        folder=folder,
        services=tuple(ServiceNeed(name, need.versions) for name, need in parsed.services.items()),
        server=ServerContract(dict(parsed.server.env), parsed.server.start_budget, parsed.server.build_budget),
        tracks=tuple(Track(name, track.title, track.summary) for name, track in parsed.tracks.items()),
        milestones=tuple(
            Milestone(
                id=milestone.id,
                title=milestone.title,
                needs=tuple(milestone.needs),
                services=tuple(milestone.services),
                checks=folder / milestone.checks,
                brief=folder / milestone.brief,
                hints=tuple(Hint(hint.text, hint.reason) for hint in milestone.hints),
                budget=milestone.budget,
                points=milestone.points,
                level=milestone.level,
            )
            for milestone in parsed.milestones
        ),
    )
