"""The control of a latency limit: an echo server in the supervisor that a check times in the same window.

It says what this machine can do just now: when a line to it and back is late, too, a late server proves nothing.
"""

from __future__ import annotations

import contextlib
import socketserver
import threading


class _Echo(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while line := self.rfile.readline(4096):
                self.wfile.write(line)


class _EchoServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = False
    request_queue_size = 128  # a check may time many at once: the sixth would be left out, and try again after a second

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is not worth a word on the learner's terminal."""


class ControlServer:
    """Answers each line with the same line on 127.0.0.1. A context manager."""

    def __init__(self) -> None:
        self._server = _EchoServer(("127.0.0.1", 0), _Echo)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="labs-control", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self) -> ControlServer:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._server.shutdown()
        finally:
            self._server.server_close()
