"""mongodb/history: a page and its history change together, between any two steps, in a crash and when a connection is lost."""

import pytest

from orchestrator.checks import Call, NoAnswer, expect, promises


@pytest.fixture
def whole(versions_of):
    """``whole(page, what, *versions)``: page and history are at the same version, one of these, and no version is missing."""

    def look(page, what, *versions):
        seen = versions_of(page)
        right = [{"history": list(range(1, last + 1)), "pages": [last] if last else []} for last in versions]
        more = len(seen["history"]) > max(versions)
        expect.true(
            seen in right,
            f"the versions of a page in the collections `page_history` and `pages` {what}",
            reason="version-made-twice" if more else "history-apart",
            expected=" or ".join(expect.shown(one) for one in right),
            seen=seen,
        )
        return len(seen["history"])

    return look


@pytest.fixture
def own_version(mongodb, page_document, page_shown):
    """``own_version(page, body, answer, what)``: the version in an answer is the body's, in the answer and in the history."""

    def look(page, body, answer, what):
        version = expect.field(answer, "version", int, reason="answer-wrong")
        page_shown(answer, page, body, version, f"the answer to {what}", "answer-of-another")
        found = mongodb.find("page_history", {"page": page, "version": version})
        expect.equal(1, len(found), f"how many documents `page_history` has of the version {version} that {what} was answered with", reason="history-gap")
        page_document(found[0], body, version, f"version {version} in `page_history`, which {what} was answered with")
        return version

    return look


@pytest.fixture
def cases(plant_page, new_page, fresh):
    """``cases(there) -> prepare``: the address of a page (one that is there, or a new one), and two bodies for it."""
    return lambda there: lambda: (plant_page() if there else fresh.name("page").lower(), new_page("match"), new_page("play"))


@promises("page-versions-at-once", "page-with-history", "page-versions", "history-one-each", "put-pages-200", "put-pages-201")
def test_a_put_between_two_steps_of_another(explore, server, twin, cases, whole, own_version, evidence):
    """Between any two steps of a PUT another process writes the page: each is a version of its own, and none is refused."""

    def holds(case, *answers):
        page, *bodies = case
        done = [
            (body, answer, name) for body, answer, name in zip(bodies, answers, ("the first PUT", "the second PUT, at another process"), strict=True)
            if not isinstance(answer, NoAnswer)
        ]
        for _, answer, _ in done:
            expect.status(answer, 200, 201, reason="refused-by-another")
        made = [expect.field(answer, "version", int, reason="answer-wrong") for _, answer, _ in done]
        old = 1 if there else 0
        expect.equal(len(made), len(set(made)), "how many different versions two PUTs at the same moment were answered with", reason="version-twice")
        for one in done:
            version = own_version(page, *one)
            expect.equal(201 if version == 1 else 200, one[1].status, f"the status of {one[2]}, which made version {version} of the page",
                         reason="made-or-replaced")
        whole(page, "after two PUTs at the same moment", *range(old + len(made), old + 3))

    seen = []
    for there in (True, False):
        seen.append(explore.interleave(
            lambda case: server.put(f"/pages/{case[0]}", json=case[1]),
            lambda case: twin.put(f"/pages/{case[0]}", json=case[2]),
            holds, prepare=cases(there), during="a second process wrote the same page",
        ))
    evidence(f"a second process wrote the page before {seen[0]} of a PUT, and {seen[1]} of one that made it: both have a version")


@promises("page-with-history", "history-whole", "read-is-now")
def test_nobody_sees_half_a_put(explore, server, twin, cases, whole, evidence):
    """Between any two steps of a PUT a reader sees page and history at the same version, in MongoDB and at your server."""

    def look(case):
        page = case[0]
        last = whole(page, "in the middle of a PUT, as another client reads them", 1, 2)
        answers = {path: twin.get(f"/pages/{page}{path}") for path in ("", "/history")}
        for answer in answers.values():
            expect.status(answer, 200, reason="page-missing")
        seen = {"page": answers[""].json()["version"], "history": [one["version"] for one in answers["/history"].json()["items"]]}
        right = {"page": last, "history": list(range(last, 0, -1))}
        expect.equal(right, seen, "the versions that GET shows of a page and of its history in the middle of a PUT", reason="history-apart")
        return answers[""]

    def holds(case, answer, _):
        if not isinstance(answer, NoAnswer):
            expect.status(answer, 200, reason="page-refused")
        whole(case[0], "after a PUT", *([1, 2] if isinstance(answer, NoAnswer) else [2]))

    seen = explore.interleave(
        lambda case: server.put(f"/pages/{case[0]}", json=case[1]), look, holds, prepare=cases(True),
        during="somebody read the page and its history",
    )
    evidence(f"page and history were at the same version before {seen} of a PUT")


@promises("read-is-now", "history-whole", "get-pages-history-200")
def test_a_put_between_two_steps_of_a_look(explore, server, twin, cases, evidence):
    """Between any two steps of a look into the history a version comes: the look shows all of before, or all of after."""

    def holds(case, answer, other):
        expect.status(other, 200, reason="page-refused")
        if isinstance(answer, NoAnswer):
            return
        expect.status(answer, 200, reason="history-wrong")
        seen = [one["version"] for one in answer.json()["items"]]
        expect.true(seen in ([1], [2, 1]), "the versions in a history while the second one was made", "history-wrong", "[2, 1] or [1]", seen)

    seen = explore.interleave(
        lambda case: server.get(f"/pages/{case[0]}/history"), lambda case: twin.put(f"/pages/{case[0]}", json=case[1]),
        holds, prepare=cases(True), during="a second process wrote the page",
    )
    evidence(f"a version was made before {seen} of a look into the history: it had all versions of a moment")


