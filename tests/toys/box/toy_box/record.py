"""What the box itself wrote down of the learner's server."""

from __future__ import annotations

from orchestrator.model import Record
from orchestrator.services.base import Recorded
from toy_box.wire import Connection, Refused


class BoxRecorder:
    """See ``Recorder``. ``connection`` is the administrator's, and closed by ``stop``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._from = int(connection.ask("COUNT"))

    def stop(self) -> Recorded:
        try:
            count = int(self._connection.ask(f"LOG {self._from}"))
            lines = [self._connection.line().split(" ", 2) for _ in range(count)]
        except (OSError, Refused):
            return Recorded(gap="nothing: the box was stopped")
        finally:
            self._connection.close()
        return Recorded(tuple(Record("box", float(at), text, "log", session=session) for at, session, text in lines))
