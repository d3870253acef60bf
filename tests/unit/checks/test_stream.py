"""Server-sent events: the format, and streams over real connections."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.junk import OK, Connection, JunkServer
from support.wait import until

from orchestrator.checks import expect
from orchestrator.checks.contract import Contract
from orchestrator.checks.errors import Failed, TargetTimeout, TargetWrong
from orchestrator.checks.http import Limits
from orchestrator.checks.server import Server
from orchestrator.checks.stream import Event, EventStream, Parser

HEADER = b"HTTP/1.1 200 OK\r\n" + b"Content-Type: text/event-stream\r\n\r\n"


def parsed(*chunks: bytes) -> list[tuple[str, str]]:
    parser = Parser()
    return [(event.name, event.data) for chunk in chunks for event in parser.feed(chunk)]


def test_the_last_id_stays_until_there_is_another() -> None:
    """As the standard has it: one with U+0000 is none, an empty one takes it away, also where no data follows."""
    events = Parser().feed(b"data: 1\n\nid: 7\ndata: 2\n\ndata: 3\n\nid: 8\n\nid: 9\0\ndata: 4\n\nid\ndata: 5\n\n")

    assert [event.id for event in events] == ["", "7", "7", "8", ""]


@pytest.mark.parametrize(("stream", "events"), [
    (b"data: 1\n\n", [("message", "1")]),
    (b"data:1\n\n", [("message", "1")]),
    (b"data:  1\n\n", [("message", " 1")]),
    (b"event: held\ndata: {\"seat\": 12}\n\n", [("held", '{"seat": 12}')]),
    (b"data: a\ndata: b\ndata\n\n", [("message", "a\nb\n")]),
    (b"data\n\n", [("message", "")]),
    (b": a comment\n\n:\n\nid: 7\nretry: 10\nunknown: x\ndata: 1\n\n", [("message", "1")]),
    (b"event: lost\n\ndata: 1\n\n", [("message", "1")]),
    (b"data: 1\r\n\r\ndata: 2\r\n\r\n", [("message", "1"), ("message", "2")]),
    (b"data: 1\r\rdata: 2\r\r", [("message", "1"), ("message", "2")]),
    (b"data: a\rdata: b\r\ndata: c\n\r\n", [("message", "a\nb\nc")]),
    (b"\xef\xbb\xbfdata: 1\n\n\xef\xbb\xbfdata: 2\n\n", [("message", "1")]),
    ("data: Žofie 🎟\n\n".encode(), [("message", "Žofie 🎟")]),
    (b"data: \xff\n\n", [("message", "\ufffd")]),
    (b"data: unfinished\n", []),
])
def test_the_format_however_it_is_cut(stream: bytes, events: list[tuple[str, str]]) -> None:
    """Lines end with LF, CR or CRLF; comments and unknown fields pass; the same in one piece, in bytes, in halves."""
    assert parsed(stream) == events
    assert parsed(*(bytes([byte]) for byte in stream)) == events
    for cut in range(len(stream)):
        assert parsed(stream[:cut], stream[cut:]) == events


def test_an_event_is_there_with_its_last_byte() -> None:
    """A CR ends its line at once: nobody waits for an LF that may never come, and one that comes is no empty line."""
    parser = Parser()

    assert list(parser.feed(b"data: 1\r\r")) == [Event("message", "1")]
    assert list(parser.feed(b"\ndata: 2\r\n\r")) == [Event("message", "2")]
    assert list(parser.feed(b"\n")) == []


def test_long_lines_and_many_lines_cost_what_they_are_long() -> None:
    """Megabytes in one line, or in very short ones, take seconds at most."""
    parser = Parser()
    began = time.process_time()
    for _ in range(8192):
        list(parser.feed(b"x" * 1024))
    for _ in range(64):
        list(parser.feed(b":\n" * 16384))

    assert time.process_time() - began < 10


class FakeChannel:
    """Notes what a check waits for."""

    def __init__(self) -> None:
        self.waits: list[str] = []

    @contextlib.contextmanager
    def pending(self, what: str) -> Iterator[None]:
        self.waits.append(what)
        yield


Open = Callable[[Callable[[Connection], Any]], EventStream]


@pytest.fixture
def channel() -> FakeChannel:
    return FakeChannel()


@pytest.fixture
def stream(channel: FakeChannel) -> Iterator[Open]:
    """Open the stream that a server writes with this function."""
    with contextlib.ExitStack() as stack:

        def open_stream(answer: Callable[[Connection], Any]) -> EventStream:
            junk = stack.enter_context(JunkServer({"live": answer}))
            server = Server(junk.url, channel, limits=Limits(body=1024 * 1024),  # type: ignore[arg-type]
                            contract=Contract({}), on_exchange=lambda exchange: None)
            return stack.enter_context(server.stream("/live", deadline=2.0))

        yield open_stream


def test_events_arrive_while_the_stream_is_open(stream: Open, channel: FakeChannel) -> None:
    """Events come one by one, comments do not count, and waiting for one is waiting for the server."""

    def answer(connection: Connection) -> None:
        connection.send(HEADER + b": hello\n\nevent: held\ndata: 1\n\n")
        connection.send(b"data: 2\n\n")
        connection.wait()

    live = stream(answer)

    assert live.status == 200
    assert live.headers["content-type"] == "text/event-stream"
    assert [live.next(), live.next()] == [Event("held", "1"), Event("message", "2")]
    assert channel.waits == ["GET /live", "the next event of GET /live", "the next event of GET /live"]


def test_chunked_streams(stream: Open) -> None:
    """Chunks may cut an event anywhere."""

    def answer(connection: Connection) -> None:
        connection.send(OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\ndata\r\n6\r\n: 1\r\n\r\r\n1\r\n\n\r\n")
        connection.wait()

    assert stream(answer).next() == Event("message", "1")


def test_no_event_is_late(stream: Open) -> None:
    """Nothing within the deadline is the server's time-out, with the exchange."""

    def answer(connection: Connection) -> None:
        connection.send(HEADER)
        connection.wait()

    with pytest.raises(TargetTimeout) as caught:
        stream(answer).next(deadline=0.1)

    assert caught.value.reason == "no-event"
    assert caught.value.exchange is not None


