"""Labs that were added: each pinned to a commit, read from a copy that nothing changes but a ``labs update``.

A copy has no ``solutions/``, which a learner's server could read or run: a proof fetches them from the source. It
stands in a folder of its commit; the record says which one counts. Writing the record is the one moment in which
a lab is added or becomes another, so an interruption leaves the old one or the new one, never half of either.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.catalog.fetch import FILES, Fetched, Source, fetch
from orchestrator.checks.shared_code import common_files
from orchestrator.errors import EnvironmentFault, LabInvalid, Problem, UsageError, did_you_mean
from orchestrator.model import Lab, Milestone
from orchestrator.ownership.leases import lock
from orchestrator.system.files import make_folder, read_json, unwritable, write_json
from orchestrator.system.home import Home
from orchestrator.system.shapes import fields_of

VERSION = 1
SOLUTIONS = "solutions/"


@dataclass(frozen=True, slots=True)
class Added:
    """One added lab: where it came from, what was asked for, the commit that counts, its folder in the home's labs."""

    lab: str
    url: str
    ref: str
    commit: str
    added_at: str

    @property
    def source(self) -> Source:
        return Source(self.url, self.ref)


@dataclass(frozen=True, slots=True)
class Changes:
    """What another version of a lab changes, by milestone id."""

    new: tuple[str, ...]
    gone: tuple[str, ...]
    changed: tuple[str, ...]


def read_added(home: Home) -> dict[str, Added]:
    """Lab -> its record. A record that cannot be read is as good as none."""
    data = read_json(_record(home))
    found = {}
    labs = data.get("labs") if isinstance(data, dict) and data.get("v") == VERSION else None
    for one in labs if isinstance(labs, list) else []:
        with contextlib.suppress(ValueError):
            added = Added(**fields_of(Added, one))
            found[added.lab] = added
    return found


def added_folders(home: Home) -> dict[str, Path]:
    """Lab -> the folder of the copy that counts, of those that are there."""
    return {name: folder for name, one in read_added(home).items()
            if (folder := folder_of(home, one.commit, name)).is_dir()}


def commit_at(home: Home, folder: Path) -> str:
    """The commit of the added lab in this folder; ``""`` if none is."""
    one = _added_at(home, folder)
    return one.commit if one is not None else ""


def _added_at(home: Home, folder: Path) -> Added | None:
    return next((one for one in read_added(home).values() if folder_of(home, one.commit, one.lab) == folder), None)


def fetch_solutions(home: Home, folder: Path, scratch: Path) -> Path | None:
    """Where in ``scratch`` the solutions of the added lab in ``folder`` are now; ``None``: none was added there.

    ``scratch``: an empty folder that the caller removes. They are of the commit that counts; ``EnvironmentFault``.
    """
    one = _added_at(home, folder)
    if one is None:
        return None
    plain = one.commit.startswith(FILES)
    repository = make_folder(scratch / "repository")
    fetched = fetch(Source(one.url, "" if plain else one.commit), repository)
    if fetched.commit != one.commit:
        raise EnvironmentFault(f"the files in {one.url} have changed since {one.lab} was added, and its solutions with "
                               "them", code="source-changed", hint=f"labs update {one.lab}")
    _write(scratch / "solutions", fetched, f"{labs_in(fetched)[one.lab]}{SOLUTIONS}")
    return scratch / "solutions"


def is_trusted(home: Home, url: str) -> bool:
    """Whether a person has said that the programs of this source may run here."""
    return url in _trusted(home)


def _trusted(home: Home) -> list[str]:
    data = read_json(_record(home))
    urls = data.get("trusted") if isinstance(data, dict) else None
    return [url for url in urls if isinstance(url, str)] if isinstance(urls, list) else []


def folder_of(home: Home, commit: str, lab: str) -> Path:
    """Where the copy of a lab at a commit is."""
    return home.data / "labs" / commit[:16] / lab


def labs_in(fetched: Fetched) -> dict[str, str]:
    """Name -> where it is, of every lab in a repository: itself (``""``), its folders, those in ``labs/``.

    ``LabInvalid``: there is none.
    """
    if "lab.toml" in fetched.files:
        return {fetched.source.name: ""}
    found = {}
    for path in fetched.files:
        parts = path.split("/")
        if parts[-1] == "lab.toml" and (len(parts) == 2 or (len(parts) == 3 and parts[0] == "labs")):
            found[parts[-2]] = path.removesuffix("lab.toml")
    if not found:
        raise LabInvalid(f"there is no lab in {fetched.source}",
                         [Problem("lab.toml", None, "is neither at the top, in a folder, nor in a folder of labs/")])
    return found


