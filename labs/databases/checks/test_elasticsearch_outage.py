"""elasticsearch/outage: Elasticsearch away, silent or lost: 503 at once, events go on, and the search catches up."""

import time

from orchestrator.checks import expect, promises

AWAY = 8.0
"""Seconds for which Elasticsearch is away at the least: a pause that doubles at each try is long by then."""
SILENT = 3.0
CROWD = 12
"""Events that are made while Elasticsearch is silent: more than a server's pool has connections to PostgreSQL."""


@promises(
    "elasticsearch-away",
    "back-again",
    "get-search-503",
    "health-elasticsearch",
    "get-health-503",
    "events-without-search",
    "search-catches-up",
    "search-fresh",
)
def test_elasticsearch_is_away(
    server,
    fault,
    together,
    wait,
    known_events,
    change_events,
    search_refused,
    search_health,
    search_back,
    search_has,
    search_still_has,
    evidence,
):
    """While Elasticsearch is away, searches say 503 at once and events change as always; then it catches up."""
    early, late, how = known_events(4), known_events(4), "cannot be reached"
    search_health("up", "is up")
    with fault.down("elasticsearch"):
        began = time.monotonic()
        together(
            [
                *(lambda one=one: search_refused(one, how) for one in ({}, {"q": "dance"}, {"venue": "Hall 1"})),
                lambda: search_health("down", how),
            ]
        )
        wanted = change_events(early, how)

        def over():
            search_refused({"limit": "1"}, how)
            return time.monotonic() - began >= AWAY

        wait.until(over, deadline=AWAY + 3, every=0.2, what="the end of the outage")
        wanted |= change_events(late, how)
        away = time.monotonic() - began
    since, when = time.monotonic(), f"Elasticsearch was back (it had been away for {away:.1f} s)"
    search_back(since, when)
    search_has(wanted, since, when)
    search_still_has(wanted, "a moment later")
    evidence(f"events changed 20 times in {away:.1f} s without Elasticsearch; then the search had all of it")


@promises(
    "elasticsearch-away",
    "back-again",
    "get-search-503",
    "health-elasticsearch",
    "events-without-search",
    "search-catches-up",
)
def test_elasticsearch_is_shut(
    fault, together, known_events, change_events, search_refused, search_health, search_back, search_has, evidence
):
    """An Elasticsearch that takes connections and ends them before a word is said counts as away."""
    known, how = known_events(4), "ends every connection at once"
    with fault.shut("elasticsearch"):
        together(
            [
                *(lambda one=one: search_refused(one, how) for one in ({}, {"q": "dance"})),
                lambda: search_health("down", how),
            ]
        )
        wanted = change_events(known, how)
    since, when = time.monotonic(), "Elasticsearch took connections again"
    search_back(since, when)
    search_has(wanted, since, when)
    evidence("events changed 10 times while each connection was ended, and then the search had all of it")


@promises(
    "silence-is-away",
    "elasticsearch-away",
    "back-again",
    "get-search-503",
    "health-elasticsearch",
    "events-without-search",
    "search-catches-up",
)
def test_a_silent_elasticsearch_is_none(
    server,
    fault,
    together,
    wait,
    known_events,
    change_events,
    event_goes_on,
    new_event,
    word,
    search_refused,
    search_health,
    search_back,
    search_has,
    search_still_has,
    caught_up,
    evidence,
):
    """While Elasticsearch is silent, the same is right; what comes late out of the silence is no older state."""
    known, how = known_events(4), "is silent"
    with fault.hold("elasticsearch"):
        began = time.monotonic()
        together(
            [
                *(lambda one=one: search_refused(one, how) for one in ({}, {"q": "dance"})),
                lambda: search_health("down", how),
            ]
        )
        wanted = change_events(known, how)
        for _ in range(CROWD):
            body = new_event(name=word(), venue=word())
            event = expect.field(event_goes_on("POST", "/events", body, 201, how), "id", str, reason="answer-wrong")
            wanted[body["venue"]] = [[event, body["name"]]]
        wait.until(lambda: time.monotonic() - began >= SILENT, deadline=SILENT + 1, what="the end of the silence")
        last = word()
        event_goes_on("PATCH", f"/events/{event}", {"name": last}, 200, how)
        wanted[body["venue"]] = [[event, last]]
    since, when = time.monotonic(), "Elasticsearch spoke again"
    search_back(since, when)
    search_has(wanted, since, when)
    caught_up(server)
    search_still_has(wanted, "after a later change had come through (what was sent into the silence may arrive late)")
    evidence(f"events changed {CROWD + 11} times while Elasticsearch was silent, and then the search had all of it")


@promises("search-catches-up", "elasticsearch-away", "events-without-search", "health-elasticsearch", "back-again")
def test_killed_while_elasticsearch_is_away(
    server,
    fault,
    known_events,
    change_events,
    search_refused,
    search_health,
    search_back,
    search_has,
    evidence,
):
    """Killed and started again while Elasticsearch is away, your server runs, and nothing is forgotten."""
    early, late, how = known_events(4), known_events(4), "cannot be reached"
    with fault.down("elasticsearch"):
        wanted = change_events(early, how)
        server.kill()
        how = "cannot be reached, and could not when your server started"
        search_refused({}, how)
        search_health("down", how)
        wanted |= change_events(late, how)
    since, when = time.monotonic(), "Elasticsearch was back (your server had been killed and started again meanwhile)"
    search_back(since, when)
    search_has(wanted, since, when)
    evidence("events changed 20 times before and after the kill; when Elasticsearch was back, the search had it all")


@promises("search-catches-up", "elasticsearch-away", "back-again", "events-without-search")
def test_away_at_the_first_start(server, fault, forget_search, event_goes_on, new_event, word, search_has, evidence):
    """Elasticsearch is empty and away when your server starts: the index is made when it is there."""
    how = "cannot be reached, and could not when your server started"
    server.stop()
    forget_search()
    wanted = {}
    with fault.down("elasticsearch"):
        server.start()
        for _ in range(3):
            body = new_event(name=word(), venue=word())
            event = expect.field(event_goes_on("POST", "/events", body, 201, how), "id", str, reason="answer-wrong")
            wanted[body["venue"]] = [[event, body["name"]]]
    since, when = time.monotonic(), "Elasticsearch was back (it was empty, and away when your server started)"
    search_has(wanted, since, when)
    evidence(
        "your server started without Elasticsearch, made its index later, and three events were found by their venues"
    )