def test_a_stream_outlives_the_deadline_of_its_header(channel: FakeChannel) -> None:
    """``deadline`` is the header's: an event long after it arrives."""
    go = threading.Event()

    def answer(connection: Connection) -> None:
        connection.send(HEADER)
        go.wait(10)
        connection.send(b"data: 1\n\n")
        connection.wait()

    with JunkServer({"live": answer}) as junk:
        server = Server(junk.url, channel, limits=Limits(), contract=Contract({}),  # type: ignore[arg-type]
                        on_exchange=lambda _: None)
        with server.stream("/live", deadline=0.3) as live:
            assert live.none_within(0.6) == []
            go.set()
            assert live.next(5.0) == Event("message", "1")


def test_a_stream_is_asked_for_with_headers_of_its_own() -> None:
    """A client that opens it anew says what it has heard last."""
    heard: list[str] = []

    class Client:
        def open(self, method: str, path: str, *, headers: dict[str, str], deadline: float) -> Any:
            heard.extend(f"{name}: {value}" for name, value in headers.items())
            raise ConnectionError

    server = Server("http://127.0.0.1:9", FakeChannel(), limits=Limits(), contract=Contract({}),  # type: ignore[arg-type]
                    on_exchange=lambda _: None)
    server._client = Client()  # type: ignore[assignment]
    with pytest.raises(ConnectionError):
        server.stream("/live", headers={"Last-Event-ID": "7"})

    assert heard == ["Accept: text/event-stream", "Last-Event-ID: 7"]


def test_a_header_that_does_not_come_is_late(stream: Open) -> None:
    """A stream whose header is not sent at once is the server's time-out."""
    with pytest.raises(TargetTimeout) as caught:
        stream(lambda connection: connection.wait())

    assert caught.value.reason == "too-slow"


@pytest.mark.parametrize("ending", [b"", b"data: unfinished"])
def test_a_stream_that_ends_says_so_each_time(stream: Open, ending: bytes) -> None:
    """The end by the server is wrong, not late, however often one asks."""
    live = stream(lambda connection: connection.send(HEADER + ending))

    for _ in range(2):
        with pytest.raises(TargetWrong) as caught:
            live.next()
        assert caught.value.reason == "stream-ended"


@pytest.mark.parametrize("flood", [b"x" * 65536, b"data: 1\n\n" * 4096, b"data\n\n" * 10_000])
def test_an_endless_stream_is_cut(stream: Open, flood: bytes) -> None:
    """Bytes and events have a cap: the reader stops and says why."""

    def answer(connection: Connection) -> None:
        connection.send(HEADER)
        connection.flood(flood)

    live = stream(answer)
    with pytest.raises(TargetWrong) as caught:
        list(iter(lambda: live.next(10.0), None))

    assert caught.value.reason == "stream-ended"
    assert "more than" in caught.value.seen


