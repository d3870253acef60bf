"""What is recorded of one attempt, by the services, by the checks' client and by us, made into one time line."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from orchestrator.checks.protocol import Message
from orchestrator.errors import EnvironmentFault
from orchestrator.judge.ties import Trip, tied
from orchestrator.judge.verdict import Expected, number
from orchestrator.model import Product, Record, Verdict
from orchestrator.report.result import MilestoneResult
from orchestrator.report.timeline import Mark, Request, Timeline, Words
from orchestrator.services import sight_of
from orchestrator.services.base import Recorded, Recorder
from orchestrator.services.parts import Sight

MOST_TEXT = 4000
"""Characters of one record's text that are kept."""
FAULTS = {
    "down": "the link to {} goes down", "shut": "the link to {} ends every connection at once",
    "hold": "the link to {} stands still", "stop": "{} is stopped", "pause": "{} is frozen", "kill": "{} is killed",
}
HEALED = {
    "down": "the link to {} is back", "shut": "the link to {} is back",
    "hold": "the link to {} moves again", "stop": "{} runs again", "pause": "{} goes on", "kill": "{} runs again",
}
LIFE = {
    "server.restart": "your server is restarted", "server.kill": "your server is killed and started again",
    "server.stop": "your server is stopped", "server.start": "your server is started",
    "server.replica": "a second copy of your server starts", "replica.stop": "a copy of your server is stopped",
    "explore.crash": "",
}
"""Calls that end or start the target, and what the time line says of each; empty: the call says it itself."""


class Recorders:
    """The recorders of a space's services, from ``begin`` to ``stop``; what one of them lacks is a gap, no error.

    A service that wakes in the middle begins late, in another thread; one that begins after the end is ended at once.
    """

    def __init__(self) -> None:
        self._running: dict[str, Recorder] = {}
        self._recordings: dict[str, Recorded] = {}
        self._stopped = False
        self._table = threading.Lock()

    def begin(self, service: str, recorder: Recorder | Exception) -> None:
        """Note the recorder of a service, or why there is none."""
        with self._table:
            if isinstance(recorder, Exception):
                self._recordings[service] = Recorded(gap=f"nothing was recorded: {recorder}")
                return
            if not self._stopped:
                self._running[service] = recorder
                return
        with contextlib.suppress(ConnectionError, EnvironmentFault):
            recorder.stop()

    def stop(self) -> Mapping[str, Recorded]:
        """End all; service -> what it recorded. Harmless twice."""
        with self._table:
            self._stopped = True
        while self._running:
            service, recorder = self._running.popitem()
            with contextlib.suppress(ConnectionError, EnvironmentFault):
                self._recordings[service] = recorder.stop()
        return self._recordings


def fault_words(kind: str, service: str, *, healed: bool) -> str:
    """``the link to redis goes down``."""
    return (HEALED if healed else FAULTS)[kind].format(service)


def timeline(result: MilestoneResult, checks: Sequence[Expected], *, seed: int, products: Mapping[str, Product],
             recordings: Mapping[str, Recorded], exchanges: Sequence[Message], marks: Sequence[Mark],
             trips: Mapping[str, Sequence[Sequence[Trip]]] | None = None) -> Timeline:
    """The attempt's time line. What counts as the same, and how it is spoken of, is asked of the services now.

    ``trips``: what the links to the services saw, by which records are tied to requests.
    """
    sights = {name: sight_of(name) for name in recordings}
    records = [one for name, recording in recordings.items()
               for one in tied(tuple(_shaped(recording.records, sights[name])), (trips or {}).get(name, ()))]
    return Timeline(
        milestone=result.id,
        title=result.title,
        verdict=result.verdict,
        reason=result.reason,
        seed=seed,
        checks={check.id: check.title for check in checks},
        failed=tuple(check.id for check in result.checks if check.verdict is not Verdict.PASS),
        requests=tuple(sorted((_request(one) for one in exchanges), key=lambda one: one.at)),
        records=tuple(sorted(records, key=lambda one: one.at)),
        marks=tuple(sorted(marks, key=lambda one: one.at)),
        products={name: str(product) for name, product in products.items()},
        gaps={name: recording.gap for name, recording in recordings.items() if recording.gap},
        words={name: Words(sight.entry, sight.entries, sight.legend) for name, sight in sights.items()},
    )


def _shaped(records: Sequence[Record], sight: Sight) -> Iterator[Record]:
    """The records, their texts cut, those numbered alike that the service calls the same."""
    numbers: dict[str, int] = {}
    shape_of = sight.shape and cache(sight.shape)
    for record in map(_shortened, records):
        yield record if shape_of is None else replace(
            record, shape=numbers.setdefault(shape_of(record.text), len(numbers)))


def _request(message: Message) -> Request:
    exchange: Any = message.get("exchange")
    one: Mapping[str, Any] = exchange if isinstance(exchange, dict) else {}
    status = one.get("status")
    return Request(
        at=number(one.get("at")), seconds=number(one.get("seconds")), check=str(message.get("check", "")),
        method=str(one.get("method", "")), path=str(one.get("path", "")), body=str(one.get("request", "")),
        status=status if isinstance(status, int) else None, response=str(one.get("response", "")),
        curl=str(one.get("curl", "")),
    )


def _shortened(record: Record) -> Record:
    return record if len(record.text) <= MOST_TEXT else replace(record, text=record.text[:MOST_TEXT] + "…")
