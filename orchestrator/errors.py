"""The errors that `labs` raises on purpose.

Each carries a stable ``code``, one sentence of what happened and, where there is one, the next command::

    LabsError                  exit
    ├── UsageError              2     the command line or workspace is wrong
    ├── EnvironmentFault        3     engine, service, image, port, disk, permission
    │   └── EnvironmentBusy     3     another `labs` is working here
    ├── LabInvalid              4     a lab definition is wrong
    └── Bug                     3     ours; should never be seen

Anything else that reaches the command line is shown as a ``Bug`` without a traceback (``LABS_DEBUG=1`` shows it).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass


class LabsError(Exception):
    """Base of all errors meant for a person. ``str(error)`` is the one sentence; ``hint`` the next command."""

    exit_code = 3
    default_code = "labs-error"

    def __init__(self, message: str, *, code: str | None = None, hint: str | None = None,
                 details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.hint = hint
        self.details = tuple(details)


class UsageError(LabsError):
    """The command line, or the workspace it names, is wrong."""

    exit_code = 2
    default_code = "usage"


class EnvironmentFault(LabsError):
    """An engine, a service, an image, a port or the machine does not do what it should."""

    exit_code = 3
    default_code = "environment"


class EnvironmentBusy(EnvironmentFault):
    """Another `labs` command is changing the same environment."""

    default_code = "environment-busy"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file: ``file:line: message``. ``rule`` is the stable id of this kind of problem."""

    file: str
    line: int | None
    message: str
    rule: str = ""

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.message}"


class FileInvalid(LabsError):
    """A definition file has problems; all of them at once."""

    default_code = "file-invalid"

    def __init__(self, message: str, problems: Sequence[Problem], *, code: str | None = None,
                 hint: str | None = None) -> None:
        super().__init__(message, code=code, hint=hint, details=[str(p) for p in problems])
        self.problems = tuple(problems)


class LabInvalid(FileInvalid):
    """A lab definition is wrong: the instructor's file, exit 4."""

    exit_code = 4
    default_code = "lab-invalid"


class WorkspaceInvalid(FileInvalid):
    """``workspace.toml`` is wrong: the learner's file, exit 2."""

    exit_code = 2
    default_code = "workspace-invalid"


class Bug(LabsError):
    """Our own mistake, said as such."""

    default_code = "bug"


def did_you_mean(word: str, known: Collection[str]) -> str:
    """``; did you mean X?`` or nothing."""
    import difflib

    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""
