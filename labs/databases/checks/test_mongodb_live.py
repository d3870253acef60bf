"""mongodb/live: each version of a page reaches every listener, whoever made it, and nobody misses what came before."""

import contextlib
import time

from orchestrator.checks import Call, expect, promises

MANY = 230
"""Versions that a listener who was away for long has missed."""
LISTENERS, SECONDS, A_SECOND = 10, 1.2, 20
"""Streams that are open while nothing happens, for how long, and the commands that they may cost in a second."""
GONE, EARLY = 15, 6
LONG_NUMBER = 15
"""Digits of a number that a server may find too long to be one."""


@promises(
    "page-live-header", "page-live-each", "page-live-message", "page-live-soon", "page-live-in-order", "page-live-from-now",
    "get-pages-live-200", "document-of-others",
)
def test_every_listener_hears_every_version(
    server, twin, mongodb, plant_page, open_live, put_version, add_history, add_versions, hears, nothing_more, evidence,
):
    """Versions come from two processes and from another program: the listeners of both hear each once, in order."""
    page, other = plant_page(versions=3), plant_page(versions=2)
    with contextlib.ExitStack() as stack:
        here, there = (stack.enter_context(open_live(one, page)) for one in (server, twin))
        elsewhere = stack.enter_context(open_live(twin, other))
        first = put_version(twin, page)  # at once: the header says that your server listens
        hears(there, page, [first], "not-told")
        hears(here, page, [first], "not-across-servers")
        for stream in (here, there):
            nothing_more(stream, page, "old-told", "before anything was written")
        for writer, near, far in ((server, here, there), (twin, there, here)):
            made = [put_version(writer, page)]
            hears(near, page, made, "not-told")
            hears(far, page, made, "not-across-servers")
        made = add_history(page, 2)  # the page follows in a moment
        for stream in (here, there):
            hears(stream, page, [(one["version"], one["title"]) for one in made], "not-from-others")
        mongodb.change("pages", {"_id": page}, {"$set": made[-1]})
        hears(elsewhere, other, [put_version(server, other)], "not-across-servers")
        made = [*add_versions(page, 3), put_version(server, page), put_version(twin, page), *add_versions(page, 2)]
        for stream in (here, there):
            hears(stream, page, made, "not-told")
        for stream, which, seconds in ((here, page, 0.3), (there, page, 0.05), (elsewhere, other, 0.05)):
            nothing_more(stream, which, "told-twice", "beside its versions, once each", seconds)
    evidence("twelve versions of a page, made by two processes and by another program, reached two listeners, once each and in order")


@promises("page-live-each", "page-live-message", "page-live-soon", "page-live-header", "get-pages-live-200")
def test_a_new_page_is_live(server, twin, make_page, open_live, put_version, hears, nothing_more, evidence):
    """A page that was just made has a live stream, and what is refused is not told."""
    page = make_page()
    with open_live(server, page) as stream:
        expect.status(server.put(f"/pages/{page}", json={"kind": "concert", "title": ""}), 422, reason="bad-body-accepted", code="invalid")
        made = [put_version(twin, page), put_version(server, page)]
        expect.equal([2, 3], [number for number, _ in made], "the versions that two PUTs were answered with", reason="version-wrong")
        hears(stream, page, made, "not-told")
        nothing_more(stream, page, "told-twice", "beside versions 2 and 3")
    evidence("versions 2 and 3 of a new page were told, and a PUT that was refused was not")


@promises("page-live-resumed", "page-live-in-order", "page-live-message")
def test_opened_anew_from_the_last_one(
    server, twin, plant_page, new_page, open_live, put_version, add_versions, hears, nothing_more, evidence
):
    """With Last-Event-ID a stream begins with the first version above it, however long that has been there."""
    body = new_page()
    page = plant_page(body=body)
    made = [(1, body["title"]), *add_versions(page, 11)]
    with contextlib.ExitStack() as stack:
        streams = [
            (last, stack.enter_context(open_live(one, page, last))) for last, one in ((0, server), (5, twin), (9, server), (12, twin))
        ]
        for last, stream in streams:
            hears(stream, page, made[last:], "not-resumed")
        for _, stream in streams:
            nothing_more(stream, page, "told-twice", "beside those above its Last-Event-ID", 0.1)
        more = [put_version(server, page), *add_versions(page), put_version(twin, page)]
        for _, stream in streams:
            hears(stream, page, more, "not-told")
    # As a browser does: it reads on with the last id that it has.
    last = more[0][0]
    for one in (twin, server):
        missed = [put_version(server, page), *add_versions(page, 2)]
        with open_live(one, page, last) as stream:
            hears(stream, page, [version for version in more if version[0] > last] + missed, "not-resumed")
        more, last = missed, missed[0][0]
    evidence("streams that were opened with Last-Event-ID 0, 5, 9 and 12 of 12 versions began right after it, and went on with new ones")


