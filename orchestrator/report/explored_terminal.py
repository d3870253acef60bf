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
LABELS = {"hold": "held before it", "mute": "held after it", "crash": "killed before it", "cut": "cut before it",
          "lose": "answer lost", "late": "came late", "delay": "delayed", "late-answer": "answered late",
          "silence": "silent from it", "late-silence": "silent after it"}
KILLED_AFTER = "killed after it"
MEANING = {
    "hold": "Your server was held before the step while {during}. Then it went on.",
    "mute": "The service did the step, and its answer was held back while {during}. Then your server heard it.",
    "crash": "Your server was killed before the step and started again.",
    "cut": "The connection was cut before the step reached the service. Your server kept running.",
    "lose": "The service did the step, but the connection was cut before its answer arrived. Your server kept running.",
    "late": "The connection was cut before the step, which reached the service only after your server had looked. "
            "Your server kept running.",
    "delay": "The step reached the service late.",
    "late-answer": "The service did the step at once, and your server heard of it late.",
    "silence": "From the step on the service said nothing and closed nothing, until your server had answered.",
    "late-silence": "The answer to the step came late, and after it the service said nothing and closed nothing, until "
                    "your server had answered.",
}
TWO_ANSWERS = "Of two answers in a line the first is that of the request that was held."
HAD_TO_WAIT = "(had to wait): the other one came only after your server went on."
LABEL_WIDTH = max(len(label) for label in [*LABELS.values(), KILLED_AFTER])
BROKEN, KEPT = "BROKEN", "kept"


def render(explored: Discoveries, *, width: int = 80, paint: Paint = plain) -> str:
    """The whole as text, ``width`` columns wide. Everything foreign is escaped."""
    width = min(max(width, LEAST_WIDTH), MOST_WIDTH)
    about = escape(", ".join(explored.products.values()))
    run = f"{explored.engine} · seed {explored.seed}"
    heads = [f"{about} · {run}"] if len(about) + len(run) + 3 <= width else [about, run]
    title = cut(escape(explored.title), width - len(explored.milestone) - 2)
    out = [f"{paint(explored.milestone, 'bold')}  {title}",
           *(line for head in heads for line in _wrapped(head, width, "", paint))]
    for group in grouped(explored.explorations):
        out += ["", *_group(explored, group, width, paint)]
    return "\n".join([*out, "", *_summary(explored, width, paint)])


def again(explored: Discoveries, row: Tried) -> str:
    """The command that tries this step once more."""
    return f"labs explore {explored.milestone} --step {row.step} --seed {explored.seed}"


def answers(row: Tried) -> str:
    """``201``, or ``201, other 409``; empty without any."""
    own, others = row.answers[:1], row.answers[1:]
    return ", ".join([one for one in own if one] + [f"other {one}" for one in others if one])


def meaning(one: Exploration, letter: str, *, everywhere: bool) -> str:
    """What was done at a step, and at which steps. ``everywhere``: not only at one that was asked for."""
    said = [MEANING[one.deed].format(during=escape(one.during) or "a second request was answered")]
    tried = {row.step for row in one.rows}
    left = {step.number for step in one.steps} - tried
    if everywhere and tried and left:
        services = {step.service for step in one.steps if step.number in tried}
        if one.deed == "crash":
            said.append(f"A step without a line {letter} is like the next one that has it: nothing new was stored "
                        "in between.")
        elif not any(step.service in services for step in one.steps if step.number in left):
            said.append(f"Only at steps to {' and '.join(sorted(services))}.")
        else:
            said.append(f"Only at {len(tried)} of {len(one.steps)} steps.")
    return " ".join(said)


def _legend(group: Sequence[Exploration]) -> list[str]:
    """What some of the lines below say, where there are such lines."""
    rows = [row for one in group for row in one.rows]
    two = any(len([one for one in row.answers if one]) > 1 for row in rows)
    return [TWO_ANSWERS] * two + [HAD_TO_WAIT] * any(row.waited for row in rows)


