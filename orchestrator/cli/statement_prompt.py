"""A prompt for one service where no client program of its is installed: reads a line, has it run, prints the answer."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any

from orchestrator.cli.outcome import error_text, paint, say
from orchestrator.system.interrupt import SIGNALS

LEAVE = frozenset({"exit", "quit", "\\q"})


def prompt(service: str, run: Callable[[str], str]) -> None:
    """Until Ctrl-D or ``exit``. Ctrl-C leaves the line, or the statement that runs, and not the prompt.

    ``run`` takes a statement and gives its answer; what it raises (``LabsError``, ``ConnectionError``) is shown in a
    line, and the next one can be typed. Needs a terminal.
    """
    from orchestrator.errors import EnvironmentFault, LabsError

    with contextlib.suppress(ImportError):  # a Python that was built without it: a line, but no history
        import readline  # noqa: F401 - its import gives input() editing and a history
    with _own_signals():
        while True:
            try:
                statement = input(f"{service}> ").strip()
                if statement in LEAVE:
                    return
                if statement:
                    print(run(statement))
            except EOFError:
                say("")
                return
            except KeyboardInterrupt:
                say("")
            except LabsError as error:
                say(error_text(error))
            except ConnectionError as error:
                say(error_text(EnvironmentFault(str(error), code="not-started", hint="labs status")))


def greeting(title: str) -> str:
    """What a person has to know before the first line."""
    return paint(f"No client program for {title} is installed here, so labs runs your statements: one a line.\n"
                 "Each line has a connection of its own, so a transaction has to fit on one line. Ctrl-D ends.", "dim")


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Ctrl-C as often as it is pressed; whatever else ends a program ends this one: it holds nothing."""
    own: dict[int, Any] = dict.fromkeys(SIGNALS, signal.SIG_DFL) | {signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in own.items()
              if signal.getsignal(number) is not signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
