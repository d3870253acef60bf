"""The servers of the lab `databases` tell each new version of a page, asked by plain HTTP.

The starters, which have all in memory, tell what they wrote themselves. The accepted servers of the track `mongodb` tell what
another process or program wrote, too: the tests with ``shop`` are for these. Outages, many listeners and what a stream costs are judged by the lab's checks.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pymongo
import pytest
from pymongo.database import Database
from pymongo.errors import ConnectionFailure
from support.box_office import Office, built, server, until

ACCEPTED = ("solutions/accepted/python", "solutions/accepted/go", "solutions/accepted/node")
STARTERS = ("starter/python", "starter/go", "starter/node")
pytestmark = [pytest.mark.e2e, pytest.mark.slow]

Following = Callable[[], dict[str, str]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    servers = ACCEPTED if "shop" in metafunc.fixturenames else (*ACCEPTED, *STARTERS)
    metafunc.parametrize("workspace", servers, indirect=True, scope="module")


@pytest.fixture(scope="module")
def workspace(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built copy of a server's folder."""
    return built(request.param, tmp_path_factory.mktemp(request.param.replace("/", "-")))


@pytest.fixture
def shop(stores: dict[str, str]) -> Iterator[Database[dict[str, Any]]]:
    """The database of the pages, for somebody else than the server."""
    with pymongo.MongoClient[dict[str, Any]](stores["MONGODB_URL"]) as client:
        yield client.get_default_database()


def write(office: Office, page: str, title: str) -> int:
    body = {"kind": "match", "title": title, "details": {"home": "H", "away": "A"}}
    answer = office.ask("PUT", f"/pages/{page}", body)
    assert answer.status in (200, 201), answer
    return int(answer.json["version"])


def a_page(office: Office, versions: int = 1, title: str = "T") -> str:
    page = f"p-{uuid4()}"
    assert [write(office, page, title) for _ in range(versions)] == list(range(1, versions + 1))
    return page


def document(page: str, version: int, title: str) -> dict[str, Any]:
    details = {"home": "H", "away": "A"}
    return {"page": page, "version": version, "kind": "match", "title": title, "details": details, "changed_at": datetime.now(UTC)}


def heard(following: Following, count: int) -> list[tuple[int, str]]:
    """The next messages, as versions and their titles. That nothing came between them is seen by what they are."""
    messages = [following() for _ in range(count)]
    assert {fields["event"] for fields in messages} <= {"version"}
    told = [json.loads(fields["data"]) for fields in messages]
    assert [fields["id"] for fields in messages] == [str(one["version"]) for one in told]
    assert all(one.keys() == {"version", "title"} for one in told)
    return [(one["version"], one["title"]) for one in told]


def test_new_versions_are_told(office: Office) -> None:
    """From the header on, each listener is told each version of this page, and none of another page."""
    page, other = a_page(office, 2), a_page(office)
    with office.stream(f"/pages/{page}/live") as following, office.stream(f"/pages/{page}/live") as also:
        write(office, page, 'Zoë 🎟 "<&>\n')
        assert heard(following, 1) == heard(also, 1) == [(3, 'Zoë 🎟 "<&>\n')]
        write(office, other, "another page")
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: write(office, page, "at once"), range(8)))
        assert heard(following, 8) == heard(also, 8) == [(version, "at once") for version in range(4, 12)]


def test_a_page_without_a_history(office: Office, shop: Database[dict[str, Any]]) -> None:
    """A page that somebody else made is one, and its first version in the history is told."""
    page = f"p-{uuid4()}"
    entry = document(page, 1, "T")
    shop.pages.insert_one({"_id": entry.pop("page"), **entry})
    with office.stream(f"/pages/{page}/live") as following:
        version = write(office, page, "N")
        assert heard(following, 1) == [(version, "N")]


