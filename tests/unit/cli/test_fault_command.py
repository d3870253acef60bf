"""`labs fault` without an engine: its help, its numbers, its words."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from orchestrator.cli.fault_command import cli, seconds_of, words
from orchestrator.errors import UsageError
from orchestrator.faults.record import LastingFault
from orchestrator.faults.toxics import KINDS


def test_the_help_has_every_fault_in_one_line_of_a_small_terminal() -> None:
    """Each with its sentence, on 80 columns."""
    text = CliRunner().invoke(cli, ["add", "--help"], terminal_width=80).output

    assert [kind.name for kind in KINDS.values() if kind.about not in text] == []
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("5m", 300), ("1h", 3600), ("2.5", 2.5), (None, None)])
def test_times_are_read_as_people_write_them(text: str | None, seconds: float | None) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "0s", "25h", "-3s"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="up to 24 hours"):
        seconds_of(text)


def test_a_fault_in_words() -> None:
    """As `labs fault list` shows it."""
    fault = LastingFault("1", "postgres", "latency", "downstream", {"ms": 300.0, "jitter": 50.0}, 0.0, 1)

    assert words(fault) == "latency 300 ms ± 50 ms, downstream"


def test_a_wrong_word_is_said_before_anything_is_looked_at() -> None:
    """With a stable code, and the next command."""
    done = subprocess.run([sys.executable, "-m", "orchestrator", "fault", "add", "postgres", "latncy", "--json"],
                          capture_output=True, text=True, check=False)

    answer = json.loads(done.stdout)

    assert done.returncode == 2
    assert [(one["code"], bool(one["hint"])) for one in answer["errors"]] == [("unknown-fault", True)]
