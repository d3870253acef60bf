"""elasticsearch/facets: how many events match, exactly, and where most of them are, however many there are."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.checks import expect, promises

MANY, VENUES, TEN, RARE = 10_500, 190, 10, 97
MOST_SEARCHES = 3
BEGIN = datetime(2044, 1, 1, tzinfo=UTC)


def moment(number):
    """One minute of 2044 for each event."""
    return (BEGIN + timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(scope="session")
def season():
    """The documents of 2044, planted by the first check that needs them."""
    return []


@pytest.fixture
def many(season, plant_documents, document, word, fresh):
    """`many() -> [document]`: 10500 events of one week, by time, at 200 venues, most of them with one word in common.

    Ten venues have 70 to 79 events and come late; all others have 51 or 52.
    """

    def plant():
        if not season:
            names, common, rare = [word() for _ in range(9)], word(), word()
            venues = [f"{word()} {word()}" for _ in range(VENUES + TEN)]
            large = [one for place, one in enumerate(venues[VENUES:]) for _ in range(70 + place)]
            small = [venues[place % VENUES] for place in range(MANY - len(large))]
            cut = fresh.integer(2_000, 3_000)
            at = [*small[:-cut], *fresh.shuffled([*large, *small[-cut:]])]
            documents = [document(f"{names[place % 9]} {common if place % RARE else rare}", venue, moment(place))
                         for place, venue in enumerate(at)]
            plant_documents(*documents)
            season.extend(documents)
        return season

    return plant


@pytest.fixture
def facets_of(search, asked_for):
    """`facets_of(params) -> (total, {venue: events})`: of a search; its `venues` are ten at most, the largest first."""

    def ask(params):
        answer = search(params)
        venues = [(one["venue"], one["events"]) for one in expect.field(answer, "venues", list, reason="search-shape")]
        what = f"`venues` of {asked_for(params)}"
        expect.at_most(TEN, len(venues), f"how many {what} there are", reason="venues-wrong")
        counts = [events for _, events in venues]
        expect.equal(sorted(counts, reverse=True), counts, f"the numbers in {what}, the largest first", "venues-order")
        expect.equal(len(dict(venues)), len(venues), f"how many different {what} there are", reason="venues-wrong")
        return expect.field(answer, "total", int, reason="search-shape"), dict(venues)

    return ask


@pytest.fixture
def facets_are(facets_of, asked_for):
    """`facets_are(params, documents, why)`: `total` and `venues` of a search are those of these documents."""

    def look(params, documents, why):
        total, venues = facets_of(params)
        expect.equal(len(documents), total, f"`total` of {asked_for(params)}: {why}", reason="total-wrong")
        right = Counter(one["venue"] for one in documents)
        wrong = {name: count for name, count in venues.items() if right[name] != count}
        expect.equal({name: right[name] for name in wrong}, wrong,
                     f"the numbers in `venues` of {asked_for(params)} that are wrong: {why}", reason="venues-inexact")
        most = sorted(right.values(), reverse=True)[:TEN]
        what = f"the numbers in `venues` of {asked_for(params)}, those of the {len(most)} largest: {why}"
        expect.equal(most, list(venues.values()), what, reason="venues-wrong")

    return look


@promises("search-total", "search-facets", "get-search-200")
def test_more_than_ten_thousand(elasticsearch, many, facets_are, facets_of, asked_for, evidence):
    """`total` is exact beyond ten thousand, and `venues` has the ten with most of them, counted exactly."""
    documents = many()
    year = {"from": moment(0), "to": moment(MANY)}
    for params in (year, {**year, "limit": "1"}, {**year, "limit": "100"}):
        facets_are(params, documents, f"{MANY} events are between these times")
    half = documents[100:10_400]
    facets_are({"from": moment(100), "to": moment(10_400)}, half, "of these weeks")
    total, _ = facets_of({})
    what = f"`total` of {asked_for({})}, beside the documents of the index"
    expect.equal(elasticsearch.count("events"), total, what, reason="total-wrong")
    evidence(f"`total` was {MANY}, and the ten largest of {VENUES + TEN} venues had their 70 to 79 events each")


@promises("search-total", "search-facets", "search-words")
def test_facets_of_what_matches(many, facets_are, evidence):
    """`total` and `venues` are counted over all that match the words and the filters, and over nothing else."""
    documents, tried = many(), 0
    year = {"from": moment(0), "to": moment(MANY)}
    words = sorted({text for one in documents for text in one["name"].split()})
    for q in words:
        matching = [one for one in documents if q in one["name"].split()]
        facets_are({"q": q, **year}, matching, "those with this word")
        tried += 1
    for q in words[:2]:
        matching = [one for one in documents[3_000:9_000] if q in one["name"].split()]
        params = {"q": q, "from": moment(3_000), "to": moment(9_000), "limit": "2"}
        facets_are(params, matching, "those with this word between these times")
        venue = Counter(one["venue"] for one in matching).most_common(1)[0][0]
        there = [one for one in matching if one["venue"] == venue]
        facets_are({**params, "venue": venue}, there, "those with this word at this venue")
    most = documents[-1]["venue"]
    facets_are({"venue": most}, [one for one in documents if one["venue"] == most], "those at this venue")
    facets_are({"from": "2045-01-01T00:00:00Z", "to": "2046-01-01T00:00:00Z"}, [], "there are none")
    few = documents[500:507]
    facets_are({"from": moment(500), "to": moment(507)}, few, "seven events at seven venues")
    evidence(f"`total` and `venues` were right for {tried} words, and with filters beside them")


@promises("search-facets", "search-total", "pages")
def test_facets_on_later_pages(many, facets_of, search, evidence):
    """A later page has the same `total` and `venues` as the first."""
    many()
    for params in ({"from": moment(0), "to": moment(MANY), "limit": "50"}, {"from": moment(7_000), "limit": "3"}):
        first, asked = facets_of(params), params
        for number in (2, 3):
            following = expect.field(search(asked), "next", str, reason="search-shape")
            asked = {**params, "after": following}
            expect.equal(list(first), list(facets_of(asked)), f"`total` and `venues` of page {number} of GET /search,"
                         " beside those of the first", reason="facets-of-the-page")
    evidence("pages two and three had the `total` and the `venues` of the first page")


@promises("search-facets", "search-venue")
def test_venues_are_counted_letter_by_letter(plant_documents, document, facets_are, word, evidence):
    """Venues that differ in letter case, an accent or a space are counted each for itself, whole."""
    hall, name = word().capitalize(), word()
    whole = f"{hall} Hall"
    venues = (whole, whole.lower(), whole.upper(), whole.replace("Hall", "H\u00e1ll"), f"{whole} ", hall,
              f"{whole} 1", hall.ljust(200, "\U0001f39f"))
    documents = [document(name, venue) for times, venue in enumerate(venues, 1) for _ in range(times)]
    plant_documents(*documents)
    facets_are({"q": name}, documents, "eight venues that look alike")
    evidence("eight venues that look alike had one to eight events each")


@promises("search-facets", "search-total", "search-fresh")
def test_facets_follow_the_events(server, made_event, facets_of, soon, word, evidence):
    """New, moved and deleted events are counted, and counted no more, within two seconds."""
    name, here, there = word(), word(), word()
    made = [made_event(name=name, venue=here)[0] for _ in range(3)]

    def become(right, when):
        soon(lambda: facets_of({"q": name}), (sum(right.values()), right),
             f"`total` and `venues` of GET /search with q={name} {when}", "facets-old")

    become({here: 3}, "after three POST /events")
    expect.status(server.patch(f"/events/{made[0]}", json={"venue": there}), 200, reason="change-refused")
    become({here: 2, there: 1}, "after one of them moved to another venue")
    expect.status(server.delete(f"/events/{made[1]}"), 204, reason="delete-refused")
    become({here: 1, there: 1}, "after one of them was deleted")
    evidence("three events were counted at one venue, then at two, then two of them")


@promises("search-few", "search-asks-elasticsearch")
def test_elasticsearch_counts(elasticsearch, many, search, evidence):
    """A request is three searches at most, also when ten thousand events match: the server counts nothing itself."""
    documents, seen_most = many(), 0
    q = documents[1]["name"].split()[1]  # the word that most of them have
    for params in ({}, {"from": moment(0), "to": moment(MANY), "limit": "100"}, {"q": q, "limit": "1"}):
        with elasticsearch.searches() as seen:
            search(params)
        what = "how often the index `events` was searched for one GET /search"
        expect.at_least(1, seen.of("events"), what, reason="not-searched")
        expect.at_most(MOST_SEARCHES, seen.total, what, reason="too-many-searches")
        seen_most = max(seen_most, seen.total)
    evidence(f"{seen_most} search(es) of Elasticsearch were enough for 10000 events that match")
