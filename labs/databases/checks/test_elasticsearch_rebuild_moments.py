"""elasticsearch/rebuild: between any two of its steps the search is whole, and changes are kept."""

import pytest

from orchestrator.checks import Call, NoAnswer, expect, promises

ROWS = 150
MANY, OLDEST, SOME = 1_100, 200, 25
"""Rows that stay, those in front of them, and how many of these are deleted at one step: more than one read takes."""
MOST = 11
MOMENT = 0.25
"""Seconds for each of three changes to reach Elasticsearch while the rebuild stands still."""


@pytest.fixture
def rebuilding():
    """``rebuilding(server) -> answer``: POST /search/rebuild, whatever comes of it."""
    return lambda server: server.post("/search/rebuild", deadline=30.0)


@promises("rebuild-no-gap", "rebuild-keeps-changes", "events-alias", "rebuild-from-postgres")
def test_changes_between_two_steps(
    explore,
    server,
    twin,
    rebuild,
    rebuilding,
    plant_rows,
    all_there,
    made_event,
    in_step,
    indexed,
    new_event,
    word,
    one_index,
    search_ends_with,
    evidence,
):
    """Between any two steps of a rebuild, searches find all, and what happens to events is not lost."""
    rows = plant_rows(ROWS)
    rebuild()
    held = "while a rebuild stood still"

    def prepare():
        patched, gone = made_event()[0], made_event(via=twin)[0]
        for event in (patched, gone):
            expect.true(
                in_step(event, 2.0),
                f"whether `events` has the event {event} 2 seconds after its POST",
                "not-found",
                "its document",
                "no such document",
            )
        return {"patched": patched, "gone": gone, "new": new_event(name=word(), venue=word())}

    def meanwhile(case):
        all_there(rows, held)
        one_index(held)
        answers = [
            indexed(twin.patch(f"/events/{case['patched']}", json={"name": word()}), case["patched"], MOMENT),
            indexed(server.delete(f"/events/{case['gone']}"), case["gone"], MOMENT),
            indexed(twin.post("/events", json=case["new"]), None, MOMENT),
        ]
        all_there(rows, held)
        return answers

    def holds(case, answer, answers):
        if not isinstance(answer, NoAnswer):
            expect.status(answer, 200, reason="rebuild-refused")
        for one, status in zip(answers, (200, 204, 201), strict=True):
            expect.status(one, status, reason="event-refused")
        all_there(rows, "when the rebuild was answered")
        one_index("when the rebuild was answered")
        for event, what in ((case["patched"], "changed"), (case["gone"], "deleted"), (answers[2].json()["id"], "made")):
            search_ends_with(event, f"which was {what} {held}", "rebuild-lost-change")

    seen = explore.interleave(
        lambda _: rebuilding(server),
        meanwhile,
        holds,
        prepare=prepare,
        during="somebody searched, and events were changed, deleted and made",
        most=MOST,
        stand=1.0,
    )
    evidence(f"events changed before {seen} of a rebuild: {ROWS} others were found each time, and no change was lost")


@promises("rebuild-no-gap", "rebuild-keeps-changes")
def test_the_oldest_are_deleted(explore, server, twin, rebuild, rebuilding, plant_rows, all_there, evidence):
    """Between any two steps of a rebuild the oldest events are deleted: none of the others is left out for it."""
    _, oldest = plant_rows(OLDEST)
    rows = plant_rows(MANY)
    rebuild()
    left = list(oldest)

    def meanwhile(_):
        some, left[:] = left[:SOME], left[SOME:]
        return twin.parallel([Call("DELETE", f"/events/{event}") for event in some], at_once=5)

    def holds(_, answer, gone):
        if not isinstance(answer, NoAnswer):
            expect.status(answer, 200, reason="rebuild-refused")
        for one in gone:
            expect.status(one, 204, reason="event-refused")
        all_there(rows, "when the oldest events had been deleted while a rebuild stood still")

    seen = explore.interleave(
        lambda _: rebuilding(server),
        meanwhile,
        holds,
        during=f"the {SOME} oldest events were deleted",
        services=("postgres",),  # where it reads what there is, part by part
        most=8,
    )
    evidence(f"the oldest events were deleted before {seen} of a rebuild: all {MANY} others were found each time")


