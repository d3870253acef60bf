"""What a learner hands to somebody who helps: the last report, its logs, versions, perhaps the source; no secrets.

``collect`` decides what is in it, ``pack`` makes its bytes (the same for the same contents), ``write`` is the one place
that touches the disk: whole or not at all.
"""

from __future__ import annotations

import contextlib
import fnmatch
import io
import json
import os
import platform
import pwd
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import Any

from orchestrator import __version__
from orchestrator.errors import EnvironmentFault, UsageError
from orchestrator.model import Workspace
from orchestrator.report.json import to_data
from orchestrator.report.result import Exchange, MilestoneResult, Report
from orchestrator.report.terminal import render
from orchestrator.sharing.redact import NOTHING, KnownSecrets, redact, redact_values
from orchestrator.system.files import write_whole
from orchestrator.workspace.content import source_files

__all__ = ["Bundle", "Entry", "Person", "collect", "pack", "redact", "refuse_existing", "write"]

MOST = 50 * 1000 * 1000
"""Bytes before packing; what is larger goes through no mail and no forum."""
NEVER = (
    ".git", ".venv", "node_modules", ".env", ".env.*", ".netrc", ".pgpass", ".npmrc", ".pypirc", "*.pem", "*.key",
    "*.p12", "*.pfx", "id_rsa*", "id_ed25519*", "id_ecdsa*",
)
"""Names of files and folders that are made to hold secrets, or that a helper gets elsewhere."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whose traces are taken out: paths of the home folder and names of the account.

    ``known``: what services say of the secrets in their own texts.
    """

    homes: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    known: KnownSecrets = NOTHING

    @classmethod
    def here(cls, environ: Mapping[str, str] = os.environ, *, known: KnownSecrets) -> Person:
        """The one who runs `labs`."""
        home = Path(environ.get("HOME") or Path.home())
        names = [environ.get(name, "") for name in ("USER", "LOGNAME", "SUDO_USER")]
        # A container may run as a user that has no name.
        with contextlib.suppress(KeyError):
            names.append(pwd.getpwuid(os.getuid()).pw_name)
        return cls(tuple(dict.fromkeys((str(home), str(home.resolve())))), tuple(dict.fromkeys(filter(None, names))),
                   known)

    def clean(self, text: str) -> str:
        """``text`` without secrets and without this person."""
        return redact(text, homes=self.homes, users=self.users, known=self.known)

    def clean_values(self, data: Any) -> Any:
        """The same for all strings of JSON values."""
        return redact_values(data, homes=self.homes, users=self.users, known=self.known)


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a bundle. ``name`` is relative, with forward slashes, and safe to unpack anywhere."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Bundle:
    """What will be packed, in its order; what of the source was left out, with the reason, and what was changed."""

    entries: tuple[Entry, ...]
    left_out: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


def collect(workspace: Workspace, report: Report | None, *, person: Person, source: bool = False, as_is: bool = False,
            most: int = MOST) -> Bundle:
    """Everything that goes into the bundle, secrets removed; ``UsageError`` if it is larger than ``most`` bytes.

    ``as_is``: the source, and nothing else, with all its secrets, as a dispute needs it.
    """
    left_out: list[str] = []
    changed: list[str] = []
    taken: list[Entry] = []
    if source or as_is:
        found = source_files(workspace) if as_is else _chosen(source_files(workspace), left_out)
        _refuse_large({f"source/{name}": path.stat().st_size for name, path in found.items()}, most)
        taken += _read_as_is(found, left_out) if as_is else _read(found, person.clean, left_out, changed)
    told = {"source": {"left_out": left_out, "changed": changed}} if source or as_is else {}
    files = {"about.json": _json(person.clean_values(about(workspace, report) | told))}
    if report is not None:
        files["report.json"] = _json(person.clean_values(to_data(report)))
        files["report.txt"] = person.clean(render(report)) + "\n"
        for milestone in report.milestones:
            folder = f"logs/{milestone.id.replace('/', '-')}"
            files |= {f"{folder}/{name}": person.clean(text) for name, text in _logs(milestone)}
    toml = workspace.folder / "workspace.toml"
    files["workspace.toml"] = person.clean(toml.read_text(encoding="utf-8-sig", errors="replace"))
    entries = [Entry(person.clean(name), text.encode("utf-8", "replace")) for name, text in files.items()] + taken
    _refuse_large({entry.name: len(entry.content) for entry in entries}, most)
    return Bundle(_named_safely(sorted(entries, key=lambda entry: entry.name)), tuple(left_out), tuple(changed))


def about(workspace: Workspace, report: Report | None) -> dict[str, Any]:
    """Versions and names that a helper asks for first."""
    data: dict[str, Any] = {
        "lab": workspace.lab,
        "labs": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "os": platform.platform(),
        "machine": platform.machine(),
        "build": [list(command) for command in workspace.build],
        "run": list(workspace.run),
    }
    if report is None:
        return data | {"report": "none: nothing has been judged in this folder yet"}
    return data | {
        "report": {
            "lab": report.lab, "lab_version": report.lab_version, "lab_commit": report.lab_commit,
            "labs": report.labs_version, "seed": report.seed, "started_at": report.started_at,
            "engine": report.engine, "engine_reason": report.engine_reason, "isolation": report.isolation,
            "services": {name: str(product) for name, product in report.products.items()},
            "verdicts": {one.id: "not judged" if one.role == "later" else str(one.verdict)
                         for one in report.milestones},
        },
    }


