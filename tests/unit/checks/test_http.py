"""The HTTP client against servers that answer as none should. Limits hold to the byte and to the moment."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from support.junk import BODY_LIMIT, JUNK, OK, Connection, JunkServer

from orchestrator.checks.answer import parse_json
from orchestrator.checks.errors import Judged, TargetTimeout, TargetWrong
from orchestrator.checks.exchange import curl
from orchestrator.checks.http import Client, Limits
from orchestrator.model import Verdict

TYPES = {Verdict.FAIL: TargetWrong, Verdict.TIMEOUT: TargetTimeout}
DEADLINE = 0.6


def echo(connection: Connection) -> None:
    connection.json(b'{"a": 1}')


def exactly(size: int) -> bytes:
    return OK + b"Connection: close\r\n\r\n" + b"x" * size


@pytest.fixture(scope="module")
def junk() -> Iterator[JunkServer]:
    answers = {
        "good": echo,
        "just_fits": lambda connection: connection.send(exactly(BODY_LIMIT)),
        "one_too_many": lambda connection: connection.send(exactly(BODY_LIMIT + 1)),
    }
    with JunkServer(answers) as server:
        yield server


@pytest.fixture
def client(junk: JunkServer) -> Client:
    return Client(junk.url, Limits(body=BODY_LIMIT))


@pytest.mark.parametrize("name", JUNK)
def test_junk_is_the_servers_fault_and_ends_in_time(client: Client, name: str) -> None:
    """However a server does not answer, it is ``TargetWrong`` or ``TargetTimeout``, at the deadline at the latest."""
    expected = JUNK[name]
    began = time.monotonic()
    if expected.verdict is Verdict.PASS:
        client.request("GET", f"/{name}", deadline=10.0).json()
        return
    with pytest.raises(TYPES[expected.verdict]) as caught:
        client.request("GET", f"/{name}", deadline=DEADLINE if expected.verdict is Verdict.TIMEOUT else 10.0).json()

    assert caught.value.reason == expected.reason
    assert caught.value.exchange is not None
    assert caught.value.exchange["path"] == f"/{name}"
    if expected.verdict is Verdict.TIMEOUT:
        assert DEADLINE * 0.9 <= time.monotonic() - began < DEADLINE + 3


def test_a_body_may_be_as_long_as_the_limit_and_no_longer(client: Client) -> None:
    """Both sides of the edge."""
    assert len(client.request("GET", "/just_fits").content) == BODY_LIMIT
    with pytest.raises(TargetWrong, match=f"more than {BODY_LIMIT} bytes"):
        client.request("GET", "/one_too_many")


@pytest.mark.parametrize(("sent", "location"), [
    ("/buyers/7", "/buyers/7"),
    ("buyers/7?a=1", "/buyers/7?a=1"),
    ("{url}/buyers/7", "/buyers/7"),
    ("{localhost}/buyers/7", "/buyers/7"),
    ("http://127.0.0.1:1/buyers/7", "http://127.0.0.1:1/buyers/7"),
    ("https://127.0.0.1/buyers/7", "https://127.0.0.1/buyers/7"),
    ("//example.com/buyers/7", "//example.com/buyers/7"),
    ("http://[half/buyers/7", "http://[half/buyers/7"),
    ("http://127.0.0.1:port/buyers/7", "http://127.0.0.1:port/buyers/7"),
])
def test_an_absolute_location_is_a_relative_one(sent: str, location: str) -> None:
    """JAX-RS, Rails and ASP.NET write the whole URL: it says the same. One that leads elsewhere stays as it is."""
    def answer(connection: Connection) -> None:
        said = sent.format(url=server.url, localhost=server.url.replace("127.0.0.1", "localhost"))
        connection.json(b"{}", b"Location: %s\r\n" % said.encode())

    with JunkServer({"made": answer}) as server:
        assert Client(server.url).request("POST", "/made").location == location


def test_no_location_is_none(client: Client) -> None:
    """Absent is not empty."""
    assert client.request("GET", "/good").location is None


def test_compressed_bodies_are_not_opened(client: Client) -> None:
    """50 MB of zeros stay the few kilobytes that were sent, and the message names the coding."""
    answer = client.request("GET", "/gzip_bomb")

    assert len(answer.content) < 100_000
    with pytest.raises(TargetWrong, match="Content-Encoding: gzip"):
        answer.json()


def test_requests_go_straight_and_plain(client: Client, junk: JunkServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """No redirect is followed, no cookie comes back, no proxy is asked, and nobody is told to compress."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    before = len(junk.asked("redirect"))
    assert client.request("GET", "/redirect").status == 302
    client.request("GET", "/cookie")
    client.request("GET", "/cookie")

    assert len(junk.asked("redirect")) == before + 1
    assert b"cookie:" not in junk.asked("cookie")[-1].lower()
    assert b"gzip" not in junk.asked("cookie")[-1].lower()


def test_the_checker_looks_like_anybody(client: Client, junk: JunkServer) -> None:
    """No header is ours or the same each time: a server cannot be right for the checker and wrong for everybody else."""
    for number in range(100):
        client.request("POST", "/good", json={"number": number})

    # Host, Content-Length and Content-Type are the request's, not its sender's.
    senders = [{line.lower() for line in asked.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]
                if not line.lower().startswith((b"host:", b"content-"))} for asked in junk.asked("good")[-100:]]
    assert len({frozenset(sender) for sender in senders}) >= 5
    assert set.intersection(*senders) == set()
    for sender in senders:
        text = b"\n".join(sender)
        assert not any(ours in text for ours in (b"labs", b"httpx", b"check", b"pytest", b"x-")), text
        codings = [line for line in sender if line.startswith(b"accept-encoding:")]
        assert codings in ([], [b"accept-encoding: identity"])  # an answer is never decompressed
        assert not codings or b"wget/" in text or b"python-urllib/" in text  # no browser says `identity`


