"""What was proved before and need not be proved again: results by the content of everything that they depend on."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.errors import EnvironmentFault
from orchestrator.model import Lab
from orchestrator.report.lab_proof import Seen
from orchestrator.system.files import make_folder, read_json, write_json
from orchestrator.verify.case import Case, Observed
from orchestrator.verify.changes import to_data
from orchestrator.verify.solutions import Solutions

MOST = 5000
"""Outcomes that are kept for a lab, the last used ones."""
Found = tuple[dict[str, Seen], Observed | None, float]


class Memory:
    """Outcomes of one lab that held. ``base``: hash of our own code, the engine and what all milestones share."""

    def __init__(self, path: Path, *, base: str, lab: Lab, solutions: Solutions) -> None:
        self._path = path
        self._base = base
        self._lab = lab
        self._solutions = solutions
        self._hashes: dict[Path, str] = {}
        data = read_json(path)
        self._known: dict[str, dict[str, Any]] = (
            {key: one for key, one in data.items() if isinstance(one, dict)} if isinstance(data, dict) else {})

    def find(self, case: Case) -> Found | None:
        """What was seen when this case was proved with the same content."""
        one = self._known.get(self._key(case))
        if one is None:
            return None
        one["used"] = _now()
        try:
            seen = {name: Seen(**{**values, "passed_checks": tuple(values["passed_checks"])})
                    for name, values in one["seen"].items()}
            return seen, _observed(one["observed"]), float(one["seconds"])
        except (AttributeError, KeyError, TypeError, ValueError):
            return None

    def keep(self, case: Case, seen: Mapping[str, Seen], observed: Observed | None, seconds: float) -> None:
        """Remember a case that held."""
        self._known[self._key(case)] = {
            "case": case.id, "used": _now(), "seconds": seconds,
            "seen": {name: dataclasses.asdict(one) for name, one in seen.items()},
            "observed": dataclasses.asdict(observed) if observed else None,
        }

    def save(self) -> None:
        """Write it down. Where nothing can be written all is proved again next time; that is slow, not wrong."""
        last = sorted(self._known.items(), key=lambda item: str(item[1].get("used", "")))[-MOST:]
        with contextlib.suppress(EnvironmentFault):
            make_folder(self._path.parent)
            write_json(self._path, dict(last))

    def _key(self, case: Case) -> str:
        # A seed is drawn, not given: with another one it is the same proof.
        told = {**dataclasses.asdict(dataclasses.replace(case, change=None, seed=None)),
                "change": to_data(case.change) if case.change else None}
        parts = [self._base, json.dumps(told, sort_keys=True)]
        parts += [self._hash(path) for one in case.milestones for path in self._lab.milestone(one).checks]
        if case.kind == "starter":
            parts.append(self._hash(self._lab.folder / "starter" / case.server))
        elif case.kind != "junk":
            parts.append(self._hash(self._solutions.folder / "accepted" / case.server))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    def _hash(self, path: Path) -> str:
        if path not in self._hashes:
            self._hashes[path] = hash_of([path])
        return self._hashes[path]


def _observed(data: Any) -> Observed | None:
    if data is None:
        return None
    answers = tuple((route, status, tuple((name, value) for name, value in headers), body)
                    for route, status, headers, body in data["answers"])
    return Observed(answers, {service: tuple(texts) for service, texts in data["records"].items()},
                    {answer: tuple(checks) for answer, checks in data["asked"].items()})


def hash_of(paths: Iterable[Path]) -> str:
    """One hash of files and folders: names and contents. What a run or a build leaves beside sources is left out.

    ``FileNotFoundError`` for a path that is not there: what was proved without it would hold for ever.
    """
    digest = hashlib.sha256()
    for top in paths:
        for path in sorted(_files(top)):
            digest.update(f"{path.relative_to(top.parent)}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _files(top: Path) -> Iterator[Path]:
    if top.is_file():
        yield top
    elif top.is_dir():
        for path in top.iterdir():
            if path.name not in ("__pycache__", ".venv", "node_modules", ".labs", ".git") and not path.is_symlink():
                yield from _files(path)
    elif not top.exists():
        raise FileNotFoundError(f"{top} is not there, and a proof depends on it")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
