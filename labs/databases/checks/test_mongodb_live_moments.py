"""mongodb/live: a listener comes, or a version is made, and at each step in between something else happens."""

import contextlib
import time
from datetime import UTC, datetime

import pytest

from orchestrator.checks import NoAnswer, expect, promises

LATE = 0.3
"""Seconds by which each step of a listener who comes is late: the header is long out when it arrives."""


@pytest.fixture
def both(server, twin, open_live):
    """``both(page) -> streams``: a listener of the page at each of two processes, until the check ends."""
    with contextlib.ExitStack() as stack:
        yield lambda page: [stack.enter_context(open_live(one, page)) for one in (server, twin)]


@pytest.fixture
def tell_what_is_there(mongodb, told_version):
    """``tell_what_is_there(streams, page, last, early)``: each tells the versions above ``last`` that MongoDB has, once, in order.

    ``early``: of each stream what it has told of them so far.
    """

    def look(streams, page, last, early=None):
        stored = mongodb.find("page_history", {"page": page, "version": {"$gt": last}}, fields=["version", "title"], sort=[("version", 1)])
        due = [(one["version"], one["title"]) for one in stored]
        for place, stream in enumerate(streams):
            seen, end = list(early[place]) if early else [], time.monotonic() + 2.5
            while len(seen) < len(due) and time.monotonic() < end:
                seen += [told_version(event, page) for event in stream.none_within(0.02)]
            seen += [told_version(event, page) for event in stream.none_within(0.02)]
            right, told = [number for number, _ in due], [number for number, _ in seen]
            what = f"the versions above {last} that the live stream of the page {page} told; MongoDB has {expect.shown(right)}"
            expect.true(len(told) == len(set(told)), what, "told-twice", right, told)
            expect.true(set(told) >= set(right), what, "not-told", right, told)
            expect.true(set(told) <= set(right), what, "told-and-not-there", right, told)
            expect.equal(right, told, what, reason="order-wrong")
            expect.equal(due, seen, f"the titles of {what}", reason="message-wrong")
        return max([last, *right])

    return look


@promises("page-live-resumed", "page-live-in-order", "page-live-each")
def test_a_version_while_a_listener_comes_back(explore, server, twin, plant_page, open_live, put_version, add_versions, hears, evidence):
    """Between any two steps of a stream that is opened with Last-Event-ID a version comes: it is told, and once."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(open_live(server, plant_page()))  # what a process does for its first listener, it has done

        def prepare():
            page = plant_page()
            return {"page": page, "old": add_versions(page)}

        def come(case):
            path = f"/pages/{case['page']}/live"
            case["stream"] = stack.enter_context(server.stream(path, headers={"Last-Event-ID": "1"}))
            if case["stream"].status == 200:
                hears(case["stream"], case["page"], case["old"], "not-resumed")
            return case["stream"]

        def holds(alone):
            """Alone: nothing comes that could bring the version along. Else another one comes at once, and must not take its place."""

            def look(case, answer, made):
                if isinstance(answer, NoAnswer):
                    return
                expect.equal(200, answer.status, f"the status of GET /pages/{case['page']}/live", reason="stream-refused")
                if alone:
                    hears(answer, case["page"], [made], "version-missed")
                due = add_versions(case["page"])
                hears(answer, case["page"], due if alone else [made, *due], "version-missed")
                answer.drop()

            return look

        seen = [
            explore.interleave(
                come, lambda case: put_version(twin, case["page"]), holds(alone), prepare=prepare, answers=answers,
                during="a second process made another version",
            )
            for alone in (False, True)
            for answers in (False, True)
        ]
    evidence(f"a version was made before {seen[0]} of opening a stream, and after each: it was told once")


@promises("page-live-from-now", "page-live-header", "page-live-each")
def test_a_version_right_after_the_header(explore, server, plant_page, open_live, add_versions, hears, evidence):
    """However late a step of a listener who comes is: a version that is added after the header is told."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(open_live(server, plant_page()))

        def come(case):
            case["stream"] = stack.enter_context(server.stream(f"/pages/{case['page']}/live"))
            case["made"] = add_versions(case["page"])
            if case["stream"].status == 200:
                hears(case["stream"], case["page"], case["made"], "missed-after-header")
            return case["stream"]

        def holds(case, answer):
            if isinstance(answer, NoAnswer):
                return
            expect.equal(200, answer.status, f"the status of GET /pages/{case['page']}/live", reason="stream-refused")
            hears(answer, case["page"], add_versions(case["page"]), "missed-after-header")
            answer.drop()

        seen = explore.delay(come, holds, seconds=LATE, prepare=lambda: {"page": plant_page()})
    evidence(f"{seen} of opening a stream came late: the version that was added right after the header was told")