@promises("page-live-resumed", "page-live-in-order", "page-live-each")
def test_far_behind_while_versions_come(server, twin, plant_page, open_live, put_version, add_versions, hears, nothing_more, together, evidence):
    """A listener who is hundreds of versions behind hears all of them, in order, while new ones are added."""
    page = plant_page()
    old = add_versions(page, MANY)
    made = []

    def write():
        for place in range(6):
            made.extend([put_version(twin, page)] if place % 2 else add_versions(page, 2))

    with contextlib.ExitStack() as stack:
        streams = []

        def listen():
            for one in (server, twin):
                streams.append(stack.enter_context(open_live(one, page, 1)))
                hears(streams[-1], page, old, "not-resumed")

        together([listen, write])
        for stream in streams:
            hears(stream, page, made, "not-told")
            nothing_more(stream, page, "told-twice", "beside its versions, once each", 0.1)
    evidence(f"two listeners who were {MANY} versions behind heard them all and {len(made)} that were added meanwhile, in order")


@promises("page-live-from-now", "page-live-resumed", "get-pages-live-422")
def test_last_event_ids_of_all_kinds(server, plant_page, add_versions, told_version, evidence):
    """A Last-Event-ID that is no number is taken as none, or is 422; one above all versions makes nobody hear old ones."""
    page, refused, ids = plant_page(), 0, ("-1", "abc", "1.5", "", '{"$gt":0}', "$version", "1 or 1", "9" * 24)
    newest = add_versions(page, 6)[-1][0]
    path = f"/pages/{page}/live"
    with contextlib.ExitStack() as stack:
        streams = []
        for last in (*ids, str(newest + 90)):
            above = last.isdigit()
            stream = stack.enter_context(server.stream(path, headers={"Last-Event-ID": last}))
            if stream.status == 422 and (not above or len(last) > LONG_NUMBER):
                answer = server.get(path, headers={"Last-Event-ID": last})
                expect.status(answer, 422, reason="bad-last-event-id", code="invalid")
                refused += 1
                continue
            expect.equal(200, stream.status, f"the status of GET {path} with Last-Event-ID: {last}", reason="bad-last-event-id")
            streams.append((last, above, stream))
        made, end = add_versions(page)[0][0], time.monotonic() + 2.5
        for last, above, stream in streams:
            seen = []
            while not seen and time.monotonic() < end and not above:
                seen += [told_version(event, page)[0] for event in stream.none_within(0.02)]
            seen += [told_version(event, page)[0] for event in stream.none_within(0.02)]
            expect.true(
                seen == [made] or (above and not seen), f"the versions that GET {path} with Last-Event-ID: {last} told when version {made} was added",
                "bad-last-event-id", f"{made}, or nothing" if above else str(made), seen,
            )
    evidence(f"{len(ids) + 1} values of Last-Event-ID that name no version: {refused} were refused, and none of the others brought an old version")


@promises("get-pages-live-404", "unknown-id", "no-operators", "other-method")
def test_no_page_has_no_live(server, mongodb, plant_page, fresh, evidence):
    """A page that nobody wrote, or that somebody deleted, has no live stream: 404. POST is 405."""
    gone, there = plant_page(versions=2), plant_page()
    mongodb.delete("pages", {"_id": gone})
    mongodb.delete("page_history", {"page": gone})
    for page in (fresh.name("none").lower(), gone, "%7B%22%24ne%22%3Anull%7D", "$ne"):
        for headers in ({}, {"Last-Event-ID": "0"}):
            answer = server.get(f"/pages/{page}/live", headers=headers)
            expect.status(answer, 404, reason="unknown-id-answer", code="not_found")
    answer = server.post(f"/pages/{there}/live", json={})
    expect.status(answer, 405, reason="wrong-method-answer")
    allow = answer.headers.get("Allow") or ""
    expect.true(
        "GET" in allow.upper(), f"the header Allow of the answer to POST /pages/{there}/live", reason="wrong-method-answer",
        expected="the method that it knows, GET", seen=allow or "no header Allow",
    )
    evidence("a page that is not there, or not any more, has no live stream")


