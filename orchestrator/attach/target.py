"""A server that is not ours: `labs run` started it in the learner's terminal, and it is judged as it runs there."""

from __future__ import annotations

import os
import time

from orchestrator.system.ports import answers
from orchestrator.targets.health import Health, ask_health
from orchestrator.targets.patience import LATER, Patience, Waiting
from orchestrator.targets.process import TargetInvalid
from orchestrator.workspace.budgets import Budget

PATIENCE = Budget(5.0)
"""In which it must answer ``GET /health``: somebody may have saved a file that it reloads."""
POLL_EVERY = 0.05


class AttachedTarget:
    """``Target``'s words for a server that cannot be started, stopped or read by us: they end nothing."""

    keeper_lost = False
    foreign = False
    """It has none of ours."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    @property
    def root(self) -> int:
        """The process below which the server is: `labs run`, which is ours."""
        return os.getpid()

    def start(self) -> None:
        """Wait until it answers. Raises ``TargetInvalid``."""
        with Waiting(PATIENCE) as wait:
            wait.follow(self.root, anew=False)
            while ask_health(self.port, end=wait.end, go_on=lambda: wait.ask() is Patience.WAIT) is not Health.HTTP:
                if (state := wait.ask()) is Patience.STARVED:
                    raise TargetInvalid("machine-too-slow", wait.starved("whether your server answers"), advice=LATER)
                if state is Patience.SLOW:
                    raise TargetInvalid("not-answering", f"the server of labs run does not answer GET /health on port "
                                        f"{self.port}; look into the terminal in which it runs")
                time.sleep(POLL_EVERY)

    def alive(self) -> bool:
        """Whether somebody takes connections on its port."""
        return answers(self.port)

    def stop(self, grace: float = 0.0) -> int:  # noqa: ARG002
        """It goes on."""
        return 0

    def kill(self) -> None:
        """It goes on."""

    def log(self, lines: int = 0) -> str:  # noqa: ARG002
        """Empty: its output is in the learner's terminal."""
        return ""

    def close(self) -> None:
        """It goes on."""
