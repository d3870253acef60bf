"""The pytest child's end of the channel: the order of its words, and its end."""

from __future__ import annotations

import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.child import MILESTONE, NONCE, Child, first_message
from support.junk import Connection, JunkServer

from orchestrator.checks.channel import LOST_SUPERVISOR


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Callable[[str], Child]]:
    children: list[Child] = []

    def start(source: str) -> Child:
        children.append(Child(tmp_path / str(len(children)), textwrap.dedent(source)))
        return children[-1]

    yield start
    for one in children:
        one.process.kill()
        one.process.wait(10)
        one._lines.close()
        one.channel.close()


def test_the_conversation(child: Callable[[str], Child], tmp_path: Path) -> None:
    """Hello comes first, without the nonce, when all is loaded; every later message carries it, in the order promised."""
    one = child(f"""
        import pathlib
        pathlib.Path({str(tmp_path / 'loaded')!r}).touch()
        def test_a(server): pass
    """)
    assert one.hear() == {"event": "hello", "v": 1}
    assert (tmp_path / "loaded").exists()
    one.say(first_message())
    heard = [one.hear()]
    while heard[-1]["event"] != "bye":
        heard.append(one.hear())

    assert [(event["event"], event.get("phase")) for event in heard] == [
        ("collected", None), ("started", None), ("phase", "setup"), ("phase", "call"), ("phase", "teardown"),
        ("finished", None), ("bye", None)]
    assert {event["nonce"] for event in heard} == {NONCE}
    assert heard[0]["checks"] == [f"{MILESTONE}/test_a"]
    assert heard[-1]["count"] == 1
    assert one.process.wait(10) == 0


def test_drivers_are_loaded_before_hello(child: Callable[[str], Child]) -> None:
    """What a check's evidence needs is imported in the head start, not in the check's own time; the rest is not."""
    one = child("""
        import sys
        def test_a(request): assert "psycopg" in sys.modules and "redis" not in sys.modules
        def test_b(postgres): pass
    """)
    one.hear()
    one.say(first_message())
    events = [one.hear() for _ in range(5)]

    assert [event["outcome"] for event in events if event.get("phase") == "call"] == ["passed"]


def test_open_requests_are_announced(child: Callable[[str], Child]) -> None:
    """``pending`` comes with the first open call to the target, ``idle`` when none is open any more."""
    one = child("""
        from orchestrator.checks import Call
        def test_a(server):
            server.parallel([Call("GET", "/good")] * 2)
            server.post("/good")
    """)
    both = threading.Barrier(2)

    def good(connection: Connection) -> None:
        if len(server.requests) <= 2:
            both.wait(20)
        connection.json(b"{}")

    with JunkServer({"good": good}) as server:
        one.hear()
        one.say(first_message(server.url))
        events = [one.hear()]
        while events[-1]["event"] != "bye":
            events.append(one.hear())

    assert [(event["event"], event.get("what")) for event in events if event["event"] in ("pending", "idle")] == [
        ("pending", "GET /good"), ("idle", None), ("pending", "POST /good"), ("idle", None)]


def test_an_endless_id_does_not_break_the_channel(child: Callable[[str], Child]) -> None:
    """A server's answer may be an id of megabytes; what is announced of a request for it is short."""
    one = child("""
        import pytest
        def test_a(server):
            with pytest.raises(Exception, match="ids that can be part of a path"):
                server.get("/" + "7" * 7_000_000)
    """)
    one.hear()
    one.say(first_message())
    events = [one.hear()]
    while events[-1]["event"] != "bye":
        events.append(one.hear())

    (pending,) = [event["what"] for event in events if event["event"] == "pending"]
    assert pending.startswith("GET /777")
    assert len(pending) < 1000
    assert [event["outcome"] for event in events if event.get("phase") == "call"] == ["passed"]


@pytest.mark.parametrize("when", ["before the first message", "in a check", "in a call"])
def test_the_end_of_the_channel_is_the_end_of_the_child(child: Callable[[str], Child], when: str) -> None:
    """A child whose supervisor is gone ends itself at once, whatever it is doing."""
    one = child("""
        import time
        def test_a(server):
            server.restart()
            try:
                time.sleep(600)
            finally:
                time.sleep(600)
    """)
    one.hear()
    if when != "before the first message":
        one.say(first_message())
        while "call" not in (message := one.hear()):
            pass
        if when == "in a check":
            one.say({"id": message["id"], "ok": None})

    assert one.hang_up() == LOST_SUPERVISOR