def test_nobody_listens(client: Client) -> None:
    """A refused connection is no answer."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(TargetWrong) as caught:
        Client(f"http://127.0.0.1:{port}").request("GET", "/x")

    assert caught.value.reason == "no-answer"


def test_a_server_that_accepts_no_more_is_late() -> None:
    """A listener whose queue is full lets the connection wait: the deadline holds for connecting, too."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        began = time.monotonic()
        with pytest.raises(TargetTimeout):
            Client(f"http://127.0.0.1:{listener.getsockname()[1]}").request("GET", "/x", deadline=DEADLINE)
        for filler in fillers:
            filler.close()

    assert time.monotonic() - began < DEADLINE + 3


def test_a_server_that_does_not_read_is_late() -> None:
    """A request that nobody takes off the wire ends at the deadline."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        began = time.monotonic()
        with pytest.raises(TargetTimeout):
            Client(f"http://127.0.0.1:{listener.getsockname()[1]}").request(
                "POST", "/x", content=b"x" * 12_000_000, deadline=DEADLINE)

    assert time.monotonic() - began < DEADLINE + 3


FULL = """
import resource, socket, sys
from orchestrator.checks.http import Client
client = Client(sys.argv[1])
print(client.request("GET", "/good").status)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
taken = []
try:
    while True: taken.append(socket.socket())
except OSError:
    pass
try:
    client.request("GET", "/good")
except RuntimeError as error:
    print(error)
for one in taken: one.close()  # to end its threads Python loads a library
"""


def test_our_own_lack_of_descriptors_is_not_the_servers_fault(junk: JunkServer) -> None:
    """EMFILE on our side is no ``TargetWrong``."""
    answer = subprocess.run([sys.executable, "-c", FULL, junk.url], capture_output=True, text=True, timeout=60, check=True)

    assert answer.stdout.splitlines()[0] == "200"
    assert "the checker cannot open a connection" in answer.stdout
    assert "Too many open files" in answer.stdout


@pytest.mark.parametrize("made_up", ["a\nb", "a\x00b", "x" * 70_000, "\ud800"])
def test_an_id_that_cannot_be_asked_for_is_the_servers_fault(client: Client, made_up: str) -> None:
    """A server that makes up ids which no URL can hold gets a failure, not an error of ours."""
    with pytest.raises(TargetWrong) as caught:
        client.request("GET", f"/good/{made_up}")

    assert caught.value.reason == "no-answer"


def test_a_bad_request_of_the_check_is_not_the_servers_fault(client: Client) -> None:
    """What h11 refuses to send never reached the server."""
    with pytest.raises(RuntimeError, match="not HTTP"):
        client.request("GET", "/good", headers={"X-Bad": "a\r\nb"})


def test_our_own_preparation_is_not_the_servers_time(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer has come before the next request begins, however long we took before we sent the first one."""
    prepare = client._prepare

    def slowly(*arguments: Any) -> httpx.Request:
        time.sleep(0.3)  # as the first use of a library on a busy machine
        return prepare(*arguments)

    monkeypatch.setattr(client, "_prepare", slowly)
    answer = client.request("GET", "/good")

    assert answer.exchange["at"] + answer.elapsed <= time.time()
    assert answer.elapsed < 0.3


def test_no_thread_or_connection_is_left(client: Client) -> None:
    """A hundred requests, good and bad, leave one thread, the watchdog."""
    for _ in range(50):
        client.request("GET", "/good")
        with pytest.raises(Judged):
            client.request("GET", "/closes")

    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("labs-")] == ["labs-watchdog"]


def test_numbers_and_texts_keep_their_types() -> None:
    """JSON as it is, with the types that the server sent."""
    assert parse_json('{"a": [1, 1.5, true, null, "é\\ud83c\\udf9f"]}'.encode()) == {"a": [1, 1.5, True, None, "é🎟"]}


@pytest.mark.parametrize(("method", "headers", "body"), [
    ("GET", {}, b""),
    ("DELETE", {}, b""),
    ("POST", {"Content-Type": "application/json", "Idempotency-Key": "it's"}, b'{"name": "O\'Brien @ $HOME `id` \xc3\xa9"}'),
    ("POST", {"Content-Type": "application/json"}, json.dumps({"c1": "\x9b2J"}, ensure_ascii=False).encode()),
    ("POST", {}, b"@/etc/passwd"),
    ("PATCH", {"X-Empty": ""}, b"{}"),
])
def test_the_curl_line_sends_the_same_request(method: str, headers: dict[str, str], body: bytes) -> None:
    """A shell splits the line into curl's arguments; what they say is the request, and the terminal obeys nothing."""
    line = curl(method, "http://127.0.0.1:1/a?b=%5B1%5D", headers, body)
    words = subprocess.run(["sh", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True).stdout
    options = words.decode().split("\0")[:-1]

    assert line.isprintable()
    assert options == shlex.split(line)
    assert options[:2] == ["curl", "-i"]
    assert options[options.index("-X") + 1] == method if method != "GET" else "-X" not in options
    if body:
        sent = options[options.index("--data-raw") + 1]
        assert sent.encode() == body or json.loads(sent) == json.loads(body)
    for name, value in headers.items():
        assert (f"{name}: {value}" if value else f"{name};") in options


@pytest.mark.parametrize("body", [b"\xff\x00", b"x" * 9000, b"\x1b[2J"])
def test_a_request_that_no_line_repeats_has_none(body: bytes) -> None:
    """Binary, endless or dangerous bodies: no line rather than a wrong one."""
    assert curl("POST", "http://127.0.0.1:1/", {}, body) == ""
