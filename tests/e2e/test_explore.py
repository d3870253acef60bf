"""`labs explore` as a learner uses it: each step of a request, on services of its own, and no verdict."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import Labs
from support.workspace import patch

from orchestrator.workspace.progress import read_passed

pytestmark = [pytest.mark.e2e, pytest.mark.engine("embedded")]

SHOP = Path(__file__).parents[2] / "labs/databases/solutions/accepted/python"


def test_a_right_server_is_shown_and_has_passed_nothing(fresh_labs: Labs, shop: Path) -> None:
    """Every step in the service's words, with what is left of it; only `labs check` says that it passed."""
    done = fresh_labs.run("explore", "redis/hold", cwd=shop)

    assert done.returncode == 0, done
    assert "POST /events/{id}/holds" in done.stdout
    assert "killed after it" in done.stdout
    assert "BROKEN" not in done.stdout
    assert read_passed(shop) == set()


def test_a_step_that_loses_something_is_named_and_can_be_tried_again(fresh_labs: Labs, shop: Path) -> None:
    """The other steps are shown all the same; the time line says where the server was held."""
    patch(shop, SHOP.parents[1] / "wrong/redis-hold-get-then-set.patch")
    answer = fresh_labs.json("explore", "redis/hold", "--seed", "5", cwd=shop)
    rows = [(one["deed"], row["step"], row["broken"]) for one in answer["data"]["explorations"] for row in one["rows"]]
    broken = {(step, words["reason"]) for _, step, words in rows if words}

    assert answer["exit_code"] == 1
    assert {reason for _, reason in broken} == {"two-holders", "hold-of-others-changed"}
    assert len([deed for deed, _, words in rows if deed == "hold" and not words]) >= 3
    (step,) = {step for step, _ in broken}
    once = fresh_labs.json("explore", "redis/hold", "--seed", "5", "--step", str(step), cwd=shop)
    held = [row["step"] for one in once["data"]["explorations"] if one["deed"] == "hold" for row in one["rows"]]
    assert (once["exit_code"], set(held)) == (1, {step}), once
    assert f"step {step} of" in fresh_labs.ok("trace", "redis/hold", cwd=shop)


def test_a_milestone_without_steps_says_which_have_them(fresh_labs: Labs, shop: Path) -> None:
    """Before any service is started."""
    answer = fresh_labs.json("explore", "postgres/n-plus-one", cwd=shop)

    assert (answer["exit_code"], answer["errors"][0]["code"]) == (2, "explores-nothing")
    assert any(line.startswith("postgres/isolation ") for line in answer["errors"][0]["details"])
