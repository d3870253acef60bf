"""The servers of the lab `databases` keep what `openapi.yaml` says of pages and reviews, asked by plain HTTP.

What MongoDB then holds, and refuses by itself, is judged by the lab's checks.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from support.box_office import Answer, Office

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CONCERT = {"kind": "concert", "title": "Zoë 🎟 $set", "details": {"acts": [{"name": "A", "minutes": 1}, {"name": "B", "minutes": 600}]}}
MATCH = {"kind": "match", "title": "M", "details": {"home": "H.o.m.e", "away": "$away"}}
PLAY = {"kind": "play", "title": "x" * 200, "details": {"roles": [{"role": "r", "actor": "🎟" * 100}] * 50}}


def put(office: Office, page: str, content: dict[str, Any]) -> Answer:
    return office.ask("PUT", f"/pages/{page}", content)


def a_page(office: Office) -> str:
    page = f"p-{uuid4()}"
    assert put(office, page, MATCH).status == 201
    return page


def review(office: Office, page: str, **fields: object) -> Answer:
    return office.ask("POST", f"/pages/{page}/reviews", {"author": "Ada", "stars": 4, "text": "Fine.", **fields})


def test_pages_and_their_history(office: Office) -> None:
    """A page of each kind is kept whole and replaced whole; each version stays in the history, newest first."""
    page = f"p-{uuid4()}"
    first = put(office, page, {**CONCERT, "more": 1, "details": {**CONCERT["details"], "also": "ignored"}})  # type: ignore[dict-item]
    assert (first.status, {**first.json, "changed_at": 0}) == (201, {"page": page, **CONCERT, "version": 1, "changed_at": 0})
    assert office.ask("GET", f"/pages/{page}").json == first.json
    others = [put(office, page, content) for content in (MATCH, PLAY, PLAY)]
    assert [(answer.status, answer.json["version"]) for answer in others] == [(200, 2), (200, 3), (200, 4)]
    assert office.ask("GET", f"/pages/{page}").json == others[-1].json
    versions = [version for part in office.pages(f"/pages/{page}/history?limit=3") for version in part]
    assert versions == [answer.json for answer in (*reversed(others), first)]

    for name in ("nope", "%00", "%24ne", "x" * 300):
        for path in ("", "/history", "/reviews", "/reviews/summary"):
            office.ask("GET", f"/pages/{name}{path}").is_problem(404, "not_found")
    for query in ("limit=0", "limit=x", "after=x", "after="):
        office.ask("GET", f"/pages/{page}/history?{query}").is_problem(422, "invalid")


@pytest.mark.parametrize("wrong", [
    {}, {"kind": "opera"}, {"kind": ["concert"]}, {"kind": "match"}, {"title": ""}, {"title": "x" * 201}, {"title": {"$ne": 1}},
    {"details": None}, {"details": []}, {"details": {}}, {"details": {"acts": []}}, {"details": {"acts": {"0": 1}}},
    {"details": {"acts": [None]}}, {"details": {"acts": [{"name": "A", "minutes": 1}] * 51}},
    {"details": {"acts": [{"name": "x" * 101, "minutes": 1}]}}, {"details": {"acts": [{"name": "A", "minutes": 0}]}},
    {"details": {"acts": [{"name": "A", "minutes": 601}]}}, {"details": {"acts": [{"name": "A", "minutes": True}]}},
    {"details": {"acts": [{"name": "a\0", "minutes": 1}]}}, {"details": {"acts": [{"Name": "A", "minutes": 1}]}},
    {"kind": "play", "details": {"roles": [{"role": "r"}]}}, {"kind": "match", "details": {"home": "h", "away": 1}},
], ids=str)  # fmt: skip
def test_wrong_pages(office: Office, wrong: dict[str, object]) -> None:
    """What a page may not be is refused, and no page is made."""
    page = f"p-{uuid4()}"
    put(office, page, {**CONCERT, **wrong} if wrong else {}).is_problem(422, "invalid")
    office.ask("GET", f"/pages/{page}").is_problem(404, "not_found")


@pytest.mark.parametrize("name", ["A", "a_b", "a.b", "a%20b", "%C3%A9", "a%0A", "%24", "a" * 61])
def test_wrong_addresses(office: Office, name: str) -> None:
    """An address has 1 to 60 small letters, digits and `-`."""
    put(office, name, CONCERT).is_problem(422, "invalid")
    assert put(office, "a" * 60, CONCERT).status in (200, 201)


def test_versions_at_once(office: Office) -> None:
    """Of eight who write a page at the same moment each makes a version of its own."""
    page = f"p-{uuid4()}"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: put(office, page, CONCERT), range(8)))
    assert sorted(answer.status for answer in answers) == [200] * 7 + [201]
    assert sorted(answer.json["version"] for answer in answers) == list(range(1, 9))


def test_reviews(office: Office) -> None:
    """An author reviews a page once; the list is by time, and can be of some stars only."""
    page = a_page(office)
    made = review(office, page, author="É$a.b", stars=1, text="🎟" * 2000, more="ignored")
    wish = {"page": page, "author": "É$a.b", "stars": 1, "text": "🎟" * 2000, "helpful": 0}
    assert (made.status, {name: made.json[name] for name in wish}) == (201, wish)
    review(office, page, author="É$a.b").is_problem(409, "already_reviewed")
    review(office, "nope").is_problem(404, "not_found")
    others = [review(office, page, author=f"a{number}", stars=number % 2 + 1).json for number in range(6)]
    for wrong in ({"author": ""}, {"author": "x" * 101}, {"author": {"$ne": 1}}, {"stars": 0}, {"stars": 6}, {"stars": "5"},
                  {"stars": 4.5}, {"stars": True}, {"text": ""}, {"text": "x" * 2001}, {"text": None}):  # fmt: skip
        review(office, page, **{"author": "new", **wrong}).is_problem(422, "invalid")

    listed = [one for part in office.pages(f"/pages/{page}/reviews?limit=3") for one in part]
    assert {one["review"] for one in listed} == {one["review"] for one in (*others, made.json)}
    times = [datetime.fromisoformat(one["created_at"]) for one in listed]  # not as text: ".91Z" is before ".912Z"
    assert times == sorted(times, reverse=True)
    ones = [one for part in office.pages(f"/pages/{page}/reviews?limit=2&stars=1") for one in part]
    assert ones == [one for one in listed if one["stars"] == 1]
    for query in ("stars=0", "stars=6", "stars=x", "limit=101", "after=x"):
        office.ask("GET", f"/pages/{page}/reviews?{query}").is_problem(422, "invalid")


def test_one_review_at_once(office: Office) -> None:
    """Of many reviews of one author at the same moment, one is made."""
    page = a_page(office)
    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(lambda _: review(office, page).status, range(8)))
    assert statuses == [201] + [409] * 7


def test_votes_and_summary(office: Office) -> None:
    """A voter counts once, however often and at once; the summary counts the stars."""
    page = a_page(office)
    empty = {"count": 0, "average": None, "stars": dict.fromkeys("12345", 0)}
    assert office.ask("GET", f"/pages/{page}/reviews/summary").json == empty
    ids = [review(office, page, author=f"a{stars}{n}", stars=stars).json["review"] for stars, n in ((5, 1), (5, 2), (4, 1))]
    summary = office.ask("GET", f"/pages/{page}/reviews/summary").json
    assert (summary["count"], summary["stars"]) == (3, {"1": 0, "2": 0, "3": 0, "4": 1, "5": 2})
    assert summary["average"] == pytest.approx(14 / 3, abs=0.01)

    path = f"/pages/{page}/reviews/{ids[0]}/votes"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: office.ask("POST", path, {"voter": f"$v{n % 5}"}), range(20)))
    assert {answer.status for answer in answers} == {200}
    assert office.ask("POST", path, {"voter": "$v0"}).json == {"helpful": 5}
    shown = {one["review"]: one["helpful"] for one in office.ask("GET", f"/pages/{page}/reviews").json["items"]}
    assert shown == {ids[0]: 5, ids[1]: 0, ids[2]: 0}

    for wrong in ({}, {"voter": ""}, {"voter": ["x"]}, {"voter": "x" * 101}):
        office.ask("POST", path, wrong).is_problem(422, "invalid")
    for name in ("nope", "%00", "0" * 24, "z" * 24):
        office.ask("POST", f"/pages/{page}/reviews/{name}/votes", {"voter": "x"}).is_problem(404, "not_found")
    office.ask("POST", f"/pages/{a_page(office)}/reviews/{ids[0]}/votes", {"voter": "x"}).is_problem(404, "not_found")
