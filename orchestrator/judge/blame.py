"""Whose fault a failure is: from its kind, as the table in ``docs/checks-api.md`` says. Pure.

A ``Failure`` comes from the child as JSON; nothing in it is believed to have the right type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.model import Verdict
from orchestrator.report.result import Exchange

VERDICTS: Mapping[str, Verdict] = {
    "failed": Verdict.FAIL,
    "wrong": Verdict.FAIL,
    "timeout": Verdict.TIMEOUT,
    "schema": Verdict.FAIL,
    "unjudged": Verdict.UNJUDGED,
    "machine": Verdict.ERROR,
    "lost": Verdict.ERROR,
    "bug": Verdict.ERROR,
}
MACHINE = "machine-too-slow"
LOST = "service-lost"
FIXED_REASONS: Mapping[str, str] = {"machine": MACHINE, "lost": LOST}
"""Kinds that always give one reason, because the verdict of the whole milestone looks at it."""


@dataclass(frozen=True, slots=True)
class Blame:
    """A failure, judged: the words of a ``CheckResult``."""

    verdict: Verdict
    reason: str
    what: str
    expected: str
    seen: str
    where: str
    exchange: Exchange | None


def blame(failure: object) -> Blame:
    """The verdict and words for a failure. An unknown kind, or something that is no failure, is our bug."""
    if not isinstance(failure, Mapping):
        return Blame(Verdict.ERROR, "bug", "the check failed without saying how", "", "", "", None)
    kind = failure.get("kind")
    verdict = VERDICTS.get(kind) if isinstance(kind, str) else None
    if verdict is None or not isinstance(kind, str):
        return Blame(Verdict.ERROR, "bug", f"the check failed in an unknown way: {kind!r}", "", "", "", None)
    reason = FIXED_REASONS.get(kind) or _text(failure, "reason") or ("assertion" if kind == "failed" else kind)
    if kind == "schema" and not reason.startswith("schema-"):
        reason = f"schema-{reason}"
    return Blame(
        verdict,
        reason,
        _text(failure, "what"),
        _text(failure, "expected"),
        _text(failure, "seen"),
        _text(failure, "where"),
        exchange(failure.get("exchange")),
    )


def exchange(value: object) -> Exchange | None:
    """The HTTP exchange in a message, or ``None`` if there is none."""
    if not isinstance(value, Mapping):
        return None
    status: Any = value.get("status")
    return Exchange(
        method=_text(value, "method"),
        path=_text(value, "path"),
        request=_text(value, "request"),
        status=status if isinstance(status, int) else None,
        response=_text(value, "response"),
        curl=_text(value, "curl"),
    )


def _text(message: Mapping[str, Any], key: str) -> str:
    value = message.get(key)
    return value if isinstance(value, str) else "" if value is None else str(value)
