"""Where something can happen to a request: its steps, and the points before and after them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

SHOWN = 60
"""Letters of a step's text in a message."""


@dataclass(frozen=True, slots=True)
class StepTaken:
    """One round trip: ``text`` as the server said it (may be empty), ``nth`` of its ``kind`` at this service."""

    number: int
    service: str
    text: str
    kind: str
    nth: int
    connection: int

    @property
    def key(self) -> tuple[str, str, int]:
        """The same in each run of the same request."""
        return self.service, self.kind, self.nth

    def __str__(self) -> str:
        text = self.text or f"message {self.number} (to {self.service})"
        return text if len(text) <= SHOWN else text[:SHOWN - 3] + "..."


@dataclass(frozen=True, slots=True)
class Explored:
    """What was tried, as words for evidence: ``str(explored)``. ``waited``: how often the second request had to."""

    steps: tuple[StepTaken, ...]
    tried: int
    waited: int = 0
    unreached: int = 0
    points: str = "step"

    def __str__(self) -> str:
        count = len(self.steps)
        if self.points != "step":
            said = f"{self.tried} {self.points}{'' if self.tried == 1 else 's'} among {count} steps"
        else:
            said = f"each of {count} steps" if self.tried == count else f"{self.tried} of {count} steps"
            said = "its only step" if self.tried == count == 1 else said
        if self.unreached:
            said += f", {self.unreached} of them not met again"
        times = "once" if self.waited == 1 else f"{self.waited} times"
        return said + (f" (the second request had to wait {times})" if self.waited else "")


@dataclass(frozen=True, slots=True)
class Point:
    """Where something happens: before a step (``before``: the one that came first), or ``after`` it."""

    step: StepTaken
    before: StepTaken | None
    after: bool = False

    def words(self, deed: str) -> str:
        """``your server was held between its `GET hold:7:1` and its `DEL hold:7:1` ``.

        ``deed`` completes "your server ...", a place follows, unless ``{step}`` in it is one. ``{service}`` is its own.
        """
        said = f"your server {deed.format(service=self.step.service, step=f'`{self.step}`')}"
        if "{step}" in deed:
            return said
        if self.after:
            return f"{said} after its `{self.step}`, before it heard the answer"
        if self.before is None:
            return f"{said} before its first step, `{self.step}`"
        return f"{said} between its `{self.before}` and its `{self.step}`"


def before_each(steps: Sequence[StepTaken], services: Collection[str] = ()) -> list[Point]:
    """A point before every step, or before those to these services."""
    return [Point(step, steps[place - 1] if place else None) for place, step in enumerate(steps)
            if not services or step.service in services]


def crash_points(steps: Sequence[StepTaken], states: Mapping[int, str], last: str) -> list[Point]:
    """The last point of each stretch in which nothing was written.

    ``states``: a step's number -> what was written when the server stood before it; ``last``: after the last one.
    A step without one (two connections can stand at once) is a point of its own, as is the one before it.
    """
    points = [*before_each(steps), *([Point(steps[-1], None, after=True)] if steps else [])]
    seen = [*(states.get(step.number) for step in steps), last]
    return [point for place, point in enumerate(points)
            if point.after or seen[place] is None or seen[place] != seen[place + 1]]


def chosen(points: Sequence[Point], most: int) -> list[int]:
    """Places of those that are tried: all, or ``most``: the first, the last, the last of each kind of step, and of the
    others some evenly between. What a server does once, such as moving an alias, is not left to chance so."""
    count = len(points)
    if count <= most:
        return list(range(count))
    kinds = {(point.step.service, point.step.kind): place for place, point in enumerate(points)}
    first = sorted({0, count - 1, *kinds.values()})
    if len(first) >= most:
        return _evenly(first, most)
    return sorted([*first, *_evenly([place for place in range(count) if place not in first], most - len(first))])


def _evenly(places: Sequence[int], most: int) -> list[int]:
    """The first, the last and some between."""
    return sorted({places[round(number * (len(places) - 1) / max(1, most - 1))] for number in range(most)})
