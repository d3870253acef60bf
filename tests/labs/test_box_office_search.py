"""The servers of the lab `databases` find events as `openapi.yaml` says, asked by plain HTTP.

The starters find words as they are written. The accepted servers of the track `elasticsearch` get an Elasticsearch in a
container; outages, moments and what its index is like are judged by the lab's checks.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from support.box_office import Answer, Office, built, new_event, server, until
from support.containers import running_container
from support.services import Service, running

from orchestrator.services.elasticsearch.evidence.rest import Rest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SOON = 2.0
STARTERS = ("starter/python", "starter/go", "starter/node")
ACCEPTED = ("solutions/accepted/python-search", "solutions/accepted/go-search")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test on each server; what asks for ``forgiving`` on those only whose search is more than a plain one."""
    if "name" in metafunc.fixturenames:
        accepted = [pytest.param(one, marks=pytest.mark.docker) for one in ACCEPTED]
        every = accepted if "forgiving" in metafunc.fixturenames else [*accepted, *STARTERS]
        metafunc.parametrize("name", every, indirect=True, scope="module")


@pytest.fixture(scope="module")
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def workspace(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(name, tmp_path_factory.mktemp(name.replace("/", "-")))


@pytest.fixture(scope="session")
def elasticsearch(image_table: Path) -> Iterator[Service]:
    with running_container("elasticsearch", image_table) as service:
        yield service


@pytest.fixture(scope="session")
def postgres() -> Iterator[Service]:
    with running("postgres") as service:
        yield service


@pytest.fixture(scope="module")
def stores(name: str, request: pytest.FixtureRequest) -> dict[str, str]:
    """The addresses of an empty PostgreSQL and Elasticsearch; of none for a starter, which has all in memory."""
    urls = {}
    if name in ACCEPTED:
        for service, variable in (("postgres", "DATABASE_URL"), ("elasticsearch", "ELASTICSEARCH_URL")):
            found: Service = request.getfixturevalue(service)
            found.fresh()
            urls[variable] = found.url(variable)
    return urls


@pytest.fixture
def forgiving(office: Office) -> Office:
    """A server of which the search has to forgive."""
    return office


def search(office: Office, **query: object) -> Answer:
    return office.ask("GET", "/search?" + urlencode({name.rstrip("_"): value for name, value in query.items()}))


def found(office: Office, **query: object) -> list[str]:
    answer = search(office, **query)
    assert answer.status == 200, answer
    return [item["event"] for item in answer.json["items"]]


def total(office: Office, **query: object) -> object:
    """How many events match, or the code of an error: on a busy machine, an answer may have taken too long."""
    answer = search(office, **query).json
    return answer.get("total", answer.get("code"))


def soon(office: Office, ids: Iterable[str], **query: object) -> None:
    """These events are found, in this order, within the 2 seconds that a change may take."""
    until(lambda: found(office, **query) == list(ids), f"{query} finds {ids}", SOON)


def word() -> str:
    """A word that no other event has, and that no ending is taken from."""
    return "".join(random.choices("bdgkmptvz", k=9)) + "o"


def test_by_time_and_by_what_is_asked_for(office: Office) -> None:
    """Earliest first; a venue is meant letter by letter, a time from its own moment on; counted over all that match."""
    venue = f"Hall {word()} 1"
    late = office.event(venue=venue, name="A", starts_at="2027-05-03T00:00:00Z")
    early = office.event(venue=venue, name="B", starts_at="1969-05-01T00:00:00Z")
    middle = office.event(venue=venue, name="C", starts_at="2027-05-02T02:00:00+02:00")
    other = office.event(venue=venue.lower(), name="D", starts_at="2027-05-02T00:00:00Z")
    soon(office, [early, middle, late], venue=venue)
    soon(office, [other], venue=venue.lower())
    assert found(office, venue=venue.split()[1]) == []
    whole = search(office, venue=venue).json
    assert (whole["total"], whole["venues"], whole["next"]) == (3, [{"venue": venue, "events": 3}], None)
    assert {**whole["items"][0], "starts_at": 0} == {"event": early, "name": "B", "venue": venue, "starts_at": 0}
    assert whole["items"][0]["starts_at"].startswith("1969-05-01T00:00:00")

    assert found(office, venue=venue, from_="2027-05-02T00:00:00Z") == [middle, late]
    assert found(office, venue=venue, from_="2027-05-02T00:00:00.500Z") == [late]
    assert found(office, venue=venue, to="2027-05-03T00:00:00Z") == [early, middle]
    assert found(office, q=venue.split()[1], from_="2027-05-02T00:00:00Z", to="2027-05-02T00:00:01Z", venue=venue) == [middle]


@pytest.mark.parametrize("wrong", ["limit=0", "limit=101", "limit=x", "after=x", "after=-1", "from=x", "from=2027-05-02",
                                   "q=" + "x" * 201, "q=" + "%F0%9F%8E%9F" * 201])
def test_wrong_searches(office: Office, wrong: str) -> None:
    """What cannot be understood is refused."""
    office.ask("GET", f"/search?{wrong}").is_problem(422, "invalid")


def test_words(office: Office) -> None:
    """An event is found by any word of its name or its venue; words that no event has find nothing."""
    first, second = word(), word()
    here = office.event(name=f"Evening 🎟 {first}", venue=f"{second} Hall", starts_at="2027-05-01T00:00:00Z")
    soon(office, [here], q=first)
    assert found(office, q=f"{word()} {second}") == [here]
    assert found(office, q=word()) == found(office, q="x" * 200) == []
    assert search(office, q="🎟" * 200).status == 200


def test_a_change_is_found(office: Office) -> None:
    """A new name is found and the old one is not; a deleted event is not."""
    before, after = word(), word()
    event = office.event(name=before)
    soon(office, [event], q=before)
    assert office.ask("PATCH", f"/events/{event}", {"name": after}).status == 200
    soon(office, [event], q=after)
    assert found(office, q=before) == []
    assert office.ask("DELETE", f"/events/{event}").status == 204
    soon(office, [], q=after)


def test_pages_of_a_search(office: Office) -> None:
    """Each page begins where the one before ended, with words and without, also among equal times."""
    one = word()
    events = [office.event(name=one, venue=f"{one} {number}", starts_at=f"2027-05-0{number % 2 + 1}T00:00:00Z")
              for number in range(12)]  # fmt: skip
    until(lambda: total(office, q=one) == 12, "all are found", SOON)
    pages = list(pages_of(office, q=one, limit=5))
    assert [len(page) for page in pages] == [5, 5, 2]
    assert {item["event"] for page in pages for item in page} == set(events)
    by_time = [item["starts_at"] for page in pages_of(office, limit=3) for item in page]
    assert by_time == sorted(by_time)
    venues = search(office, q=one, limit=1).json["venues"]
    assert len(venues) == 10
    assert {venue["events"] for venue in venues} == {1}


def pages_of(office: Office, **query: object) -> Iterator[list[Any]]:
    return office.pages("/search?" + urlencode(query))


# --- what only Elasticsearch does ----------------------------------------------------------------------------------


def test_forgiven(forgiving: Office) -> None:
    """Letter case, accents, endings and one wrong letter make no difference; nothing is an operator."""
    event = forgiving.event(name="Zoë, Night of Dancing Concerts", venue="Cafe\u0301 Müller AC/DC")
    soon(forgiving, [event], q="zoe")
    for q in ("ZOË", "zoe\u0308", "dance", "concert", "CAFÉ", "cafe", "muller", "mullers", "concrts", "concertts", "conxerts",
              "dancin", "AC/DC", "nope concert", '"night" -nope ~ nope:nope'):  # fmt: skip
        assert found(forgiving, q=q) == [event], q
    for q in ("conc*", "con?ert", "zoex", "xoncerts", "name:nothing", "nothing OR AND"):
        assert found(forgiving, q=q) == [], q
    for q in ("*", "-", "\0", "   "):
        assert search(forgiving, q=q).status in (200, 422), q


def test_the_best_match_first(forgiving: Office) -> None:
    """A word in the name counts more than one in the venue, and the word itself more than one like it."""
    one = word()
    like = forgiving.event(name=f"{one[:4]}a{one[5:]}", venue=f"A {word()}", starts_at="2027-05-01T00:00:00Z")
    venue = forgiving.event(name=word(), venue=f"A {one}", starts_at="2027-05-02T00:00:00Z")
    name = forgiving.event(name=one, venue=f"A {word()}", starts_at="2027-05-03T00:00:00Z")
    soon(forgiving, [name, venue, like], q=one)


def test_pages_while_events_come_and_go(forgiving: Office) -> None:
    """What is added or deleted before the place where somebody is moves no other event."""
    one = word()
    events = [forgiving.event(name=one, starts_at=f"2031-05-0{number + 1}T00:00:00Z") for number in range(6)]
    soon(forgiving, events, q=one)
    first = search(forgiving, from_="2031-05-01T00:00:00Z", to="2031-06-01T00:00:00Z", limit=3).json
    assert [item["event"] for item in first["items"]] == events[:3]
    assert forgiving.ask("DELETE", f"/events/{events[0]}").status == 204
    forgiving.event(name=one, starts_at="2031-05-01T00:00:00Z")
    forgiving.event(name=one, starts_at="2031-05-01T01:00:00Z")
    until(lambda: total(forgiving, q=one) == 7, "the changes are found", SOON)
    after = first["next"]
    assert found(forgiving, from_="2031-05-01T00:00:00Z", to="2031-06-01T00:00:00Z", limit=3, after=after) == events[3:]


def test_documents_of_others(forgiving: Office, elasticsearch: Service) -> None:
    """They are found like any other; a field that nobody knows does not become part of the mapping."""
    one = word()
    document = {"event": "x-1", "name": f"Planted {one}", "venue": "Élysée", "starts_at": "2027-05-01T19:30:00Z"}
    with Rest("127.0.0.1", elasticsearch.endpoint.port, 10) as rest:
        rest.put("/events/_doc/x-1", document, refresh=True)
        assert search(forgiving, q=one).json["items"] == [document]
        assert "x-1" in found(forgiving, q="elysee", venue="Élysée")
        rest.exchange("PUT", "/events/_doc/x-2", {**document, "event": "x-2", "extra": {"a": 1}})
        (mapping,) = rest.get("/events/_mapping").values()
        assert set(mapping["mappings"]["properties"]) >= {"event", "name", "venue", "starts_at"}
        assert "extra" not in mapping["mappings"]["properties"]
        for one in ("x-1", "x-2"):
            rest.exchange("DELETE", f"/events/_doc/{one}", refresh=True)


def test_two_servers_and_one_event(forgiving: Office, workspace: Path, stores: dict[str, str]) -> None:
    """Where two change one event at the same moment, the search has it as PostgreSQL does in the end."""
    with server(workspace, stores) as second:
        assert second.ask("GET", "/health").json == {"postgres": "up", "elasticsearch": "up"}
        event, names = forgiving.event(), [word() for _ in range(12)]
        changes = [((forgiving, second)[number % 2], {"name": name}) for number, name in enumerate(names)]
        with ThreadPoolExecutor(4) as pool:
            statuses = list(pool.map(lambda change: change[0].ask("PATCH", f"/events/{event}", change[1]).status, changes))
        assert statuses == [200] * 12
        last = forgiving.ask("GET", f"/events/{event}").json["name"]
        soon(second, [event], q=last)
        assert [found(forgiving, q=name) for name in names if name != last] == [[]] * 11


def test_rebuild(forgiving: Office, stores: dict[str, str], elasticsearch: Service) -> None:
    """The search is what PostgreSQL has, also after all was lost; it stands behind an alias for one index."""
    one, rows = word(), "INSERT INTO events (name, venue, starts_at, seats, price_cents) VALUES (%s, %s, now(), 5, 1)"
    with psycopg.connect(stores["DATABASE_URL"]) as database:
        database.execute(rows, [one, new_event()["venue"]])
    with Rest("127.0.0.1", elasticsearch.endpoint.port, 10) as rest:
        for lost in (False, True):
            if lost:
                for index in rest.get("/_alias"):
                    rest.delete(f"/{index}")
            else:
                gone = {"event": "x-3", "name": one, "venue": "x", "starts_at": "2027-05-01T19:30:00Z"}
                rest.put("/events/_doc/x-3", gone, refresh=True)
            answer = forgiving.ask("POST", "/search/rebuild")
            assert answer.status == 200, answer
            assert answer.json["events"] == search(forgiving).json["total"] > 0
            assert len(found(forgiving, q=one)) == 1
            until(lambda: [*rest.get("/_alias").values()] == [{"aliases": {"events": {}}}], "one index is left", 5)


def test_a_starter_has_nothing_to_rebuild(name: str, office: Office) -> None:
    """And says so."""
    answer = office.ask("POST", "/search/rebuild")
    assert answer.status == 200 if name in ACCEPTED else answer.is_problem(503, "unavailable") is None
