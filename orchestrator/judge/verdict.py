"""From what a child said, and how it ended, to the results of a milestone's checks. Pure.

What must be there comes from the syntax tree of the check file, never from the child. A check passed only if set-up,
call and tear-down each passed, in order, under the run's nonce, and ``bye`` with the right count came before the end
of the channel with exit status 0 or 1. Everything else is a failure that the child described, or an ``error``.
"""

from __future__ import annotations

import ast
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.checks.protocol import Message
from orchestrator.judge.blame import LOST, MACHINE, blame, exchange
from orchestrator.model import Verdict
from orchestrator.report.result import CheckResult
from orchestrator.system.text import escape

PHASES = ("setup", "call", "teardown")
GOOD = [(phase, "passed") for phase in PHASES]
DOUBTFUL = frozenset({LOST, MACHINE})
"""Reasons of an error that make the failures beside it doubtful, too."""


INTERRUPTING = frozenset({"interleave", "crash", "cut", "delay", "silence"})
"""What of the fixture ``explore`` does something at each step."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A check that must run: its id, the first line of its docstring, whether it interrupts requests at their steps."""

    id: str
    title: str
    explores: bool = False


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a child said and how it ended.

    ``status`` is its exit status (negative: a signal). ``broken`` says what was wrong with the channel. ``late``: the
    milestone's time was over; ``pending`` is the call to the target that was open then (``POST /orders``), if any.
    """

    events: tuple[Message, ...]
    status: int | None
    broken: str = ""
    late: bool = False
    pending: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The checks' results, the milestone's verdict, and what was wrong with the run itself (empty: nothing)."""

    checks: tuple[CheckResult, ...]
    verdict: Verdict
    flaw: str


@dataclass(slots=True)
class _Story:
    """What was heard of one check."""

    starts: int = 0
    ended: bool = False
    seconds: float = 0.0
    phases: list[tuple[str, str]] = field(default_factory=list)
    failure: object = None
    evidence: tuple[str, ...] = ()
    exchange: object = None


_PARSING = threading.Lock()
"""Judges read their checks at the same time, and Python 3.11 counts how deep a tree is for all threads together:
`SystemError: AST constructor recursion depth mismatch`."""


def expected_checks(milestone_id: str, source: str) -> tuple[Expected, ...]:
    """The checks in a file: its ``test_*`` functions at module level. Raises ``SyntaxError``."""
    found: dict[str, Expected] = {}
    with _PARSING:
        tree = ast.parse(source)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            title = escape((ast.get_docstring(node) or node.name).splitlines()[0].strip())
            check_id = f"{milestone_id}/{node.name}"
            found[check_id] = Expected(check_id, title, _explores(node))
    return tuple(found.values())


