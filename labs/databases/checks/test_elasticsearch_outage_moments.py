"""elasticsearch/outage: several change one event at once, in any order; a kill in between."""

import time

import pytest

from orchestrator.checks import NoAnswer, expect, promises

MOST = 9
"""Steps that are tried of each exploration."""
KILLS = 12
"""Kills of each exploration: what comes after an answer is among the last of its points."""
MOMENT = 0.8
"""Seconds for which the second process waits at the most until Elasticsearch has what it wrote."""


@pytest.fixture
def renamed(word, indexed):
    """``renamed(server, event) -> answer``: PATCH with a new name, and what it leads to."""

    def ask(server, event, seconds=2.0):
        return indexed(server.patch(f"/events/{event}", json={"name": word()}), event, seconds)

    return ask


@promises("search-last-change", "search-fresh")
def test_two_change_one_event(explore, server, twin, made_event, renamed, search_ends_with, caught_up, evidence):
    """Between any two steps of a PATCH another process changes the event: the last state is what stays."""

    def holds(event, *answers):
        for answer in answers:
            if not isinstance(answer, NoAnswer):
                expect.status(answer, 200, reason="refused-by-another")
        caught_up(server, twin)
        search_ends_with(event, "after two PATCHes at the same moment, at two processes of your server")

    seen = explore.interleave(
        lambda event: renamed(server, event),
        lambda event: renamed(twin, event, MOMENT),
        holds,
        prepare=lambda: made_event()[0],
        during="a second process changed the same event",
        most=MOST,
        stand=1.0,
    )
    evidence(f"a second process changed the event before {seen} of a PATCH: Elasticsearch had the last state each time")


@promises("search-last-change", "search-fresh")
def test_one_deletes_what_another_changes(
    explore, server, twin, made_event, renamed, indexed, search_ends_with, caught_up, evidence
):
    """Between any two steps of a PATCH another process deletes the event: it does not come back."""

    def holds(event, first, second):
        if not isinstance(first, NoAnswer):
            expect.status(first, 200, 404, reason="refused-by-another")
        if not isinstance(second, NoAnswer):
            expect.status(second, 204, reason="refused-by-another")
        caught_up(server, twin)
        search_ends_with(
            event,
            "after a PATCH and a DELETE at the same moment, at two processes of your server",
            reason="deleted-came-back",
        )

    seen = explore.interleave(
        lambda event: renamed(server, event),
        lambda event: indexed(twin.delete(f"/events/{event}"), event, MOMENT),
        holds,
        prepare=lambda: made_event()[0],
        during="a second process deleted the event",
        most=MOST,
        stand=1.0,
    )
    evidence(f"a second process deleted the event before {seen} of a PATCH: it was in Elasticsearch no more each time")


@promises("search-fresh", "search-last-change")
def test_nobody_is_passed_over(explore, server, twin, new_event, word, indexed, in_step, caught_up, evidence):
    """Between any two steps of a POST other events are made, and found: so is the first one, afterwards."""

    def post(server, body, seconds=2.0):
        return indexed(server.post("/events", json=body), None, seconds)

    def holds(bodies, *answers):
        caught_up(server, twin)
        mine, theirs = answers
        for answer in (mine, *([] if isinstance(theirs, NoAnswer) else theirs)):
            if isinstance(answer, NoAnswer):
                continue
            expect.status(answer, 201, reason="refused-by-another")
            event = expect.field(answer, "id", str, reason="answer-wrong")
            expect.true(
                in_step(event, 2.0),
                f"whether the index `events` has the event {event}, one of three that were made at the same moment, "
                "within 2 seconds",
                reason="passed-over",
                expected="its document",
                seen="no such document",
            )

    seen = explore.interleave(
        lambda bodies: post(server, bodies[0]),
        lambda bodies: [post(twin, bodies[1], MOMENT / 2), post(server, bodies[2], MOMENT / 2)],
        holds,
        prepare=lambda: [new_event(name=word(), venue=word()) for _ in range(3)],
        during="others were made, at a second process and at this one",
        most=MOST,
        stand=1.0,
    )
    evidence(f"other events were made before {seen} of a POST: Elasticsearch had all of them each time")


@promises("search-last-change", "search-catches-up")
def test_the_order_of_a_silence(
    fault, server, twin, made_event, in_step, word, search_has, search_back, search_ends_with, caught_up, evidence
):
    """While Elasticsearch is silent, events change several times, at one process or two: the last state stays."""
    known = [made_event() for _ in range(12)]
    for event, _ in known:
        expect.true(
            in_step(event, 2.0),
            f"whether the index `events` has the event {event} 2 seconds after POST",
            "not-found",
            "its document",
            "no such document",
        )
    wanted = {}
    with fault.hold("elasticsearch"):
        for place, (event, body) in enumerate(known):
            one, other = ((server, server), (server, twin), (twin, server))[place % 3]
            for via, name in ((one, word()), (other, word()), (one, word())):
                expect.status(via.patch(f"/events/{event}", json={"name": name}), 200, reason="events-stop")
                wanted[body["venue"]] = [[event, name]]
            if place % 4 == 3:
                expect.status(other.delete(f"/events/{event}"), 204, reason="events-stop")
                wanted[body["venue"]] = []
    since, when = time.monotonic(), "Elasticsearch spoke again"
    search_back(since, when)
    search_has(wanted, since, when, "older-state")
    caught_up(server, twin)
    for event, _ in known:
        search_ends_with(event, "after several changes while Elasticsearch was silent, at two processes of your server")
    evidence("12 events were changed three times each at two processes, into a silence: the last state stayed")


@promises("search-catches-up", "search-fresh")
def test_killed_before_it_is_written(explore, server, made_event, new_event, word, indexed, in_step, evidence):
    """Wherever your server is killed after its answer to a PATCH or a POST, the search has what it did."""
    answered = []

    def ask(method, path, body, event):
        answer = server.request(method, path, json=body)
        answered.append(answer)
        return indexed(answer, event, 0.5)

    def holds(event, _):
        if not answered or answered[0].status >= 400:
            return
        event = event or answered[0].json()["id"]
        expect.true(
            in_step(event, 5.0),
            f"whether Elasticsearch has the event {event} as PostgreSQL has it, 5 seconds after your server was "
            "started again; "
            f"its {answered[0].exchange['method']} had been answered with {answered[0].status}",
            "change-lost",
            "the document of the new state",
            "another one, or none",
        )

    def prepare():
        answered.clear()
        return made_event()[0]

    def prepare_new():
        answered.clear()

    seen = [
        explore.crash(
            lambda event: ask("PATCH", f"/events/{event}", {"name": word()}, event), holds, prepare=prepare, most=KILLS
        ),
        explore.crash(
            lambda _: ask("POST", "/events", new_event(name=word(), venue=word()), None),
            holds,
            prepare=prepare_new,
            most=KILLS,
        ),
    ]
    evidence(f"your server was killed at {seen[0]} of a PATCH and {seen[1]} of a POST: nothing was forgotten")
