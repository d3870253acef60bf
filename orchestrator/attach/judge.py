"""How `labs run` judges the server that runs in its terminal, when `labs check` asks for it."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import replace

from orchestrator.attach.target import AttachedTarget
from orchestrator.errors import LabsError
from orchestrator.judge.attempt import Listener
from orchestrator.judge.request import RunRequest
from orchestrator.judge.supervisor import judge
from orchestrator.judge.venue import Venue
from orchestrator.report.result import Report
from orchestrator.system.interrupt import Cancel
from orchestrator.targets.health import Health, ask_health
from orchestrator.targets.patience import Patience, Waiting
from orchestrator.workspace.budgets import start_budget
from orchestrator.workspace.select import PlannedMilestone

LOOK_EVERY = 0.1
LOOK_SECONDS = 2.0


class Judge:
    """A context manager around the server's life, and what ``attach.Host`` calls.

    When the server answers for the first time, what it has put into the services by then is noted: a table of applied
    migrations, say. That stays when the services are emptied for a milestone, since the server would not put it there
    again.
    """

    def __init__(self, venue: Venue, request: RunRequest, engine_reason: str, port: int) -> None:
        # Sessions obey what is switched on before they begin.
        venue.space.record().stop()
        self._venue = venue
        self._request = replace(request, attached=AttachedTarget(port))
        self._engine_reason = engine_reason
        self._port = port
        self._ended = threading.Event()
        self._settled = threading.Event()

    def __enter__(self) -> Judge:
        self._thread = threading.Thread(target=self._settle, name="labs-settle", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def __call__(self, milestones: tuple[PlannedMilestone, ...], seed: int, listener: Listener,
                 cancel: Cancel) -> Report:
        with Waiting(start_budget(self._request.lab, self._request.workspace)) as wait:
            # The server is below us, and what else is there sleeps meanwhile.
            wait.follow(os.getpid(), anew=False)
            while not self._settled.wait(LOOK_EVERY) and not cancel.asked and wait.ask() is Patience.WAIT:
                pass
        return judge(replace(self._request, milestones=milestones, seed=seed), self._venue,
                     engine_reason=self._engine_reason, listener=listener, cancel=cancel)

    def _settle(self) -> None:
        while not self._ended.is_set():
            answer = ask_health(self._port, end=time.monotonic() + LOOK_SECONDS,
                                go_on=lambda: not self._ended.is_set())
            if answer is Health.HTTP:
                with contextlib.suppress(LabsError, ConnectionError):  # a service that is down is the check's to say
                    self._venue.space.settle()
                self._settled.set()
                return
            self._ended.wait(LOOK_EVERY)
