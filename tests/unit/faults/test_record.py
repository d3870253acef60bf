"""The file that says what is broken: what is written is read again, and what is damaged is nothing."""

from __future__ import annotations

import json
from pathlib import Path

from orchestrator.faults import record
from orchestrator.faults.record import Breakage, LastingFault, Relay

FAULT = LastingFault("1", "redis", "latency", "upstream", {"ms": 5.0, "jitter": 0.0}, 0.0, 7, done=True)
PAUSE = LastingFault("2", "redis", "pause", "", {}, 99.0, 7)
ALL = Breakage("env-1", "env", (FAULT, PAUSE), (Relay("abc", "redis", {"": 6379}, {"": 20000}, 4, 5, 6.5, False),))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """Also by the process that waits until the first fault's time is over."""
    path = tmp_path / "faults/env-1.json"

    record.write(path, ALL)

    assert record.read(path) == ALL
    assert json.loads(path.read_text())["until"] == 99.0
    assert PAUSE.over
    assert not FAULT.over


def test_nothing_broken_is_no_file(tmp_path: Path) -> None:
    """Whoever heals the last fault of a service that nothing stands before leaves nothing."""
    path = tmp_path / "env-1.json"
    record.write(path, ALL)

    record.write(path, ALL.without(FAULT, PAUSE).without_front("redis"))

    assert not path.exists()
    assert record.read(path) is None


def test_without_its_process_a_service_has_no_fault_of_connections() -> None:
    assert ALL.without_front("redis").faults == (PAUSE,)
    assert ALL.next_id() == "3"
    assert ALL.without(FAULT).next_id() == "1"


def test_a_damaged_file_is_none(tmp_path: Path) -> None:
    """Torn, foreign, or with a fault that nobody knows."""
    path = tmp_path / "env-1.json"
    storm = {"id": "1", "service": "redis", "kind": "storm", "direction": "", "numbers": {}, "until": 0.0, "pid": 1}
    for change in ({"faults": [{"id": "1"}]}, {"relays": [3]}, {"environment": 5}, {"faults": [storm]}):
        record.write(path, ALL)
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
        assert record.read(path) is None
    path.write_text("{")
    assert record.read(path) is None