def _explores(check: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether the fixture ``explore`` is used for more than to count steps."""
    if not any(one.arg == "explore" for one in [*check.args.args, *check.args.kwonlyargs]):
        return False
    return any(isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "explore"
               and node.attr in INTERRUPTING for node in ast.walk(check))


def judge(expected: Sequence[Expected], transcript: Transcript, nonce: str) -> Judgement:
    """The results of all expected checks (and of unknown ones that ran), and the milestone's verdict."""
    hearing = _Hearing(nonce)
    for message in transcript.events:
        hearing.hear(message)
    flaw = hearing.flaw or transcript.broken or ("" if transcript.late else _bad_end(hearing, transcript.status))
    titles = {check.id: check.title for check in expected}
    unknown = [name for name in dict.fromkeys([*hearing.collected, *hearing.stories]) if name not in titles]
    checks = [_result(check, hearing, transcript, flaw) for check in expected]
    checks += [
        _error(name, name, "unknown-check", "a check ran that the milestone's file does not define")
        for name in unknown
    ]
    verdict = Verdict.ERROR if flaw else milestone_verdict(checks)
    return Judgement(tuple(checks), verdict, flaw)


def milestone_verdict(checks: Iterable[CheckResult]) -> Verdict:
    """One failure decides, unless an error beside it says that the machine or a service was not what it must be."""
    results = tuple(checks)
    verdicts = {check.verdict for check in results}
    if not results or any(check.verdict is Verdict.ERROR and check.reason in DOUBTFUL for check in results):
        return Verdict.ERROR
    for verdict in (Verdict.FAIL, Verdict.TIMEOUT, Verdict.ERROR, Verdict.UNJUDGED):
        if verdict in verdicts:
            return verdict
    return Verdict.PASS


def so_far(check: Expected, events: Sequence[Message], nonce: str) -> CheckResult | None:
    """How a check looks that has just finished; ``None`` if it has not. Only ``judge`` has the last word."""
    hearing = _Hearing(nonce)
    for message in events:
        hearing.hear(message)
    story = hearing.stories.get(check.id)
    if story is None or not story.ended:
        return None
    return _result(check, hearing, Transcript(tuple(events), 0), hearing.flaw)


class _Hearing:
    """Hears the messages in order. The first thing that must not be is the ``flaw``; nothing is heard after it."""

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce
        self._current: str | None = None
        self._greeted = False
        self.collected: list[str] = []
        self._has_collected = False
        self.stories: dict[str, _Story] = {}
        self.said_bye = False
        self.flaw = ""

    def hear(self, message: Message) -> None:
        if self.flaw:
            return
        event = message.get("event")
        if event == "hello" and not self._greeted:
            self._greeted = True
        elif not self._greeted:
            self.flaw = "the checks did not say hello first"
        elif message.get("nonce") != self._nonce:
            self.flaw = "a message did not carry the nonce of this run"
        elif self.said_bye:
            self.flaw = "a message came after the last one"
        elif event in ("pending", "idle"):
            return
        elif event == "collected":
            self._collected(message)
        elif not self._has_collected:
            self.flaw = "a check ran before the checks were listed"
        elif event == "bye":
            self._bye(message)
        elif event in ("started", "phase", "explored", "finished"):
            self._check(str(event), message)
        else:
            self.flaw = f"an unknown message: {event!r}"

    def _collected(self, message: Message) -> None:
        checks = message.get("checks")
        if self._has_collected or not isinstance(checks, list) or not all(isinstance(check, str) for check in checks):
            self.flaw = "the list of checks is not one list of names"
            return
        self._has_collected = True
        self.collected = checks

    def _bye(self, message: Message) -> None:
        ended = sum(1 for story in self.stories.values() if story.ended)
        if self._current is not None or message.get("count") != ended:
            self.flaw = f"{ended} checks finished, and {message.get('count')!r} were announced"
            return
        self.said_bye = True

    def _check(self, event: str, message: Message) -> None:
        check_id = message.get("check")
        if not isinstance(check_id, str):
            self.flaw = "a message names no check"
        elif event == "started":
            story = self.stories.setdefault(check_id, _Story())
            story.starts += 1
            if self._current is not None:
                self.flaw = f"{check_id} started inside {self._current}"
            self._current = check_id
        elif check_id != self._current:
            self.flaw = f"{check_id} was heard outside its own turn"
        elif event == "phase":
            self._phase(self.stories[check_id], message)
        elif event == "finished":
            story = self.stories[check_id]
            story.ended = True
            story.evidence = _lines(message.get("evidence"))
            story.exchange = message.get("exchange")
            self._current = None

    def _phase(self, story: _Story, message: Message) -> None:
        phase, outcome = message.get("phase"), message.get("outcome")
        story.phases.append((str(phase), str(outcome)))
        story.seconds += number(message.get("seconds"))
        if outcome == "failed" and story.failure is None:
            story.failure = message.get("failure") or {}


def _bad_end(hearing: _Hearing, status: int | None) -> str:
    if not hearing.said_bye:
        how = "without an exit status" if status is None else f"with status {status}"
        return f"the checks ended early, {how}"
    return "" if status in (0, 1) else f"the checks ended with status {status}"


def _result(check: Expected, hearing: _Hearing, transcript: Transcript, flaw: str) -> CheckResult:
    story = hearing.stories.get(check.id)
    if story is None or check.id not in hearing.collected:
        return _unheard(check, transcript, flaw)
    if story.starts != 1:
        return _error(check.id, check.title, "duplicate", f"the check ran {story.starts} times")
    if story.failure is not None:
        found = blame(story.failure)
        return CheckResult(
            check.id, check.title, found.verdict, story.seconds, found.reason, found.what, found.expected, found.seen,
            found.where, story.evidence, found.exchange or exchange(story.exchange),
        )
    if not story.ended:
        return _cut_short(check, story, transcript, flaw)
    if hearing.collected.count(check.id) != 1:
        return _error(check.id, check.title, "duplicate", "the check was listed more than once")
    if story.phases != GOOD:
        skipped = any(outcome == "skipped" for _, outcome in story.phases)
        reason, what = ("skipped", "was skipped") if skipped else ("incomplete", "did not run in full")
        return _error(check.id, check.title, reason, f"the check {what}; a check must run and decide")
    if flaw:
        return _error(check.id, check.title, "not-confirmed", flaw)
    if transcript.late:
        what = "good, but the milestone's time ran out before all was done"
        verdict = Verdict.TIMEOUT if transcript.pending else Verdict.ERROR
        return CheckResult(
            check.id, check.title, verdict, story.seconds, "not-confirmed", what, evidence=story.evidence
        )
    return CheckResult(check.id, check.title, Verdict.PASS, story.seconds, evidence=story.evidence)


def _unheard(check: Expected, transcript: Transcript, flaw: str) -> CheckResult:
    if transcript.late and transcript.pending and not flaw:
        what = "the milestone's time ran out before this check could start"
        return CheckResult(check.id, check.title, Verdict.TIMEOUT, 0.0, "not-reached", what)
    return _error(check.id, check.title, "missing", flaw or "the check did not run")


def _cut_short(check: Expected, story: _Story, transcript: Transcript, flaw: str) -> CheckResult:
    if flaw or not transcript.late:
        return _error(check.id, check.title, "crashed", flaw or "the check did not finish")
    if transcript.pending:
        what = f"your server had not answered {transcript.pending} when the milestone's time ran out"
        return CheckResult(check.id, check.title, Verdict.TIMEOUT, story.seconds, "deadline", what)
    what = "the milestone's time ran out while no answer of the server was due"
    return _error(check.id, check.title, "deadline", what)


def _error(check_id: str, title: str, reason: str, what: str) -> CheckResult:
    return CheckResult(check_id, title, Verdict.ERROR, 0.0, reason, what)


def _lines(value: Any) -> tuple[str, ...]:
    return tuple(str(line) for line in value) if isinstance(value, list) else ()


def number(value: object) -> float:
    """A number of a message, 0 for what is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