def pack(entries: Sequence[Entry]) -> bytes:
    """The zip. Equal entries make equal bytes, whenever and wherever: no times, no owners."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for entry in entries:
            info = zipfile.ZipInfo(entry.name, date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3
            info.external_attr = 0o100644 << 16
            file.writestr(info, entry.content)
    return buffer.getvalue()


def refuse_existing(path: Path, *, force: bool = False) -> None:
    """``UsageError`` if a bundle may not be written there."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder", code="bundle-is-folder", hint=f"labs bundle {path / 'bundle.zip'}")
    if not force and (path.exists() or path.is_symlink()):
        raise UsageError(f"{path} is there already", code="bundle-exists", hint="labs bundle --force   (replaces it)")


def write(path: Path, content: bytes, *, force: bool = False) -> None:
    """The file, whole or not at all, readable by its owner only; one that is there is replaced only by ``force``."""
    refuse_existing(path, force=force)
    try:
        write_whole(path, content)
    except OSError as error:
        raise EnvironmentFault(f"{path} cannot be written: {error.strerror or error}", code="bundle-unwritable",
                               hint="labs bundle /a/folder/of/yours/bundle.zip") from error


def safe_name(name: str) -> str:
    """A name that unpacks below its folder on every system: no ``..``, no drive, no control character, not too long."""
    parts = []
    for part in PurePosixPath(name.replace("\\", "_")).parts:
        clean = re.sub(r'[<>:"|?*/]', "_", "".join(one if one.isprintable() else "_" for one in part))
        clean = clean.rstrip(". ")[:100]
        if clean:
            parts.append(clean)
    return "/".join(parts) or "_"


def default_name(lab: str, date: str) -> str:
    """``labs-bundle-databases-2026-01-02.zip``."""
    return f"labs-bundle-{safe_name(lab).replace('/', '-').replace(' ', '-')}-{date}.zip"


def _logs(milestone: MilestoneResult) -> Iterator[tuple[str, str]]:
    if milestone.server_log.strip():
        yield "server.log", milestone.server_log
    for service, log in milestone.service_logs.items():
        if log.strip():
            yield f"{service}.log", log
    exchanges = [(check.id, check.exchange) for check in milestone.checks if check.exchange is not None]
    if exchanges:
        yield "exchanges.txt", "\n".join(_exchange(check, exchange) for check, exchange in exchanges)


def _exchange(check: str, exchange: Exchange) -> str:
    status = "no answer" if exchange.status is None else str(exchange.status)
    return "\n".join((f"== {check}", f"{exchange.method} {exchange.path}", exchange.request, "", status,
                      exchange.response, "", exchange.curl, ""))


def _chosen(files: Mapping[str, Path], left_out: list[str]) -> dict[str, Path]:
    """Without the files that are never given away."""
    chosen = {}
    for name, path in files.items():
        if any(fnmatch.fnmatchcase(part.lower(), pattern) for part in PurePosixPath(name).parts for pattern in NEVER):
            left_out.append(f"{name}: made to hold secrets, or too much")
        else:
            chosen[name] = path
    return chosen


def _read_as_is(files: Mapping[str, Path], left_out: list[str]) -> Iterator[Entry]:
    for name, path in files.items():
        try:
            yield Entry(f"source/{name.encode('utf-8', 'replace').decode()}", path.read_bytes())
        except OSError as error:
            left_out.append(f"{name}: cannot be read: {error.strerror or error}")


def _changed_lines(text: str, cleaned: str) -> str:
    """``line 3``, ``lines 3, 7``; ``""``: none."""
    lines = zip_longest(text.splitlines(), cleaned.splitlines())
    numbers = [str(number) for number, (one, other) in enumerate(lines, 1) if one != other]
    return f"line{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}" if numbers else ""


def _read(
    files: Mapping[str, Path], clean: Callable[[str], str], left_out: list[str], changed: list[str]
) -> Iterator[Entry]:
    for name, path in files.items():
        try:
            content = path.read_bytes()
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            left_out.append(f"{name}: not text, so secrets in it would not be seen")
            continue
        except OSError as error:
            left_out.append(f"{name}: cannot be read: {error.strerror or error}")
            continue
        if "\0" in text:
            left_out.append(f"{name}: not text, so secrets in it would not be seen")
            continue
        shown = name.encode("utf-8", "replace").decode("utf-8")
        cleaned, given = clean(text), clean(shown)
        if what := _changed_lines(text, cleaned) or ("its name" if given != name else ""):
            changed.append(f"{given}: {what}")
        yield Entry(f"source/{given}", cleaned.encode("utf-8"))


def _refuse_large(sizes: Mapping[str, int], most: int) -> None:
    total = sum(sizes.values())
    if total <= most:
        return
    largest = sorted(sizes.items(), key=lambda one: (-one[1], one[0]))[:5]
    raise UsageError(
        f"the bundle would have {total / 1e6:.1f} MB; more than {most / 1e6:.0f} MB cannot be sent anywhere",
        code="bundle-too-large", hint="name the large files in .gitignore, then: labs bundle --source",
        details=[f"{size / 1e6:.1f} MB  {safe_name(name)}" for name, size in largest])


def _named_safely(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Safe names, no two of them equal even where capitals do not count."""
    taken: set[str] = set()
    named = []
    for entry in entries:
        safe = PurePosixPath(safe_name(entry.name))
        name, number = str(safe), 1
        while name.lower() in taken:
            number += 1
            name = str(safe.with_name(f"{safe.stem}-{number}{safe.suffix}"))
        taken.add(name.lower())
        named.append(replace(entry, name=name))
    return tuple(named)


def _json(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
