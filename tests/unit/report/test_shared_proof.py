"""The proof: says what passed and no more, and nothing that a server wrote becomes markup."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from support.reports import failed, report

from orchestrator.catalog.labs import find_lab
from orchestrator.model import Fidelity, Product, Verdict
from orchestrator.report.markdown import code as md_code
from orchestrator.report.markdown import text as md_text
from orchestrator.report.result import CheckResult, MilestoneResult, Report
from orchestrator.report.shared_proof import SharedProof, badge, markdown, page, shared_proof
from orchestrator.system.own_files import MARK

MILESTONES = find_lab("databases").milestones
EVERY = len(MILESTONES)
HOSTILE = '<script>alert(1)</script> | `` ` ``` [x](javascript:y) ![z](http://evil/z.png) **b** <!-- & "q" \x1b[2J\n# head\u202e'


def all_passed() -> Report:
    """A run of `--all` in which everything passed."""
    return report(*(
        MilestoneResult(one.id, one.title, Verdict.PASS, "asked", checks=(
            CheckResult(f"{one.id}/test_it", "It.", Verdict.PASS, 0.1, evidence=(f"saw {one.id}",)),))
        for one in MILESTONES))


def tags(text: str) -> set[str]:
    """Every element of a page."""
    found: set[str] = set()

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.add(tag)

    Reader().feed(text)
    return found


def three(shown: SharedProof) -> list[str]:
    return [markdown(shown), badge(shown), page(shown)]


def test_everything_passed() -> None:
    shown = shared_proof(all_passed(), MILESTONES)

    assert (shown.score, shown.notes) == (f"{EVERY}/{EVERY}", ())
    assert all(f"{EVERY}/{EVERY}" in text or f"{EVERY} of {EVERY}" in text for text in three(shown))


def test_what_was_not_judged_is_never_passed() -> None:
    """Neither what the run left for later, nor what it did not have at all."""
    one = dataclasses.replace(report().milestones[0], role="later", verdict=Verdict.PASS)
    shown = shared_proof(report(one), MILESTONES)

    assert shown.score == f"0/{EVERY}"
    assert {row.word for row in shown.rows} == {"not judged"}
    assert f"{EVERY} of {EVERY} milestones were not judged" in shown.notes[0]
    assert shown.notes[0] in markdown(shown)
    assert shown.notes[0] in page(shown)


def test_every_verdict_has_its_word_and_only_pass_counts() -> None:
    shown = shared_proof(report(), MILESTONES)
    rows = {row.id: row for row in shown.rows}

    assert shown.score == f"1/{EVERY}"
    assert [row.id for row in shown.rows] == [one.id for one in MILESTONES]
    assert rows["postgres/schema"].lines == ("PostgreSQL has the 4 tables",)
    assert rows["postgres/crud"].word == "failed (not-stored)"
    assert rows["postgres/crud"].lines == ("the row of buyer 1: expected 1 row, seen no row",)
    assert rows["postgres/pool"].word.startswith("too slow")
    assert rows["redis/hold"].word.startswith("blocked")
    assert rows["redis/live"].word.startswith("not judged")
    assert rows["redis/outage"].word.startswith("not judged")
    assert rows["redis/expiry"].word == "not judged"


def test_a_milestone_that_the_lab_no_longer_has_is_still_shown() -> None:
    shown = shared_proof(report(failed("postgres/old")), MILESTONES)

    assert shown.rows[-1].id == "postgres/old"
    assert shown.score == f"0/{EVERY + 1}"


@pytest.mark.parametrize("fact", [
    "databases 1.0.0, commit c0ffee", "PostgreSQL 18.1 (genuine)", "docker 27.0", "local, not isolated", "0.1.0",
    "2026-01-02T03:04:05+00:00", "labs check --all --seed 7", "pipx install backend-labs==0.1.0", "not a certificate",
])
def test_both_pages_say_where_it_comes_from_and_how_to_repeat_it(fact: str) -> None:
    shown = shared_proof(report(), MILESTONES)

    assert md_text(fact) in markdown(shown) or fact in markdown(shown)
    assert fact in page(shown)


def test_a_change_since_the_run_and_an_interruption_are_said() -> None:
    shown = shared_proof(dataclasses.replace(all_passed(), interrupted=True), MILESTONES, changed=True)

    assert len(shown.notes) == 2
    assert "stopped before its end" in page(shown)
    assert "have changed" in markdown(shown)


def test_lines_of_evidence_are_cleaned() -> None:
    shown = shared_proof(report(), MILESTONES, clean=lambda text: text.replace("tables", "TABLES"))

    assert "PostgreSQL has the 4 TABLES" in markdown(shown)
    assert "4 tables" not in page(shown)


def test_nothing_hostile_becomes_markup() -> None:
    """In evidence, in what was seen, in titles, products and the lab's name."""
    passed = dataclasses.replace(report().milestones[0], title=HOSTILE,
                                 checks=(CheckResult("a/b", "c", Verdict.PASS, 0.1, evidence=(HOSTILE,)),))
    wrong = failed(seen=HOSTILE, what=HOSTILE)
    made = dataclasses.replace(report(passed, wrong), lab=HOSTILE, engine=HOSTILE, labs_version=HOSTILE,
                               products={"x": Product(HOSTILE, HOSTILE, Fidelity.GENUINE)})
    shown = shared_proof(made, ())

    assert tags(page(shown)) <= tags(page(shared_proof(report(), ())))
    ET.fromstring(badge(shown))
    assert "<script" not in page(shown) + badge(shown)
    for text in three(shown):
        assert MARK in text[:512]
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert outside_code(markdown(shown)).count("<") == 1, "only our own mark"
    assert "](" not in outside_code(markdown(shown)).replace("](badge.svg)", "")
    assert "**" not in outside_code(markdown(shown))


