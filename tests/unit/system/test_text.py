"""Foreign text on a reader's terminal."""

from __future__ import annotations

import pytest

from orchestrator.system.text import columns, filled

SEEN = "        seen      PostgreSQL has no row of the buyer that POST /buyers had just answered with 201"


def test_long_lines_break_at_spaces_below_their_text() -> None:
    """No word is broken, and what belongs to a label stands under it."""
    assert filled(f"short\n{SEEN}\n\nend", 60).split("\n") == [
        "short",
        "        seen      PostgreSQL has no row of the buyer that",
        "                  POST /buyers had just answered with 201",
        "", "end",
    ]


@pytest.mark.parametrize(("line", "under"), [
    ("    | 2026 LOG:  the database system is ready to accept connections", 6),
    ("  FAIL  Rows that are in the tables are still there after a start.", 8),
    ("pass      redis/hold    A seat is held for two minutes, for one buyer", 24),
    ("a sentence without a label, which is longer than what is shown here", 0),
])
def test_what_follows_stands_below_the_first_words(line: str, under: int) -> None:
    first, *others = filled(line, 50).split("\n")

    assert others
    assert all(len(one) - len(one.lstrip()) == under for one in others)
    assert " ".join([first, *(one.strip() for one in others)]) == line


@pytest.mark.parametrize("line", [
    "        by hand   curl -i http://127.0.0.1:8080/buyers -H 'Content-Type: application/json' -d '{\"name\": \"Ann\"}'",
    "https://example.org/" + "x" * 90,
])
def test_what_is_to_be_pasted_stays_whole(line: str) -> None:
    """A terminal breaks it, and gives it back in one piece."""
    assert filled(line, 60) == line


def test_colours_take_no_room() -> None:
    painted = f"\x1b[31m{'word ' * 10}\x1b[0m".strip()

    assert columns("\x1b[31mFAIL\x1b[0m") == 4
    assert filled(painted, 52) == painted
    assert max(columns(line) for line in filled(painted, 30).split("\n")) <= 30
