"""The page of promises of a lab's proof, as values and as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Broken:
    """A wrong solution that says it breaks a promise. ``alone``: this one only. ``caught``: by a check that names the
    promise; ``None``: it was not tried."""

    solution: str
    alone: bool
    caught: bool | None

    def __str__(self) -> str:
        how = {True: "caught", False: "NOT CAUGHT by a check that names it", None: "not tried"}[self.caught]
        return f"{self.solution}: {how}{'' if self.alone else ' (it breaks others, too)'}"


@dataclass(frozen=True, slots=True)
class PromiseKept:
    """One promise: where it stands, what judges it, what breaks it. ``values``: its edges, as every run tries them."""

    name: str
    place: str
    text: str
    checks: tuple[str, ...]
    broken: tuple[Broken, ...]
    values: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """A check names it, and no wrong solution that breaks it got past those that do."""
        return bool(self.checks) and all(one.caught is not False for one in self.broken)


def summary(promises: Sequence[PromiseKept]) -> str:
    """``137 promises, 0 that no check names; 41 are broken by a wrong solution and caught``."""
    unnamed = sum(not one.checks for one in promises)
    caught = sum(any(other.caught for other in one.broken) for one in promises)
    return (f"{len(promises)} promises, {unnamed} that no check names; {caught} broken by a wrong solution and caught, "
            f"{sum(not one.broken for one in promises)} that no wrong solution breaks")


def markdown(lab: str, promises: Sequence[PromiseKept]) -> str:
    """The page, for a Git host."""
    return "\n".join(_lines(lab, promises)) + "\n"


def _lines(lab: str, promises: Sequence[PromiseKept]) -> Iterator[str]:
    yield from (f"# The promises of {lab}", "", f"{summary(promises)}.", "")
    groups = (("No check names these", [one.name for one in promises if not one.checks]),
              ("No wrong solution breaks these", [one.name for one in promises if one.checks and not one.broken]))
    for title, names in groups:
        if names:
            yield from (f"## {title}", "", ", ".join(f"`{name}`" for name in names), "")
    yield from ("## All", "")
    for one in promises:
        yield from (f"### {one.name}", "", f"{one.text} ({one.place})", "")
        yield from (f"- judged by `{check}`" for check in one.checks)
        yield from (f"- broken by {other}" for other in one.broken)
        yield from (f"- tried: {value}" for value in one.values)
        yield ""