@pytest.mark.parametrize("last", [0, 1, 149, 150])
def test_a_stream_goes_on_after_the_last_event(office: Office, last: int) -> None:
    """With `Last-Event-ID`, all above it comes: what has long been there, and then what is new."""
    page = a_page(office, 150, "🎟" * 200)
    with office.stream(f"/pages/{page}/live", str(last)) as following:
        assert [version for version, _ in heard(following, 150 - last)] == list(range(last + 1, 151))
        write(office, page, "new")
        assert heard(following, 1) == [(151, "new")]


def test_a_last_event_above_all(office: Office) -> None:
    """One above all versions waits for higher ones, or is none."""
    page = a_page(office)
    with office.stream(f"/pages/{page}/live", "3") as following, office.stream(f"/pages/{page}/live", "9" * 30):
        for version in range(2, 6):
            assert write(office, page, "T") == version
        first, _ = heard(following, 1)[0]
        assert first in (2, 4)
        assert heard(following, 5 - first) == [(version, "T") for version in range(first + 1, 6)]


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "0x1", ""])
def test_what_is_no_number(office: Office, last: str) -> None:
    """A `Last-Event-ID` that is no whole number is none, or refused."""
    page = a_page(office, 2)
    connection = http.client.HTTPConnection("127.0.0.1", office.port, timeout=5)
    with closing(connection):
        connection.request("GET", f"/pages/{page}/live", headers={"Last-Event-ID": last})
        response = connection.getresponse()
        if response.status == 422:
            assert json.load(response)["code"] == "invalid"
            return
        assert response.status == 200
        write(office, page, "T")
        while not (line := response.readline()).startswith(b"data: "):
            assert line
        assert json.loads(line.removeprefix(b"data: "))["version"] == 3


def test_unknown_pages(office: Office) -> None:
    """Without the page, there is no stream."""
    for name in ("nope", "%00", "%24ne", "x" * 300):
        office.ask("GET", f"/pages/{name}/live").is_problem(404, "not_found")
        office.ask("GET", f"/pages/{name}/live", headers={"Last-Event-ID": "0"}).is_problem(404, "not_found")


def test_what_others_write(
    office: Office, workspace: Path, stores: dict[str, str], shop: Database[dict[str, Any]],
) -> None:
    """Each listener at two processes hears what is written at either, and by another program, once."""
    page = a_page(office)
    with server(workspace, stores) as second:
        path = f"/pages/{page}/live"
        with office.stream(path) as here, second.stream(path) as there, second.stream(path, "0") as from_the_start:
            for number in range(2, 8):
                write((office, second)[number % 2], page, f"T{number}")
            shop.page_history.insert_many([document(page, version, "") for version in range(8, 151)])
            versions = [(1, "T"), *((number, f"T{number}") for number in range(2, 8)), *((number, "") for number in range(8, 151))]
            assert heard(here, 149) == heard(there, 149) == versions[1:]
            assert heard(from_the_start, 150) == versions
        with second.stream(path, "7") as following:
            assert heard(following, 143) == versions[7:]


def test_an_election(office: Office, shop: Database[dict[str, Any]]) -> None:
    """A stream goes on after an election, or ends and is opened anew: each version comes once."""
    page = a_page(office)
    path, seen = f"/pages/{page}/live", [1]
    admin = shop.client.admin

    def follow(following: Following, goal: int) -> None:
        while seen[-1] < goal:
            seen.extend(version for version, _ in heard(following, 1))

    with office.stream(path) as following:
        write(office, page, "before")
        follow(following, 2)
        with suppress(ConnectionFailure):
            admin.command({"replSetStepDown": 30, "secondaryCatchUpPeriodSecs": 0, "force": True})
        admin.command("replSetFreeze", 0)
        until(lambda: admin.command("hello")["isWritablePrimary"], "a primary")
        shop.page_history.insert_many([document(page, version, "after") for version in range(3, 6)])
        with suppress(EOFError):
            follow(following, 5)
    if seen[-1] < 5:
        with office.stream(path, str(seen[-1])) as following:
            follow(following, 5)
    assert seen == [1, 2, 3, 4, 5]
