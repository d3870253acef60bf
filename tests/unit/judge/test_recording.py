"""An attempt's time line: what the services' own eyes add to what was recorded."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from orchestrator import services
from orchestrator.judge.recording import MOST_TEXT, timeline
from orchestrator.model import Fidelity, Product, Record, Verdict
from orchestrator.report.result import MilestoneResult
from orchestrator.report.timeline import Timeline, Words
from orchestrator.services.base import Recorded


def line(recordings: dict[str, Recorded]) -> Timeline:
    return timeline(MilestoneResult("m", "M", Verdict.PASS, "judged"), [], seed=1, recordings=recordings, exchanges=[],
                    marks=[], products={name: Product(name, "1", Fidelity.GENUINE) for name in recordings})


def recorded(service: str, *texts: str) -> Recorded:
    return Recorded(tuple(Record(service, float(at), text, "log") for at, text in enumerate(texts)), "" if texts else "none")


def test_records_that_a_service_calls_the_same_have_one_number() -> None:
    found = line({"postgres": recorded("postgres", "SELECT a FROM b WHERE c IN (1, 2)", "SELECT a FROM b WHERE c IN (3)",
                                       "SELECT b FROM b"),
                  "redis": recorded("redis", "GET hold:1:2", "GET hold:3:4")})

    numbers = {service: [one.shape for one in found.records if one.service == service] for service in ("postgres", "redis")}
    assert numbers == {"postgres": [0, 0, 1], "redis": [0, 0]}


def test_each_services_words_go_with_the_time_line() -> None:
    """Also of one of which nothing could be recorded; none of one that is not in the space."""
    found = line({"postgres": recorded("postgres", "SELECT 1"), "redis": recorded("redis")})

    assert {name: (words.entry, words.entries) for name, words in found.words.items()} == {
        "postgres": ("statement", "statements"), "redis": ("command", "commands")}
    assert "log+plan" in found.words["postgres"].legend
    assert "monitor" in found.words["redis"].legend


def test_a_service_that_says_nothing_is_recorded_all_the_same() -> None:
    found = line({"a-labs-own": recorded("a-labs-own", "x 1")})

    assert found.words == {"a-labs-own": Words()}
    assert [(one.text, one.shape) for one in found.records] == [("x 1", None)]


def test_a_service_from_elsewhere_says_it_in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy_for_sight").mkdir()
    (tmp_path / "toy_for_sight/__init__.py").touch()
    (tmp_path / "toy_for_sight/sight.py").write_text(
        "from orchestrator.services.parts import Sight\n"
        "SIGHT = Sight('call', 'calls', 'wire: as it came', shape=lambda text: text[:1])\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(services, "packages", lambda: {"toy": "toy_for_sight"})
    found = line({"toy": recorded("toy", "ab", "ac", "bc")})

    assert found.words == {"toy": Words("call", "calls", "wire: as it came")}
    assert [one.shape for one in found.records] == [0, 0, 1]


def test_what_is_looked_at_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement of megabytes takes a service's eye no longer than another."""
    seen: list[int] = []
    sight = dataclasses.replace(services.sight_of("postgres"), shape=lambda text: seen.append(len(text)) or "")
    monkeypatch.setattr("orchestrator.judge.recording.sight_of", lambda name: sight)
    line({"postgres": recorded("postgres", "x" * 1_000_000)})

    assert seen == [MOST_TEXT + 1]
