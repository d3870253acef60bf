"""From an exception in a check to the protocol's ``Failure``: whose fault, what was seen, where in the lab's file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import CodeType

import pytest

from orchestrator.checks.errors import Judged, MachineSlow, ServiceLost, Unjudged, kind_of
from orchestrator.checks.protocol import Message
from orchestrator.checks.words import escaped, short

GRAVITY = ("bug", "lost", "machine", "unjudged", "schema", "wrong", "failed", "timeout")
"""Of several failures at once, the first of these speaks: while something of ours is broken, nobody else is blamed."""


def failure_of(error: BaseException, lab: Path, exchange: dict[str, object] | None) -> Message:
    """The failure that is reported; ``exchange`` is the check's last one, for failures that name none."""
    error = _gravest(error, lab)
    kind = kind_in(error, lab)
    failure: Message = {"kind": kind, "expected": "", "seen": "", "where": where(error, lab), "exchange": exchange}
    if isinstance(error, Judged):
        words = {"what": error.what, "expected": error.expected, "seen": error.seen}
        failure |= {"reason": error.reason} | {name: short(str(text)) for name, text in words.items()}
        failure["exchange"] = error.exchange or exchange
    elif isinstance(error, Unjudged):
        failure |= {"reason": "unjudged", "what": short(error.what), "expected": short(error.remedy)}
    elif isinstance(error, MachineSlow | ServiceLost):
        failure |= {"reason": kind, "what": short(str(error))}
    elif kind == "failed":
        failure |= {"reason": "assertion", "what": short(_one_line(str(error)) or "assert")}
    else:
        failure |= {"reason": "bug", "what": short(_one_line(f"{type(error).__name__}: {error}"))}
    return failure


def kind_in(error: BaseException, lab: Path) -> str:
    """The kind of failure. ``assert`` and ``pytest.fail`` judge only where the lab's own file says them.

    An ``AssertionError`` out of a library, or pytest's own refusal to run an ``async def``, is a bug of ours.
    """
    if isinstance(error, AssertionError):
        *_, (innermost, _line) = [(None, 0), *_frames(error)]
        return "failed" if innermost is not None and _inside(innermost, lab) else "bug"
    if isinstance(error, pytest.fail.Exception):
        return "failed" if where(error, lab) else "bug"
    return kind_of(error)


def where(error: BaseException, lab: Path) -> str:
    """``checks/test_redis_hold.py:31``: the last line of the lab's own files on the way to the failure, if any."""
    lines = [(code, line) for code, line in _frames(error) if _inside(code, lab)]
    if not lines:
        return ""
    code, line = lines[-1]
    return f"{Path(code.co_filename).relative_to(lab)}:{line}"


def _gravest(error: BaseException, lab: Path) -> BaseException:
    """Of all that went wrong together, what speaks for the rest.

    The members of a group, from threads or tasks, went wrong side by side. And a lost service or a slow machine that
    was being handled when a clean-up failed, too, was the cause of it.
    """
    if isinstance(error, BaseExceptionGroup):
        members = [_gravest(member, lab) for member in error.exceptions]
        return min(members, key=lambda member: GRAVITY.index(kind_in(member, lab)))
    earlier: BaseException | None = error
    seen: set[int] = set()
    while earlier is not None and id(earlier) not in seen:
        if isinstance(earlier, MachineSlow | ServiceLost):
            return earlier
        seen.add(id(earlier))
        earlier = earlier.__cause__ or (None if earlier.__suppress_context__ else earlier.__context__)
    return error


def _frames(error: BaseException) -> Iterator[tuple[CodeType, int]]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame.f_code, trace.tb_lineno
        trace = trace.tb_next


def _inside(code: CodeType, lab: Path) -> bool:
    return Path(code.co_filename).is_relative_to(lab)


def _one_line(text: str) -> str:
    """An explanation of several lines, such as pytest's of an ``assert``, as one."""
    return escaped(" ".join(line.strip() for line in text.splitlines() if line.strip()))