def _group(explored: Discoveries, group: Sequence[Exploration], width: int, paint: Paint) -> Iterator[str]:
    """One request: what was tried, then its steps with what came of it."""
    steps = group[0].steps
    name = paint(escape(group[0].request) or "A request", "cyan")
    if not steps:
        yield f"{name}: no step. Your server answered without asking a service."
        return
    lettered = [(LETTERS[place % len(LETTERS)], one) for place, one in enumerate(group)]
    yield f"{name}: {_counted(len(steps), 'step')}. What was tried at them:"
    stated = ""
    for letter, one in lettered:
        yield from _wrapped(meaning(one, letter, everywhere=not explored.step), width, f"  {letter}  ")
        if one.title != stated:
            yield from _wrapped(f"Must stay true: {escape(one.title)}", width, "     ", paint)
        stated = one.title
    for words in _legend(group):
        yield from _wrapped(words, width, "  ")
    yield ""
    wide = max(len(step.service) for step in steps)
    told: set[tuple[str, str, str, str]] = set()
    for step in steps:
        if explored.step not in (0, step.number):
            continue
        start = f"{step.number:>3}  {step.service:<{wide}}  "
        text = one_line(step.text) or "a message that labs cannot read"
        # A step that was asked for is shown whole.
        yield from _wrapped(text if explored.step else cut(text, width - len(start)), width, start, paint, "bold")
        broken = [row for letter, one in lettered for row in one.rows if row.step == step.number and row.broken]
        for letter, one in lettered:
            for row in one.rows:
                if row.step == step.number:
                    yield _row(letter, one, row, width, paint)
                    yield from _broken(row.broken, letter, told, width)
        if broken and not explored.step:
            yield f"{'':8}again     {paint(again(explored, broken[0]), 'cyan')}"


def _row(letter: str, one: Exploration, row: Tried, width: int, paint: Paint) -> str:
    label = KILLED_AFTER if one.deed == "crash" and row.after else LABELS[one.deed]
    notes = [(answers(row) or "no answer") + (" (had to wait)" if row.waited else "")]
    if not row.reached:
        notes.append("did not come to it again")
    verdict, colour = (KEPT, "green") if row.broken is None else (BROKEN, "red")
    start = f"     {letter}  {label:<{LABEL_WIDTH}}  "
    room = width - len(start) - len(BROKEN) - 2
    said = cut(escape(", ".join(notes)), room)
    return f"{start}{said:<{room}}  {paint(verdict, colour)}"


def _broken(
    broken: NotKept | None, letter: str, told: set[tuple[str, str, str, str]], width: int,
) -> Iterator[str]:
    """What did not hold. Where the same was said above (``told``), only what was seen this time."""
    if broken is None:
        return
    same = (letter, broken.reason, broken.what, broken.expected)
    lines = [("looked at", broken.what), ("expected", broken.expected), ("seen", broken.seen),
             ("reason", broken.reason)]
    for word, text in lines:
        if text and (same not in told or word == "seen"):
            yield from _wrapped(escape(text), width, f"{'':8}{word:<10}")
    told.add(same)


def _summary(explored: Discoveries, width: int, paint: Paint) -> Iterator[str]:
    tried, broken = len(explored.rows), len(explored.broken)
    moments = f"{_counted(tried, 'moment')} tried in {explored.seconds:.1f} s"
    if not tried:
        yield "Nothing was tried: there was no step at which to try it."
    elif not broken:
        yield f"{moments}: {paint('all kept', 'green')} what must stay true."
    else:
        yield f"{moments}: {paint(f'{broken} broken', 'red')}, {tried - broken} kept."
    commands = [("next", f"labs check {explored.milestone}", "exploring gives no verdict")]
    if broken:
        commands.insert(0, ("trace", f"labs trace {explored.milestone}", "each request, and what was done to it"))
    for word, what, why in commands:
        room = len(word) + len(what) + len(why) + 7 <= width
        yield f"{paint(word, 'cyan')}: {what}" + (f"   ({why})" if room else "")


def _counted(number: int, word: str) -> str:
    """``1 step``, ``2 steps``."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def _wrapped(text: str, width: int, start: str, paint: Paint = plain, colour: str = "dim") -> list[str]:
    """Lines of the text, the first one after ``start``, the others below it."""
    lines = textwrap.wrap(text, width - len(start)) or [""]
    return [(start if number == 0 else " " * len(start)) + paint(line, colour) for number, line in enumerate(lines)]
