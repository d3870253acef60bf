"""Values that no server can know beforehand: from the run's seed and the check's id, the same in any order."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

T = TypeVar("T")

LETTERS = "abcdefghjkmnpqrstuvwxyz"
CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"
FIRST_TIME = datetime(2028, 1, 1, tzinfo=UTC)
YEARS = 12


class Fresh:
    """One check's source of values. The same seed and check id give the same values, every time."""

    def __init__(self, seed: int, check_id: str) -> None:
        self._random = random.Random(f"{seed}/{check_id}")  # noqa: S311 - repeatable is the point
        self._times: set[int] = set()

    def token(self, length: int = 10) -> str:
        """Letters and digits; unlikely enough to be unique in the run."""
        return "".join(self._random.choices(LETTERS + "23456789", k=length))

    def name(self, kind: str) -> str:
        """``Tamiro-Kelusa``, ``bodera-401763``: letters, digits and a dash, in several forms.

        They look like what a person would type, so that no server can know them for ours; ``kind`` says to who reads
        the check what is named.
        """
        del kind
        forms = (
            lambda: f"{self._word(4).capitalize()}-{self._word(4).capitalize()}",
            lambda: f"{self._word(4)}-{self._random.randrange(100_000, 1_000_000)}",
            lambda: f"{self._word(5).capitalize()}-{self._word(3)}",
            lambda: f"{self._word(3)}-{self._word(3)}-{self._random.randrange(1_000, 10_000)}",
        )
        return self._random.choice(forms)()

    def _word(self, syllables: int) -> str:
        return "".join(self._random.choice(CONSONANTS) + self._random.choice(VOWELS) for _ in range(syllables))

    def text(self, kind: str) -> str:
        """A name as people have them: quotes, accents, other scripts, an emoji."""
        return f"{kind} \"{self.token(4)}\" O'Brien Žofie 漢字 🎟 {self.token(6)}"

    def integer(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return self._random.randint(low, high)

    def choice(self, values: Sequence[T]) -> T:
        """One of them."""
        return self._random.choice(values)

    def shuffled(self, values: Sequence[T]) -> list[T]:
        """All of them, in another order."""
        copy = list(values)
        self._random.shuffle(copy)
        return copy

    def time(self) -> str:
        """A moment in the future, RFC 3339 in UTC, whole seconds; never twice in a check, hardly in a run."""
        while (seconds := self._random.randrange(YEARS * 365 * 24 * 3600)) in self._times:
            pass
        self._times.add(seconds)
        return (FIRST_TIME + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