def test_silence_is_looked_at_for_the_whole_time(stream: Open) -> None:
    """``none_within`` gives what came all the same."""

    def answer(connection: Connection) -> None:
        connection.send(HEADER + b"data: 1\n\n")
        connection.wait()

    live = stream(answer)
    began = time.monotonic()

    assert live.none_within(0.2) == [Event("message", "1")]
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize(("leave", "error"), [("drop", ConnectionResetError), ("close", None)])
def test_how_a_client_leaves(stream: Open, leave: str, error: type[OSError] | None) -> None:
    """``drop`` resets the connection, as a client does that lost its power; the end of the block closes it in order."""
    seen: list[object] = []

    def answer(connection: Connection) -> None:
        connection.send(HEADER)
        connection.socket.settimeout(10)
        try:
            seen.append(connection.socket.recv(1))
        except OSError as wrong:
            seen.append(type(wrong))

    live = stream(answer)
    began = time.monotonic()
    if leave == "drop":
        live.drop()
    else:
        live.__exit__(None, None, None)

    assert time.monotonic() - began < 3
    assert until(lambda: seen) == [error or b""]


def test_many_streams_at_once(channel: FakeChannel) -> None:
    """Fifteen clients, each with the events of all; none is left behind."""

    def answer(connection: Connection) -> None:
        connection.send(HEADER + b"data: 1\n\n")
        connection.socket.settimeout(10)
        with contextlib.suppress(socket.timeout):
            connection.socket.recv(1)

    with JunkServer({"live": answer}) as junk, contextlib.ExitStack() as stack:
        server = Server(junk.url, channel, limits=Limits(), contract=Contract({}),  # type: ignore[arg-type]
                        on_exchange=lambda _: None)
        streams = [stack.enter_context(server.stream("/live")) for _ in range(15)]
        assert [live.next().data for live in streams] == ["1"] * 15
        stack.close()

    assert [thread for thread in threading.enumerate() if thread.name == "labs-stream"] == []


REFUSALS = {"paths": {"/live": {"get": {"responses": {"503": {"content": {"application/json": {"schema": {
    "type": "object", "required": ["code"]}}}}}}}}}


@pytest.mark.parametrize(("kind", "body", "reason"), [
    (b"application/json", b'{"code": "unavailable"}', ""), (b"text/plain", b'{"code": "unavailable"}', "not-json"),
    (b"application/json", b"{}", "contract-broken"), (b"application/json", b"", "not-json"),
], ids=["as promised", "another type", "a field is missing", "nothing"])
def test_a_stream_that_is_refused_is_an_answer_as_any_other(
    channel: FakeChannel, kind: bytes, body: bytes, reason: str
) -> None:
    """It is read to its end and has the form that is promised; it has no events."""

    def answer(connection: Connection) -> None:
        length = str(len(body)).encode()
        connection.send(b"HTTP/1.1 503 Away\r\nContent-Type: " + kind + b"\r\nContent-Length: " + length + b"\r\n\r\n")
        connection.send(body)
        connection.wait()

    heard: list[dict[str, object]] = []
    with JunkServer({"live": answer}) as junk, contextlib.ExitStack() as stack:
        server = Server(junk.url, channel, limits=Limits(), contract=Contract(REFUSALS),  # type: ignore[arg-type]
                        on_exchange=heard.append)
        if reason:
            with pytest.raises(TargetWrong) as caught:
                server.stream("/live")
            assert caught.value.reason == reason
        else:
            live = stack.enter_context(server.stream("/live"))
            assert live.answer is not None
            assert (live.status, live.answer.json()) == (503, {"code": "unavailable"})
            assert live.ended()
        assert [(one["status"], one["response"]) for one in heard] == [(503, body.decode())]


@pytest.mark.parametrize("framing", [b"", b"Transfer-Encoding: chunked\r\n"], ids=["plain", "chunked"])
def test_a_stream_where_404_is_due_is_a_wrong_answer_not_a_late_one(channel: FakeChannel, framing: bytes) -> None:
    """A stream has no end that a check could wait for: what it asked about is the status, and that was there."""

    def answer(connection: Connection) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + framing + b"\r\n")
        connection.send(b"3\r\n:\n\n\r\n" if framing else b":\n\n")
        connection.wait()

    with JunkServer({"live": answer}) as junk:
        server = Server(junk.url, channel, limits=Limits(), contract=Contract({}),  # type: ignore[arg-type]
                        on_exchange=lambda exchange: None)
        with pytest.raises(Failed, match="404") as caught:
            expect.status(server.get("/live", deadline=0.3), 404, reason="unknown-id-answer", code="not_found")

    assert caught.value.reason == "unknown-id-answer"
    assert caught.value.expected == "404 with code not_found"
    assert caught.value.seen.startswith("200 and a stream of events that stays open")
