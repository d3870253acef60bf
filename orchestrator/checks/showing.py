"""``labs explore``: what each exploration of a check found at each step, told instead of judged.

A failure of ``holds`` does not end the exploration: it becomes the words of one row, and the next step is tried. What
is told has the form of ``report/explored.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from orchestrator.checks.errors import Judged
from orchestrator.checks.points import Point, StepTaken
from orchestrator.checks.routes import template_of
from orchestrator.checks.words import short

Tell = Callable[[dict[str, Any]], None]
CODE_SHOWN = 40


class Telling:
    """Collects the rows of one exploration after the other; each is told when it ends, however it ends.

    ``step``: only points at this step; 0: at each. ``templates``: the paths of the lab's ``openapi.yaml``.
    """

    def __init__(self, tell: Tell, *, step: int = 0, templates: Sequence[str] = ()) -> None:
        self._tell = tell
        self._step = step
        self._templates = templates
        self._request = ""
        self._rows: list[dict[str, Any]] = []

    def asked(self, answer: object) -> None:
        """The exploration's request, run alone, was answered so."""
        exchange = getattr(answer, "exchange", None)
        self._request = (f"{exchange['method']} {template_of(str(exchange['path']), self._templates)}"
                         if isinstance(exchange, dict) else "")

    def chosen(self, points: Sequence[Point], places: Sequence[int]) -> list[int]:
        """Places of the points that are tried: those at the step that is wanted, or the ones that a check would try."""
        return [place for place, point in enumerate(points) if point.step.number == self._step] if self._step \
            else list(places)

    def tried(self, point: Point, answers: Sequence[object], broken: Judged | None, *, waited: bool,
              reached: bool) -> None:
        """One point was tried."""
        words = None if broken is None else {name: short(str(getattr(broken, name)))
                                             for name in ("reason", "what", "expected", "seen")}
        self._rows.append({
            "step": point.step.number, "after": point.after, "answers": [said(one) for one in answers],
            "waited": waited, "reached": reached, "broken": words,
        })

    def told(self, deed: str, steps: Sequence[StepTaken], *, during: str) -> None:
        """The exploration is over, at its end or in the middle of it."""
        rows, self._rows = self._rows, []
        self._tell({
            "deed": deed, "request": self._request, "during": during, "rows": rows,
            "steps": [{"number": one.number, "service": one.service, "text": one.text, "kind": one.kind}
                      for one in steps],
        })


def said(answer: object) -> str:
    """``201``, ``503 unavailable``, ``no answer``; empty for what is no answer of a server."""
    status = getattr(answer, "status", None)
    if status is None:
        return "no answer" if hasattr(answer, "why") else ""
    code = None
    if status >= 400:
        try:
            body = json.loads(getattr(answer, "content", b""))
            code = body.get("code") if isinstance(body, dict) else None
        except (ValueError, RecursionError):
            code = None
    return f"{status} {short(code)[:CODE_SHOWN]}" if isinstance(code, str) else str(status)
