"""How late Elasticsearch's answers are, by a node that is as slow as a test wants."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from orchestrator.services.elasticsearch.evidence.reader import Elasticsearch


@contextmanager
def node(go_on: threading.Event, asked: threading.Semaphore) -> Iterator[Elasticsearch]:
    class Slow(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.release()
            go_on.wait(5)
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield Elasticsearch({"host": "127.0.0.1", "port": server.server_port})
        finally:
            server.shutdown()


def test_an_answer_that_waits_is_counted_beyond_the_usual_time() -> None:
    """One that stands for 0.6 seconds is about half a second late."""
    go_on, asked = threading.Event(), threading.Semaphore(0)
    with node(go_on, asked) as reader, reader.slowness("events") as late:
        assert asked.acquire(timeout=5)
        threading.Event().wait(0.6)
        go_on.set()
    assert 0.4 <= sum(late) <= 5


def test_answers_that_come_at_once_are_not_late() -> None:
    """Each is in the list, as nothing or almost nothing."""
    go_on, asked = threading.Event(), threading.Semaphore(0)
    go_on.set()
    with node(go_on, asked) as reader, reader.slowness("events") as late:
        for _ in range(3):
            assert asked.acquire(timeout=5)
    assert len(late) >= 2
    assert min(late) == 0


def test_a_node_that_is_away_excuses_nothing() -> None:
    """No time is added for it."""
    with Elasticsearch({"host": "127.0.0.1", "port": 9}).slowness("events") as late:
        pass
    assert late == []
