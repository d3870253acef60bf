"""What lint says: findings, and the safe ways to read a lab's files that all subjects share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

NOT_READ = "sql-not-read"
NOTES = frozenset({NOT_READ})
"""Rules whose findings say what lint could not do here: nothing is wrong in the lab."""
TEXT_LIMIT = 1024 * 1024
"""Bytes; a text of a lab that is larger is a mistake and is not read."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong in a lab. ``file`` is relative to the lab's folder, ``rule`` the stable id of its kind."""

    file: str
    line: int | None
    rule: str
    message: str
    fix: str

    @property
    def is_note(self) -> bool:
        """Whether it is no problem of the lab's."""
        return self.rule in NOTES

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}  {self.rule}  {self.message}  -> {self.fix}"


def read_bytes(lab: Path, name: str) -> bytes | Finding:
    """The content of a regular file of the lab, or why it is not read. No link is followed out of the lab."""
    path = lab / name
    try:
        if not path.is_file():
            return Finding(name, None, "cannot-read", "is not a regular file", "put a text file there")
        if not path.resolve().is_relative_to(lab.resolve()):
            return Finding(name, None, "path-outside", "leads out of the lab's folder", "put the file into the lab")
        if path.stat().st_size > TEXT_LIMIT:
            return Finding(name, None, "too-large", f"has more than {TEXT_LIMIT} bytes", "split it, or leave data out")
        return path.read_bytes()
    except OSError as error:
        return Finding(name, None, "cannot-read", f"cannot be read: {error.strerror}", "make it readable")


def read_text(lab: Path, name: str) -> str | Finding:
    """The UTF-8 text of a file of the lab, or why there is none."""
    content = read_bytes(lab, name)
    if isinstance(content, Finding):
        return content
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[:error.start].count(b"\n") + 1
        return Finding(name, line, "not-utf-8", f"is not UTF-8: {error.reason}", "save the file as UTF-8")