def outside_code(text: str) -> str:
    """Markdown without its code spans and indented code, by the rules of CommonMark."""
    lines = [line for line in text.splitlines() if not line.startswith("    ")]
    return re.sub(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", "\n".join(lines))


@pytest.mark.parametrize(("text", "expected"), [
    ("plain text, 12 of 15.", "plain text, 12 of 15."), ("a|b", "a&#124;b"), ("<b>", "&lt;b&gt;"), ("a & b", "a &amp; b"),
    ("a_b*c", "a&#95;b&#42;c"), ("http://x", "http&#58;//x"), ("www.x.y", "www&#46;x.y"), ("@who", "&#64;who"),
    ("[a](b)", "&#91;a&#93;(b)"), ("a\nb", "a\\x0ab".replace("\\", "&#92;")), ("#1", "&#35;1"),
])
def test_text_of_markdown(text: str, expected: str) -> None:
    assert md_text(text) == expected


@pytest.mark.parametrize(("text", "expected"), [
    ("a", "` a `"), ("a`b", "`` a`b ``"), ("```", "```` ``` ````"), ("a\nb", "` a\\x0ab `"), ("x" * 500, f"` {'x' * 399}… `"),
])
def test_code_of_markdown(text: str, expected: str) -> None:
    assert md_code(text) == expected


def test_the_page_needs_nothing_and_works_on_a_phone() -> None:
    text = page(shared_proof(report(), MILESTONES))

    assert "script" not in tags(text)
    assert tags(text) & {"link", "img", "iframe", "object"} == set()
    assert not re.search(r"(?:src|href)=|url\(|@import", text)
    assert 'name="viewport"' in text
    assert "prefers-color-scheme:dark" in text
    assert "<table" not in text
    assert '<html lang="en">' in text


@pytest.mark.parametrize(("passed", "colour"), [(0, "#57606a"), (3, "#8a5d00"), (EVERY, "#1a7f37")])
def test_the_badge_is_small_and_can_be_read_aloud(passed: int, colour: str) -> None:
    made = all_passed()
    shown = shared_proof(dataclasses.replace(made, milestones=made.milestones[:passed]), MILESTONES)
    root = ET.fromstring(badge(shown))

    assert root.get("role") == "img"
    assert root.get("aria-label") == f"databases: {passed} of {EVERY} milestones passed"
    assert [one.text for one in root.iter("{http://www.w3.org/2000/svg}title")] == [root.get("aria-label")]
    assert [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")] == ["databases", f"{passed}/{EVERY}"]
    assert colour in badge(shown)
    assert len(badge(shown)) < 1500