@promises("page-live-cheap", "page-live-each")
def test_ten_streams_cost_little(server, mongodb, plant_page, open_live, put_version, hears, evidence):
    """While nothing happens, ten open streams send MongoDB no more than 20 commands a second together."""
    pages = [plant_page() for _ in range(LISTENERS)]
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(open_live(server, page)) for page in pages]
        for page, stream in zip(pages[:2], streams, strict=False):
            hears(stream, page, [put_version(server, page)], "not-told")
        streams[0].none_within(0.2)  # what a listener who comes has to ask, it has asked
        began = time.monotonic()
        with mongodb.operations() as seen:
            for stream in streams:
                stream.none_within(SECONDS / LISTENERS)
        took = time.monotonic() - began
        names = [f"{one.name} of {one.collection}" for one in seen.list if one.name != "getMore"]
        counts = {name: names.count(name) for name in sorted(set(names))}
        expect.at_most(
            A_SECOND * took, len(names),
            f"how many commands MongoDB had of your server in {took:.1f} s in which {LISTENERS} streams were open and nothing happened "
            f"(waiting in a change stream not counted): {expect.shown(counts)}", reason="busy-waiting",
        )
        for page, stream in zip(pages[2:], streams[2:], strict=True):
            hears(stream, page, [put_version(server, page)], "not-told")
    evidence(f"{LISTENERS} open streams: MongoDB had {len(names)} commands in {took:.1f} s, and all of them heard the next version")


@promises("page-live-gone", "page-live-each")
def test_listeners_that_are_gone(server, mongodb, fault, plant_page, open_live, add_versions, hears, evidence):
    """When listeners go away without a word, some before their header, who stays hears on, and nothing is kept open for them."""
    page = plant_page()
    path = f"/pages/{page}/live"

    def cursors():
        return mongodb.admin("serverStatus")["metrics"]["cursor"]["open"]["total"]

    def vanish():
        with contextlib.ExitStack() as stack:
            for stream in [stack.enter_context(open_live(server, page)) for _ in range(GONE)]:
                stream.drop()

    def hang_up():
        with fault.hold("mongodb"):
            server.parallel([Call("GET", path)] * EARLY, deadline=0.4, unanswered="keep")

    with open_live(server, page) as patient:

        def look(count):
            """After some more messages."""
            hears(patient, page, add_versions(page, 2), "deaf-after-drop")
            return count()

        before = look(cursors)
        for act, who in ((vanish, f"{GONE} listeners"), (hang_up, f"{EARLY} listeners who had no header yet")):
            for again in range(2):
                act()
                expect.eventually(
                    lambda: look(cursors), lambda now: now <= before + 3, within=5.0, reason="dead-clients-kept",
                    what=f"how many cursors and change streams are open at MongoDB ({before} before {who} came) after all had gone away and "
                    "more versions were added",
                )
                if act is vanish and not again:
                    usual = look(lambda: len(mongodb.sessions()))
        # A driver keeps connections to use them again: fifteen more than the first time are not what it needs.
        expect.eventually(
            lambda: look(lambda: len(mongodb.sessions())), lambda now: now <= usual + GONE // 2, within=5.0, reason="dead-clients-kept",
            what=f"the connections of your server at MongoDB after {GONE} listeners had gone away, and then as many again ({usual} after the first "
            "time), and more versions were added",
        )
        began = time.monotonic()
        with mongodb.operations() as seen:
            patient.none_within(1.0)
        took, asked = time.monotonic() - began, sum(one.name != "getMore" for one in seen.list)
        expect.at_most(
            A_SECOND * took, asked, f"how many commands MongoDB had of your server in {took:.1f} s with one listener, after {2 * (GONE + EARLY)} had gone",
            reason="dead-clients-kept",
        )
    evidence(f"{2 * (GONE + EARLY)} listeners went away: MongoDB had {before} cursor(s) open before, and {cursors()} after")