def stage(home: Home, fetched: Fetched, *, services: Collection[str]) -> dict[str, Lab]:
    """Write the copies of a source's labs, which nothing counts yet, and validate them; ``LabInvalid``."""
    from orchestrator.catalog.manifest import read_lab

    labs = {}
    used = added_folders(home).values()
    for name, top in labs_in(fetched).items():
        folder = folder_of(home, fetched.commit, name)
        if folder not in used:
            _write(folder, fetched, top, without=f"{top}{SOLUTIONS}")
        labs[name] = read_lab(folder, services=services)
    return labs


def install(home: Home, fetched: Fetched, labs: Collection[str], *, taken: Collection[str] = ()) -> None:
    """From now on these copies count. ``UsageError`` if a name is ``taken``, or is another source's."""
    added = read_added(home)
    for name in labs:
        other = added.get(name)
        if name in taken or (other is not None and other.url != fetched.source.url):
            whose = other.url if other is not None else "labs itself"
            raise UsageError(f"there is a lab {name} already, from {whose}", code="lab-exists",
                             hint=f"labs remove {name}   (then add it again)" if other is not None else "labs list")
        added[name] = Added(name, fetched.source.url, fetched.source.ref, fetched.commit,
                            datetime.now(UTC).isoformat(timespec="seconds"))
    write_json(_record(home), {"v": VERSION, "labs": [asdict(one) for one in added.values()],
                               "trusted": sorted({*_trusted(home), fetched.source.url})}, durable=True)


def remove(home: Home, lab: str) -> Added:
    """An added lab no longer counts; its source is trusted no more if it was the last of it. ``UsageError``."""
    added = read_added(home)
    if lab not in added:
        raise UsageError(f"no lab {lab!r} was added{did_you_mean(lab, added)}", code="not-added", hint="labs list")
    gone = added.pop(lab)
    trusted = [url for url in _trusted(home) if url != gone.url or any(one.url == url for one in added.values())]
    write_json(_record(home), {"v": VERSION, "labs": [asdict(one) for one in added.values()], "trusted": trusted},
               durable=True)
    return gone


@contextlib.contextmanager
def changing(home: Home) -> Iterator[None]:
    """Alone with the added labs; copies that no record counts in the end are removed."""
    with lock(home, "sources", wait=30, doing="is adding or updating labs"):
        try:
            yield
        finally:
            _forget_unused(home)


def _forget_unused(home: Home) -> None:
    """Remove copies that no record counts: of versions before, of what was not trusted, of an interruption."""
    used = {folder_of(home, one.commit, name) for name, one in read_added(home).items()}
    for folder in (home.data / "labs").glob("*/*"):
        if folder not in used:
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                folder.parent.rmdir()


def compare(old: Lab, new: Lab) -> Changes:
    """Which milestones another version changes: their tables, briefs, checks, or what all checks share."""
    before, after = dict(_parts(old)), dict(_parts(new))
    return Changes(tuple(one for one in after if one not in before), tuple(one for one in before if one not in after),
                   tuple(one for one in after if one in before and after[one] != before[one]))


def _parts(lab: Lab) -> Iterator[tuple[str, tuple[object, ...]]]:
    shared = tuple(map(_bytes, common_files(lab.folder)))
    own = {need.name: need.own for need in lab.services}
    for one in lab.milestones:
        services = tuple(own.get(name, "") for name in one.services)
        yield one.id, (_table(lab, one), tuple(map(_bytes, one.checks)), _bytes(one.brief), shared, services)


def _table(lab: Lab, one: Milestone) -> Mapping[str, object]:
    checks = [str(path.relative_to(lab.folder)) for path in one.checks]
    return asdict(one) | {"checks": checks, "brief": str(one.brief.relative_to(lab.folder))}


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _write(folder: Path, fetched: Fetched, top: str, *, without: str | None = None) -> None:
    """A copy of what is below ``top``, and not below ``without``."""
    shutil.rmtree(folder, ignore_errors=True)
    make_folder(folder)
    try:
        for name, data in fetched.files.items():
            if name.startswith(top) and (without is None or not name.startswith(without)):
                path = folder / name.removeprefix(top)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
                if name in fetched.programs:
                    path.chmod(0o755)
    except OSError as error:
        raise unwritable(folder, error) from error


def _record(home: Home) -> Path:
    return home.data / "sources.json"
