"""mongodb/live: MongoDB cut off, away, silent, without a primary or started anew, while streams are open: no version is lost."""

import contextlib
import time

import pytest

from orchestrator.checks import expect, promises

BACK, ANEW = 3.0, 2.0
"""Seconds after which a stream tells what came meanwhile, or has ended; and in which one that was opened anew tells it."""
AWAY, SILENT, ELECTION = 3.2, 2.5, 0.5
"""Seconds for which MongoDB is away, silent, or has no primary, at the least: what a driver tries again by itself once is over by then, and
a pause between two tries that grows is a long one."""


@pytest.fixture
def goes_on(told_version, add_versions):
    """``goes_on(stack, listeners, page, due, when)``: each has heard what was written, once each, within 3 seconds.

    A listener is a dict: the process that it asks, its ``stream``, and what it has ``heard``. If a stream ends, it is
    opened anew with the last id, as a browser does, and again where that is refused; what was heard counts together.
    """

    def listen(stack, one, page, due):
        """One look; whether this listener has heard all."""
        stream = one["stream"]
        over = stream.ended()
        one["heard"] += [told_version(event, page) for event in stream.none_within(0.03)]
        if over and len(one["heard"]) < len(due):
            headers = {"Last-Event-ID": str(one["heard"][-1][0] if one["heard"] else 1)}
            anew = stack.enter_context(one["at"].stream(f"/pages/{page}/live", headers=headers))
            one |= {"stream": anew, "anew": True}
            if anew.status != 503:
                expect.equal(200, anew.status, f"the status of GET /pages/{page}/live, opened anew after an outage", reason="outage-answer")
        return len(one["heard"]) >= len(due)

    def look(stack, listeners, page, due, when):
        began = time.monotonic()
        right = [number for number, _ in due]
        waiting = listeners
        while waiting:
            waiting = [one for one in waiting if not listen(stack, one, page, due)]
            late = time.monotonic() - began - BACK
            if late > ANEW or (late > 0 and not any(one["anew"] for one in waiting)):
                break
        for one in listeners:
            words = f"the versions that a listener of the page {page} has heard until {BACK:g} seconds after {when}" + (
                "; its stream ended, and was opened anew with the last id" if one["anew"] else ""
            )
            listen(stack, one, page, due)
            seen = [number for number, _ in one["heard"]]
            expect.true(len(seen) == len(set(seen)), words, "told-twice", right, seen)
            deaf = len(seen) < len(right) and seen == right[: len(seen)]
            if deaf:  # or does it hear what comes now?
                add_versions(page)
                deaf = not one["stream"].none_within(ANEW)
            expect.equal(right, seen, words, reason="deaf-after-outage" if deaf else "lost-in-outage")
            expect.equal(due, one["heard"], f"the titles of {words}", reason="message-wrong")

    return look


@pytest.fixture
def recovered(new_page, plant_page):
    """``recovered(one)``: this process answers as before; it has 3 seconds for it since the outage of the check before."""

    def look(one):
        path = f"/pages/{plant_page()}"
        expect.eventually(
            lambda: one.put(path, json=new_page()).status, 200, within=BACK, reason="page-refused",
            what=f"the answer to PUT {path}, again and again for 3 seconds; no outage is under way",
        )

    return look


@pytest.fixture
def through(server, twin, plant_page, open_live, put_version, add_versions, recovered, hears, goes_on):
    """``through(outage, when, meanwhile)``: what is written before, in and after an outage is heard at two processes.

    ``meanwhile(stack, page) -> versions``: what the check does in the outage. How many versions there were.
    """

    def run(outage, when, meanwhile):
        recovered(server)
        recovered(twin)
        page = plant_page()
        with contextlib.ExitStack() as stack:
            due, listeners = [put_version(server, page)], []
            for one in (server, twin):
                stream = stack.enter_context(open_live(one, page, 1))
                hears(stream, page, due, "not-resumed")
                listeners.append({"at": one, "stream": stream, "heard": list(due), "anew": False})
            due += add_versions(page)  # it may be on its way
            with outage:
                due += meanwhile(stack, page, listeners)
            due += add_versions(page)
            goes_on(stack, listeners, page, due, when)
            due += add_versions(page)
            goes_on(stack, listeners, page, due, f"all was heard that came before, and {when}")
        return len(due)

    return run