@promises("page-with-history", "page-one-version")
def test_a_crash_leaves_all_or_nothing(explore, server, cases, whole, evidence):
    """Wherever your server is killed in a PUT, the page and its history have both changed, or neither has."""

    def holds(case, _):
        last = whole(case[0], "after your server was killed in the middle of a PUT", 1, 2)
        again = server.put(f"/pages/{case[0]}", json=case[2])
        expect.status(again, 200, reason="page-refused")
        whole(case[0], "after the next PUT", last + 1)

    seen = explore.crash(lambda case: server.put(f"/pages/{case[0]}", json=case[1]), holds, prepare=cases(True))
    evidence(f"your server was killed at {seen} of a PUT: all of it was there, or nothing")


@promises("page-one-version", "page-with-history", "put-pages-503", "mongodb-away", "back-again")
def test_a_lost_connection_makes_one_version_at_most(explore, server, cases, whole, own_version, evidence):
    """When the connection is lost at any step of a PUT, also at its commit, there is one version at most, and the answer is true."""

    def commit(steps):
        return [step for step in steps if "commitTransaction" in step.text][-1:] or steps[-1:]

    seen = []
    for there in (True, False):
        old = int(there)

        def holds(case, answer, old=old):
            page, body, other = case
            if isinstance(answer, NoAnswer) or answer.status >= 500:
                last = whole(page, "after a PUT whose connection to MongoDB was lost", old, old + 1)
                if not isinstance(answer, NoAnswer):
                    expect.status(answer, 500, 503, reason="lost-answer", code=("internal", "unavailable"))
            else:
                expect.status(answer, 200 if old else 201, reason="lost-answer")
                last = whole(page, f"after a PUT that was answered with {answer.status}; its connection to MongoDB was lost", old + 1)
                expect.equal(last, own_version(page, body, answer, "the PUT"), "the version in the answer to that PUT", reason="lost-answer")
            expect.eventually(
                lambda: server.put(f"/pages/{page}", json=other, deadline=10.0).status, lambda status: status in (200, 201), within=3.0,
                what="the answer to the next PUT of the page, again and again after the connection was lost", reason="page-stuck",
            )
            whole(page, "after the next PUT", last + 1)

        # A driver sends a commit again by itself when its answer is lost, and that answer may be lost, too.
        for answer, times, pick in (("never", 1, None), ("lost", 1, None), ("lost", 2, commit)):
            ask = lambda case: server.put(f"/pages/{case[0]}", json=case[1])  # noqa: E731
            seen.append(explore.cut(ask, holds, answer=answer, times=times, pick=pick, prepare=cases(there)))
    evidence(f"{sum(one.tried for one in seen)} connections were lost in a PUT, also when it was committed: one version each, or none")


@promises("page-versions-at-once", "history-one-each", "page-with-history")
def test_a_crowd_of_editors(server, twin, make_page, new_page, whole, own_version, together, evidence):
    """Of six PUTs of one page at the same moment, at two processes, each becomes a version of its own."""
    page = make_page()
    bodies = [new_page("match") for _ in range(6)]
    calls = [Call("PUT", f"/pages/{page}", json=body) for body in bodies]
    halves = together([lambda: server.parallel(calls[:3]), lambda: twin.parallel(calls[3:])])
    answers = [*halves[0], *halves[1]]
    for answer in answers:
        expect.status(answer, 200, reason="refused-by-another")
    made = [own_version(page, body, answer, "one of six PUTs") for body, answer in zip(bodies, answers, strict=True)]
    expect.equal(list(range(2, 8)), sorted(made), "the versions that six PUTs at the same moment were answered with", reason="version-twice")
    whole(page, "after six PUTs at the same moment", 7)
    evidence("six PUTs of one page at the same moment: MongoDB has versions 2 to 7 of it, each with its own text")


@promises("page-anew", "put-pages-201", "history-one-each", "document-of-others")
def test_a_page_anew_beside_its_old_history(server, mongodb, plant_page, new_page, fresh, evidence):
    """Somebody deletes a page and leaves its history: the next PUT makes a new page, and the history has each version once."""
    own = fresh.name("page").lower()
    for _ in range(2):
        expect.status(server.put(f"/pages/{own}", json=new_page()), 200, 201, reason="page-refused")
    for page in (own, plant_page(versions=3)):
        path, before = f"/pages/{page}", mongodb.count("page_history", {"page": page})
        mongodb.delete("pages", {"_id": page})
        answer = server.put(path, json=new_page())
        expect.status(answer, 201, reason="page-not-anew")
        version = expect.field(answer, "version", int, reason="answer-wrong")
        there = sorted(one["version"] for one in mongodb.find("page_history", {"page": page}, fields=["version"]))
        expect.equal(
            sorted({*range(1, before + 1), version}),
            there,
            f"the versions of {page} in `page_history`, after somebody had deleted the document in `pages` and PUT {path} was answered "
            f"with version {version}",
            reason="history-gap",
        )
        expect.equal(before + 1, len(there), "how many these are: each of before, and one more", reason="history-gap")
    evidence("two pages whose document had been deleted were made anew, and the history of before had one version more")