@promises("page-live-each", "page-live-in-order", "page-live-message")
def test_a_version_is_told_when_it_is_there(explore, server, mongodb, plant_page, both, put_version, told_version, tell_what_is_there, evidence):
    """Between any two steps of a PUT its version is told only if MongoDB has it; after it, it is told."""
    page = plant_page()
    streams, last = both(page), [1]

    def look(_):
        seen = [[told_version(event, page) for event in stream.none_within(0.04)] for stream in streams]
        there = {one["version"] for one in mongodb.find("page_history", {"page": page}, fields=["version"])}
        return seen, there

    def holds(_, answer, looked):
        early, there = looked
        for version, _ in [one for seen in early for one in seen]:
            expect.true(
                version in there, f"whether `page_history` had version {version} of the page {page} when a listener was told of it", "told-too-early",
                "it is told when it is there", f"there were {expect.shown(sorted(there))}",
            )
        last[0] = tell_what_is_there(streams, page, last[0], early)

    seen = explore.interleave(
        lambda _: server.put(f"/pages/{page}", json={"kind": "match", "title": "held", "details": {"home": "a", "away": "b"}}), look, holds,
        prepare=lambda: last.__setitem__(0, tell_what_is_there(streams, page, last[0])), during="I read the streams and MongoDB",
    )
    evidence(f"before {seen} of a PUT no listener had been told of its version, unless MongoDB had it; afterwards each had")


@promises("page-live-in-order", "page-live-each", "page-versions-at-once")
def test_two_puts_at_once_are_told_in_order(explore, server, twin, plant_page, both, new_page, tell_what_is_there, evidence):
    """Between any two steps of a PUT another process writes the page: both versions are told, in their order, everywhere."""
    page = plant_page()
    streams, last, bodies = both(page), [1], [new_page(), new_page()]

    def holds(*_):
        last[0] = tell_what_is_there(streams, page, last[0])

    seen = explore.interleave(
        lambda _: server.put(f"/pages/{page}", json=bodies[0]), lambda _: twin.put(f"/pages/{page}", json=bodies[1]), holds,
        prepare=holds, during="a second process wrote the same page",
    )
    evidence(f"a second process wrote the page before {seen} of a PUT: {last[0] - 1} versions were told at both, in order")


@promises("page-live-each", "page-live-in-order", "page-live-message", "document-of-others")
def test_what_is_taken_back_is_not_told(server, mongodb, plant_page, both, new_page, put_version, hears, nothing_more, evidence):
    """Another program's transaction is told when it is committed, with all its versions, and not at all when it is aborted."""
    page = plant_page()
    streams = both(page)

    def version(number):
        return {**new_page(), "version": number, "changed_at": datetime.now(UTC)}

    def write(database, session, *versions):
        session.start_transaction()
        database.page_history.insert_many([{"page": page, **one} for one in versions], session=session)
        database.pages.update_one({"_id": page}, {"$set": versions[-1]}, session=session)

    with mongodb.as_learner() as database, database.client.start_session() as session:
        write(database, session, version(2), version(3))
        session.abort_transaction()
        made = [put_version(server, page)]
        for stream in streams:
            hears(stream, page, made, "not-told")
        write(database, session, *(both_of := [version(3), version(4)]))
        for stream in streams:
            nothing_more(stream, page, "told-and-not-there", "of a transaction that was neither committed nor aborted", 0.15)
        session.commit_transaction()
    for stream in streams:
        hears(stream, page, [(one["version"], one["title"]) for one in both_of], "not-from-others")
        nothing_more(stream, page, "told-and-not-there", "of a transaction that was aborted", 0.1)
    evidence("two versions of a transaction that was aborted were not told; two of another one were, when it was committed")