@pytest.fixture
def new_stream(server):
    """``new_stream(stack, page, listeners, how)``: one that is opened meanwhile is 503 within 2 seconds, or waits, and then tells all."""

    def ask(stack, page, listeners, how):
        began, path = time.monotonic(), f"/pages/{page}/live"
        try:
            stream = stack.enter_context(server.stream(path, headers={"Last-Event-ID": "1"}, deadline=2.5))
        except Exception as error:
            if getattr(error, "reason", "") != "too-slow":
                raise
            return  # it waits, and its client has given up
        took = time.monotonic() - began
        if stream.status == 200:
            listeners.append({"at": server, "stream": stream, "heard": [], "anew": False})
            return
        expect.equal(503, stream.status, f"the status of GET {path} while MongoDB {how}", reason="outage-answer")
        expect.status(stream.answer, 503, reason="outage-answer", code="unavailable")
        expect.at_most(2.0, took, f"the seconds until GET {path} was 503 while MongoDB {how}", reason="outage-slow")

    return ask


@pytest.fixture
def written_meanwhile(add_versions, new_stream, wait):
    """``written_meanwhile(how, seconds) -> meanwhile``: versions come, somebody opens a stream, and so long it lasts at the least."""

    def last(how, seconds):
        def meanwhile(stack, page, listeners):
            began, made = time.monotonic(), add_versions(page, 2)
            new_stream(stack, page, listeners, how)
            wait.until(lambda: time.monotonic() - began >= seconds, deadline=seconds + 1, what=f"the end of the time in which MongoDB {how}")
            return made + add_versions(page)

        return meanwhile

    return last


@promises("page-live-after-outage", "page-live-in-order", "page-live-resumed")
def test_a_lost_connection(fault, through, add_versions, evidence):
    """All connections to MongoDB are reset at once, while versions come: each listener hears all of them, once each."""

    def meanwhile(_, page, __):
        made = add_versions(page)
        fault.cut("mongodb")
        return made + add_versions(page, 2)

    seen = through(contextlib.nullcontext(), "all connections to MongoDB were lost", meanwhile)
    evidence(f"all connections to MongoDB were lost, and {seen} versions were heard at two processes, once each")


@promises("page-live-after-outage", "page-live-resumed", "get-pages-live-503", "back-again")
def test_mongodb_is_away_from_a_stream(fault, through, written_meanwhile, evidence):
    """While MongoDB cannot be reached versions come: when it is back each listener hears all of them, once each."""
    seen = through(fault.down("mongodb"), "MongoDB could be reached again", written_meanwhile("cannot be reached", AWAY))
    evidence(f"MongoDB could not be reached: {seen} versions from before, then and after were heard at two processes, once each")


@promises("page-live-after-outage", "page-live-resumed", "get-pages-live-503", "silence-is-away")
def test_mongodb_is_silent_to_a_stream(fault, through, written_meanwhile, evidence):
    """While MongoDB is silent versions come: when it speaks again each listener hears all of them, once each."""
    seen = through(fault.hold("mongodb"), "MongoDB spoke again", written_meanwhile("is silent", SILENT))
    evidence(f"MongoDB was silent: {seen} versions from before, then and after were heard at two processes, once each")


@promises("page-live-after-outage", "page-live-resumed")
def test_an_election_under_a_stream(mongodb, through, wait, evidence):
    """MongoDB steps down, and is primary again: each listener hears the versions of before and after, once each."""

    def meanwhile(*_):
        began = time.monotonic()
        wait.until(lambda: time.monotonic() - began >= ELECTION, deadline=ELECTION + 1, what="the end of the election")
        return []

    seen = through(mongodb.without_primary(), "MongoDB was primary again", meanwhile)
    evidence(f"MongoDB had an election: {seen} versions from before and after were heard at two processes, once each")


@promises("page-live-after-outage", "page-live-resumed", "back-again")
def test_mongodb_starts_anew(fault, through, evidence):
    """MongoDB is killed and started again: each listener hears the versions of before and after, once each."""
    seen = through(fault.kill("mongodb"), "MongoDB was there again", lambda *_: [])
    evidence(f"MongoDB was killed and started again: {seen} versions of before and after were heard at two processes, once each")