@promises("rebuild-whole", "rebuild-again", "rebuild-no-gap", "events-alias", "old-index-gone")
def test_killed_in_the_middle(
    explore, server, rebuild, rebuilding, plant_rows, all_there, one_index, old_gone, next_rebuild, evidence
):
    """Wherever your server is killed in a rebuild, the search is whole, and the next rebuild is done."""
    rows = plant_rows(ROWS)
    rebuild()

    def holds(more, _):
        when = "after your server was killed in the middle of a rebuild, and started again"
        all_there(rows, when, "rebuild-broke-search")
        old = one_index(when)
        next_rebuild("your server was killed in the middle of one, and started again")
        all_there(more, "after the next rebuild", "rebuild-incomplete")
        all_there(rows, "after the next rebuild", "rebuild-incomplete")
        one_index("after the next rebuild")
        old_gone(old, "after the next rebuild")

    seen = explore.crash(lambda _: rebuilding(server), holds, prepare=lambda: plant_rows(2), most=5)
    evidence(
        f"your server was killed at {seen} of a rebuild: the search was whole each time, and the next rebuild was done"
    )


@promises("rebuild-whole", "rebuild-again", "post-rebuild-503", "events-alias")
def test_a_lost_connection_in_the_middle(
    explore, server, rebuild, rebuilding, plant_rows, all_there, one_index, next_rebuild, evidence
):
    """When a connection is lost in a rebuild, it is done all the same, or the search stays as it was."""
    rows = plant_rows(ROWS)
    rebuild()

    def holds(more, answer):
        when = "after a connection was lost in the middle of a rebuild"
        all_there(rows, when, "rebuild-broke-search")
        one_index(when)
        if not isinstance(answer, NoAnswer):
            expect.status(answer, 200, 500, 503, reason="rebuild-refused")
            if answer.status == 200:
                all_there(more, f"{when}, which was answered with 200", "rebuild-incomplete")
        next_rebuild("a connection was lost in the middle of one")
        all_there(more, "after the next rebuild", "rebuild-incomplete")

    seen = [
        explore.cut(
            lambda _: rebuilding(server), holds, answer=answer, prepare=lambda: plant_rows(2), services=services, most=most
        )
        for answer, services, most in (("never", (), 5), ("lost", ("elasticsearch",), 8))
    ]
    evidence(f"{sum(one.tried for one in seen)} connections were lost in a rebuild: the search was whole each time")


@promises("rebuild-again", "post-rebuild-409", "events-alias", "rebuild-no-gap")
def test_a_rebuild_between_two_steps_of_another(
    explore, server, twin, rebuild, rebuilding, plant_rows, all_there, one_index, evidence
):
    """Between any two steps of a rebuild another is asked for: the search is whole, behind one index."""
    rows = plant_rows(ROWS)
    rebuild()

    def holds(more, *answers):
        for answer in answers:
            if not isinstance(answer, NoAnswer):
                expect.status(
                    answer, 200, 409, reason="rebuild-refused", code="rebuild_running" if answer.status == 409 else None
                )
        one_index("after two rebuilds at the same moment")
        all_there(rows, "after two rebuilds at the same moment")
        if any(getattr(answer, "status", 0) == 200 for answer in answers):
            all_there(more, "after two rebuilds at the same moment", "rebuild-incomplete")

    seen = explore.interleave(
        lambda _: rebuilding(server),
        lambda _: rebuilding(twin),
        holds,
        prepare=lambda: plant_rows(2),
        during="a second process was asked for a rebuild",
        most=6,
    )
    evidence(
        f"another rebuild was asked for before {seen} of a rebuild: the search was whole each time, behind one index"
    )
