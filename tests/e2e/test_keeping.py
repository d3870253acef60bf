"""What a learner typed into a service outlives everything but `reset` and `clean`: checks, crashes, reboots."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from support.cli import Labs
from support.ports import usual_ports_taken
from support.workspace import make_workspace

from orchestrator.engines.choose import choose
from orchestrator.system.home import find_home, installation_id, user_id

pytestmark = pytest.mark.e2e

CHECKS = 2 * int(os.environ.get("SOAK", "1"))
"""`make soak` judges a hundred times."""


@pytest.fixture
def labs(fresh_labs: Labs) -> Labs:
    """Both services run, and hold a word each."""
    with usual_ports_taken():
        fresh_labs.ok("start", "databases", "postgres", "redis", "sqlite")
    fresh_labs.ok("connect", "postgres", "-c", "CREATE TABLE notes (text text)")
    fresh_labs.ok("connect", "postgres", "-c", "INSERT INTO notes VALUES ('still here')")
    fresh_labs.ok("connect", "redis", "-c", "SET note 'still-here'")
    return fresh_labs


def assert_words(labs: Labs) -> None:
    assert "still here" in labs.ok("connect", "postgres", "-c", "SELECT text FROM notes")
    assert "still-here" in labs.ok("connect", "redis", "-c", "GET note")


def test_words_outlive_a_reboot(labs: Labs) -> None:
    """Every process ends without a warning, and nothing of what `labs` noted beside the objects is left."""
    before = labs.json("env")["data"]["variables"]
    home = find_home(labs.environment)
    choice = choose(labs.engine, home=home)
    try:
        for instance in choice.engine.list(user=user_id(), installation=installation_id(home)):
            if not instance.spec.file:
                choice.engine.kill(instance.spec.name)
    finally:
        choice.engine.close()
    shutil.rmtree(home.state)

    assert {one["ready"] for one in labs.json("status")["data"]["services"] if one["service"] != "sqlite"} == {False}
    labs.ok("start", "databases", "postgres", "redis", "sqlite")

    assert_words(labs)
    assert labs.json("env")["data"]["variables"] == before


def test_words_outlive_checks_and_checks_do_not_see_them(labs: Labs, tmp_path: Path) -> None:
    """Two folders are judged at the same time, again and again; each has its own services and its own verdict."""
    folders = [make_workspace(tmp_path / name) for name in ("one", "two")]

    for _ in range(CHECKS // 2):
        both = [labs.popen("check", cwd=folder) for folder in folders]
        for one in both:
            out, err = one.communicate(timeout=240)
            assert one.returncode == 1, (out, err)
            assert "schema-missing-table" in out, (out, err)

    assert_words(labs)
