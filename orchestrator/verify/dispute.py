"""A learner's dispute: their server, out of a bundle, meets the checks as they are now, and is kept for every proof."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from orchestrator.errors import UsageError
from orchestrator.model import Lab
from orchestrator.report.json import from_data
from orchestrator.report.result import BLAMED, MilestoneResult
from orchestrator.system.files import unwritable
from orchestrator.verify.solutions import Solutions

MOST_FILES, MOST_BYTES = 5_000, 50_000_000
Expected = Literal["pass", "fail"]


@dataclass(frozen=True, slots=True)
class Dispute:
    """What a bundle holds. ``milestone``: the first that its report blames, ``""`` for none; ``seed`` as then."""

    files: Mapping[str, bytes]
    milestone: str = ""
    seed: int | None = None

    @property
    def name(self) -> str:
        """The same for the same files."""
        digest = hashlib.sha256()
        for name, content in sorted(self.files.items()):
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        return f"case-{digest.hexdigest()[:8]}"


def read_bundle(path: Path) -> Dispute:
    """The server in a bundle of ``labs bundle --as-is``; ``UsageError`` for anything else. Only bytes are read.

    One of ``--source`` is as good, if nothing of the source was secret: another server than the one that was judged is
    no case.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [one for one in archive.infolist() if not one.is_dir()]
            if len(infos) > MOST_FILES or sum(one.file_size for one in infos) > MOST_BYTES:
                raise UsageError(f"{path} is larger than any bundle", code="bad-bundle")
            found = {one.filename: archive.read(one) for one in infos}
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise UsageError(f"{path} cannot be read as a bundle: {error}", code="bad-bundle") from error
    files = {name.removeprefix("source/"): content for name, content in found.items() if name.startswith("source/")}
    bad = next((name for name in files if ".." in PurePosixPath(name).parts or name.startswith("/") or "\\" in name
                or not name.isprintable()), None)
    if bad is not None:
        raise UsageError(f"{path} has a file named {bad!r}, which no bundle of ours has", code="bad-bundle")
    if "workspace.toml" not in files:
        raise UsageError(f"{path} has no server in it", code="no-source", hint="ask for: labs bundle --as-is")
    _refuse_redacted(path, found.get("about.json", b""))
    milestone, seed = _told(found.get("report.json", b""))
    return Dispute(files, milestone, seed)


def _refuse_redacted(path: Path, about: bytes) -> None:
    try:
        source = json.loads(about)["source"]
        differs = [str(line) for what in ("changed", "left_out") for line in source[what]]
    except (ValueError, KeyError, TypeError):
        return  # put together by hand: whoever did it answers for it
    if differs:
        raise UsageError(f"{path} has not the files that were judged: `labs bundle` took secrets out of them, so a "
                         "verdict would be about another server", code="case-redacted", details=differs,
                         hint="ask for: labs bundle --as-is   (source files unchanged, secrets in them included)")


def _told(report: bytes) -> tuple[str, int | None]:
    try:
        read = from_data(json.loads(report))
    except ValueError:
        return "", None
    return next((one.id for one in read.milestones if str(one.verdict) in BLAMED), ""), read.seed


def unpack(dispute: Dispute, folder: Path) -> None:
    """Write the server's files."""
    try:
        for name, content in dispute.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    except OSError as error:
        raise unwritable(folder, error) from error


def settled(results: Mapping[str, MilestoneResult], milestone: str, expected: Expected) -> str:
    """Why the verdict is not the expected one; ``""`` if it is. An error is neither."""
    bad = [f"{name}: {one.verdict} ({one.reason})" for name, one in results.items()
           if str(one.verdict) != "pass" and (expected == "pass" or name != milestone)]
    if bad:
        return f"it must pass, and did not: {', '.join(bad)}" if expected == "pass" else (
            f"it must pass what {milestone} needs, and did not: {', '.join(bad)}")
    own = results[milestone]
    if expected == "fail" and str(own.verdict) not in BLAMED:
        return f"it must fail {milestone}, and got {own.verdict}"
    return ""


def keep(lab: Lab, solutions: Solutions, dispute: Dispute, result: MilestoneResult, expected: Expected) -> Path:
    """Keep it as an accepted or a wrong solution of the lab; where."""
    if expected == "pass":
        folder = solutions.folder / "accepted" / dispute.name
        if not folder.exists():
            unpack(dispute, folder)
        return folder
    path = solutions.folder / "wrong" / f"{result.id.replace('/', '-')}-{dispute.name}.patch"
    head = (f"# milestone: {result.id}\n# reason: {result.reason}\n# on: {solutions.main}\n"
            f"# story: A learner's server of {lab.name}, kept after a dispute.\n\n")
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text(head + _difference(solutions.folder / "accepted" / solutions.main, dispute), encoding="utf-8")
    except OSError as error:
        raise unwritable(path, error) from error
    return path


def _difference(accepted: Path, dispute: Dispute) -> str:
    """A patch that makes this server of an accepted one, file by file."""
    with tempfile.TemporaryDirectory(prefix="labs-case-") as folder:
        shutil.copytree(accepted, Path(folder) / "a", ignore=shutil.ignore_patterns("__pycache__", ".venv", ".labs"))
        unpack(dispute, Path(folder) / "b")
        command = ["git", "diff", "--no-index", "--no-prefix", "--no-color", "--text", "a", "b"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout
