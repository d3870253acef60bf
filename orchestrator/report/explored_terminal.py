"""What `labs explore` found, for the terminal: each request's steps in order, below each step what was tried there."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from orchestrator.report.explored import Discoveries, Exploration, NotKept, Tried, grouped
from orchestrator.report.terminal import Paint, plain
from orchestrator.report.trace_terminal import cut, one_line
from orchestrator.system.text import escape

LEAST_WIDTH, MOST_WIDTH = 60, 120
LETTERS = "abcdefghijklmnopqrstuvwxyz"
LABELS = {"hold": "held before it", "crash": "killed before it", "cut": "cut before it", "lose": "answer lost",
          "delay": "delayed"}
KILLED_AFTER = "killed after it"
MEANING = {
    "hold": "Your server is held before the step while {during}. Then it goes on.",
    "crash": "Your server is killed before the step and started again. Steps without this line leave the same data as "
             "the next step that has it.",
    "cut": "The connection is cut before the step reaches the service. Your server lives on.",
    "lose": "The service does the step, but the connection is cut before its answer arrives. Your server lives on.",
    "delay": "The step reaches the service late.",
}
LABEL_WIDTH = max(len(label) for label in [*LABELS.values(), KILLED_AFTER])


def render(explored: Discoveries, *, width: int = 80, paint: Paint = plain) -> str:
    """The whole as text, ``width`` columns wide. Everything foreign is escaped."""
    width = min(max(width, LEAST_WIDTH), MOST_WIDTH)
    about = ", ".join(explored.products.values())
    out = [f"{paint(explored.milestone, 'bold')}  {escape(explored.title)}",
           paint(f"{about} · {explored.engine} · seed {explored.seed}", "dim")]
    for group in grouped(explored.explorations):
        out += ["", *_group(explored, group, width, paint)]
    return "\n".join([*out, "", *_summary(explored, paint)])


def again(explored: Discoveries, row: Tried) -> str:
    """The command that tries this step once more."""
    return f"labs explore {explored.milestone} --step {row.step} --seed {explored.seed}"


def answers(row: Tried) -> str:
    """``201``, or ``201, other 409``."""
    first, *second = (one for one in row.answers if one)
    said = first if row.answers and row.answers[0] else ""
    return said + "".join(f", other {one}" for one in second)


def _group(explored: Discoveries, group: Sequence[Exploration], width: int, paint: Paint) -> Iterator[str]:
    """One request: what is tried, then its steps with what came of it."""
    steps = group[0].steps
    count = f"{len(steps)} step{'' if len(steps) == 1 else 's'}"
    name = paint(escape(group[0].request) or "A request", "cyan")
    if not steps:
        yield f"{name}: no step. Your server answered without asking a service."
        return
    yield f"{name}: {count}. Tried at each step:"
    for letter, one in zip(LETTERS, group, strict=False):
        meaning = MEANING[one.deed].format(during=escape(one.during) or "a second request is answered")
        yield from _wrapped(meaning, width, f"  {letter}  ")
        yield from _wrapped(f"Must stay true: {escape(one.title)}", width, "     ", paint)
    yield ""
    shown = [step for step in steps if explored.step in (0, step.number)]
    wide = max((len(step.service) for step in steps), default=0)
    for step in shown:
        start = f"{step.number:>3}  {step.service:<{wide}}  "
        text = one_line(step.text) or "a message that labs cannot read"
        yield start + paint(cut(text, width - len(start)), "bold")
        for letter, one in zip(LETTERS, group, strict=False):
            for row in one.rows:
                if row.step == step.number:
                    yield from _row(explored, letter, one, row, width, paint)


def _row(explored: Discoveries, letter: str, one: Exploration, row: Tried, width: int, paint: Paint) -> Iterator[str]:
    label = KILLED_AFTER if one.deed == "crash" and row.after else LABELS[one.deed]
    notes = [(answers(row) or "no answer") + (" (had to wait)" if row.waited else "")]
    if not row.reached:
        notes.append("this step was not met again")
    verdict = "kept" if row.broken is None else "BROKEN"
    start = f"     {letter}  {label:<{LABEL_WIDTH}}  "
    room = width - len(start) - len("BROKEN") - 2
    said = cut(escape(", ".join(notes)), room)
    yield f"{start}{said:<{room}}  {paint(verdict, 'green' if row.broken is None else 'red')}"
    if row.broken is not None:
        yield from _broken(row.broken, width)
        yield f"{'':8}again     {paint(again(explored, row), 'cyan')}"


def _broken(broken: NotKept, width: int) -> Iterator[str]:
    for word, text in (("looked at", broken.what), ("expected", broken.expected), ("seen", broken.seen)):
        if text:
            yield from _wrapped(escape(text), width, f"{'':8}{word:<10}")
    yield f"{'':8}{'reason':<10}{escape(broken.reason)}"


def _summary(explored: Discoveries, paint: Paint) -> Iterator[str]:
    tried, broken = len(explored.rows), len(explored.broken)
    moments = f"{tried} moment{'' if tried == 1 else 's'}"
    took = f"{explored.seconds:.1f} s"
    if not tried:
        yield "Nothing was tried: there was no step at which to try it."
    elif not broken:
        yield f"{moments} tried in {took}: {paint('all kept', 'green')} what must stay true."
    else:
        yield f"{moments} tried in {took}: {paint(f'{broken} broken', 'red')}, {tried - broken} kept."
        yield f"{paint('trace', 'cyan')}: labs trace {explored.milestone}   (each request, and what was done to it)"
    yield f"{paint('next', 'cyan')}: labs check {explored.milestone}   (this was no verdict)"


def _wrapped(text: str, width: int, start: str, paint: Paint = plain) -> list[str]:
    """Lines of the text, the first one after ``start``, the others below it."""
    lines = textwrap.wrap(text, width - len(start)) or [""]
    return [(start if number == 0 else " " * len(start)) + paint(line, "dim") for number, line in enumerate(lines)]
