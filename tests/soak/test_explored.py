"""Ten of ten: each wrong server that only an exploration finds is found every time, at the same step."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.cli import Labs

SOLUTIONS = Path(__file__).parents[2] / "labs/databases/solutions"
TIMES = 10
FOUND_BY = {
    "postgres-isolation-lock-in-process": "test_a_sale_between_two_steps_of_another",
    "postgres-constraints-trigger-looks": "test_an_equal_event_between_two_steps",
    "postgres-transactions-key-after-the-sale": "test_the_same_request_after_a_crash",
    "postgres-transactions-key-taken-back": "test_the_same_request_after_a_lost_answer",
    "redis-counters-lock-in-process": "test_a_view_between_two_steps_of_another",
    "redis-expiry-get-then-del": "test_a_release_never_ends_the_next_hold",
    "redis-hold-setnx-then-expire": "test_a_server_that_dies_leaves_no_hold_for_ever",
    "redis-leaderboard-score-of-count": "test_a_view_between_two_steps_of_another",
    "redis-outage-fails-after-the-sale": "test_a_cut_connection_costs_no_sale",
}
"""A wrong solution -> the check that finds the step."""
PLACE = re.compile(r"; (your server [^;]*?)(?: while [^;]*)? \(step \d+ of \d+\)$")


@pytest.mark.parametrize("name", FOUND_BY)
def test_a_wrong_server_is_found_at_the_same_step_every_time(name: str, tmp_path: Path) -> None:
    """Other values each time, the same words of the server's: those of the step, without the values in them."""
    patch = SOLUTIONS / "wrong" / f"{name}.patch"
    header = dict(re.findall(r"^# (\w+): (.+)$", patch.read_text(), re.MULTILINE))
    server = tmp_path / "server"
    shutil.copytree(SOLUTIONS / "accepted/python", server)
    subprocess.run(["git", "apply", "-p1", str(patch)], cwd=server, check=True)
    labs = Labs(tmp_path / "home", "embedded")
    places = []
    for seed in range(1, TIMES + 1):
        done = labs.run("check", header["milestone"], "--seed", str(seed), "--json", cwd=server, timeout=300)
        checks = {check["id"].rsplit("/", 1)[1]: check for milestone in json.loads(done.stdout)["data"]["milestones"]
                  if milestone["id"] == header["milestone"] for check in milestone["checks"]}
        found = checks[FOUND_BY[name]]
        assert (found["verdict"], found["reason"]) == ("fail", header["reason"]), found
        place = PLACE.search(found["what"])
        assert place is not None, found["what"]
        places.append(re.sub(r"\d[\w.]*", "N", place[1]))

    assert len(set(places)) == 1, places
