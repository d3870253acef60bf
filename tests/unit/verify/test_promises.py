"""The page of promises: which have a check, which a wrong solution breaks, and whether that was caught."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator import resources
from orchestrator.catalog.labs import find_lab
from orchestrator.catalog.promises import read_promises
from orchestrator.report.lab_promises import PromiseKept, markdown, summary
from orchestrator.report.lab_proof import CaseResult, Seen
from orchestrator.verify.promises import judged_by, page
from orchestrator.verify.solutions import Patch

PROMISED = [("once", "storage.md:3", "A seat is sold once."), ("never", "storage.md:4", "It never forgets.")]
CHECKS = {"once": ["shop/sale/test_once"]}
PATCH = Patch("shop-sale-twice", "# promise: once\n", "python", "Sold twice.", "shop/sale", "oversold")


def proved(check: str, lab: Path, passed: tuple[str, ...] = ()) -> tuple[PromiseKept, ...]:
    seen = {"shop/sale": Seen("fail", "oversold", check, passed_checks=passed)}
    result = CaseResult("wrong shop-sale-twice", "wrong", "shop/sale", "Sold twice.", seen)
    return page(PROMISED, CHECKS, [PATCH], [result], lab)


def test_a_promise_holds_if_its_own_check_caught_its_wrong_solution(tmp_path: Path) -> None:
    once, never = proved("shop/sale/test_once", tmp_path)

    assert once.holds
    assert [str(one) for one in once.broken] == ["shop-sale-twice: caught"]
    assert not never.holds
    assert never.checks == ()
    assert summary((once, never)) == ("2 promises, 1 that no check names; 1 broken by a wrong solution and caught, "
                                      "1 that no wrong solution breaks")


def test_another_check_that_caught_it_does_not_count(tmp_path: Path) -> None:
    assert not proved("shop/sale/test_other", tmp_path, passed=("shop/sale/test_once",))[0].holds


def test_its_own_check_need_not_be_the_first_that_caught_it(tmp_path: Path) -> None:
    """A wrong server meets all checks, and may fail several."""
    assert proved("shop/sale/test_other", tmp_path)[0].holds


def test_what_was_not_tried_is_no_failure(tmp_path: Path) -> None:
    once = page(PROMISED[:1], CHECKS, [PATCH], [], tmp_path)[0]

    assert once.holds
    assert once.broken[0].caught is None


def test_the_page_lists_what_no_check_names(tmp_path: Path) -> None:
    text = markdown("shop", proved("shop/sale/test_once", tmp_path))

    assert "## No check names these\n\n`never`" in text
    assert "- judged by `shop/sale/test_once`" in text


@pytest.mark.parametrize("name", sorted(one.parent.name for one in resources.labs_folder().glob("*/lab.toml")))
def test_each_promise_of_our_labs_has_a_check(name: str) -> None:
    lab = find_lab(name)
    briefs = [one.brief.relative_to(lab.folder).as_posix() for one in lab.milestones]
    named = {one.name for one in read_promises(lab.folder, briefs).named}

    assert named
    assert named == set(judged_by(lab))
