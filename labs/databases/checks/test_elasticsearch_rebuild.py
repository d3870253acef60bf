"""elasticsearch/rebuild: the search made anew from PostgreSQL, behind one alias, also after all was lost."""

from orchestrator.checks import Call, expect, promises

ROWS, MANY = 250, 1_200
"""Rows written with SQL: in most checks, and once more than a server copies at a time."""
FIELDS = {"event": "keyword", "name": "text", "venue": "text", "starts_at": "date"}


@promises(
    "rebuild-from-postgres", "post-rebuild-200", "events-alias", "old-index-gone", "found-of-others", "mapping-closed"
)
def test_a_rebuild_is_made_from_postgresql(
    server,
    elasticsearch,
    postgres,
    plant_rows,
    all_there,
    rebuild,
    one_index,
    old_gone,
    document,
    plant_documents,
    found,
    made_event,
    fresh,
    soon_found,
    event_found,
    search,
    evidence,
):
    """After a rebuild the search finds PostgreSQL's rows as they are, and no others; the old index goes."""
    event, body = made_event(name=fresh.text("event"), venue=fresh.text("venue"))
    soon_found(event, {"venue": body["venue"]}, "after its POST")
    before, deleted = one_index("before a rebuild"), None
    for turn, count in (("a rebuild", MANY), ("a second rebuild", ROWS)):
        rows = plant_rows(count)
        ghost = document()
        plant_documents(ghost, {**document(), "event": event, "venue": body["venue"]})
        answer = rebuild()
        all_there(rows, f"after {turn}, when they had been written with SQL", "rebuild-incomplete")
        if deleted:
            all_there((deleted[0], {}), f"after {turn}, when they had been deleted with SQL", "rebuild-keeps-others")
        expect.equal(
            [],
            found({"venue": ghost["venue"]}),
            f"what GET /search finds, after {turn}, of a document that no row of PostgreSQL stands behind",
            "rebuild-keeps-others",
        )
        items = search({"venue": body["venue"]}).json()["items"]
        expect.equal(
            1,
            len(items),
            f"how many events GET /search finds of a venue that has one, after {turn}",
            "rebuild-incomplete",
        )
        event_found(
            items[0],
            event,
            body,
            f"the event that GET /search finds after {turn}; another client had changed its document",
            "rebuild-incomplete",
        )
        expect.fields(
            answer, {"events": postgres.value("SELECT count(*) FROM events")}, f"the answer to {turn}", "rebuild-count"
        )
        after = one_index(f"after {turn}")
        expect.true(
            after != before,
            f"the index behind `events` after {turn}",
            "alias-wrong",
            f"another one than {before}",
            after,
        )
        old_gone(before, f"after {turn}")
        before, deleted = after, rows
        postgres.plant("DELETE FROM events WHERE venue = %s RETURNING id", [rows[0]])
    mapping = elasticsearch.mapping("events")
    for name, kind in FIELDS.items():
        expect.equal(
            kind,
            mapping.get(name, {}).get("type"),
            f"the type of `{name}` in the index that a rebuild made",
            "schema-wrong-type",
        )
    odd = document()
    try:
        elasticsearch.plant("events", {**odd, f"x{fresh.token()}": 1}, ids=[odd["event"]])
    except Exception as error:  # refused, which is right as well
        expect.true(
            "refused" in getattr(error, "reason", ""),
            "whether a document with one more field is taken or refused",
            "mapping-open",
            "either",
            str(error),
        )
    expect.equal(
        sorted(FIELDS),
        sorted(elasticsearch.mapping("events")),
        "the fields of the index that a rebuild made, after a document with one more field came",
        "mapping-open",
    )
    evidence(f"two rebuilds found {MANY} and {ROWS} rows that were written with SQL; `events` stands for {after} alone")


@promises("rebuild-keeps-changes", "search-fresh", "events-alias", "old-index-gone", "start-twice")
def test_changes_after_a_rebuild(
    server,
    twin,
    elasticsearch,
    rebuild,
    made_event,
    in_step,
    one_index,
    old_gone,
    word,
    soon_found,
    soon_gone,
    all_there,
    plant_rows,
    evidence,
):
    """What another process does after a rebuild is found, too; a second start changes nothing."""
    (patched, _), (gone, bye) = made_event(via=twin), made_event(via=twin)
    for event in (patched, gone):
        expect.true(
            in_step(event, 2.0),
            f"whether `events` has the event {event} 2 seconds after its POST",
            "not-found",
            "its document",
            "no such document",
        )
    old, rows = one_index("before a rebuild"), plant_rows(5)
    rebuild()
    old_gone(old, "after a rebuild")
    name = word()
    expect.status(twin.patch(f"/events/{patched}", json={"name": name}), 200, reason="event-refused")
    expect.status(twin.delete(f"/events/{gone}"), 204, reason="event-refused")
    new, more = made_event(via=twin)
    when = "after a rebuild, at another process of your server"
    soon_found(new, {"venue": more["venue"]}, f"that was made {when}", "written-elsewhere")
    soon_gone(gone, {"venue": bye["venue"]}, f"that was deleted {when}", "written-elsewhere")
    expect.true(
        in_step(patched, 2.0),
        f"whether `events` has the new name of the event {patched}, which was changed {when}, within 2 seconds",
        "written-elsewhere",
        name,
        "another one",
    )
    one_index("when another process had written after a rebuild")
    expect.true(
        old not in elasticsearch.indices(),
        f"whether the index {old}, which was gone after a rebuild, comes back",
        "old-index-stays",
        "it stays away",
        "it is there again",
    )
    server.restart()
    one_index("after your server was started again")
    all_there(rows, "after your server was started again", "rebuild-incomplete")
    evidence("another process went on writing after a rebuild, into the new index; a second start left it as it was")


@promises("rebuild-from-postgres", "events-alias")
def test_all_was_lost(server, forget_search, plant_rows, made_event, rebuild, all_there, one_index, found, evidence):
    """All indices are deleted by hand, events go on, and a rebuild brings the search back."""
    rows = plant_rows(50)
    rebuild()
    forget_search()
    event, body = made_event()
    rebuild()
    all_there(rows, "after all indices were deleted and made anew", "rebuild-incomplete")
    expect.equal(
        [event],
        found({"venue": body["venue"]}),
        "what GET /search finds of an event that was made while there was no index, after a rebuild",
        "rebuild-incomplete",
    )
    one_index("after all indices were deleted and made anew")
    other, more = made_event()
    expect.eventually(
        lambda: found({"venue": more["venue"]}),
        [other],
        within=2.0,
        what="what GET /search finds of an event that was made after that",
        reason="not-found",
    )
    evidence("Elasticsearch had lost everything; after one rebuild the search had 50 rows again, and goes on")


@promises("rebuild-again", "post-rebuild-409", "events-alias")
def test_several_rebuilds_at_once(server, twin, together, plant_rows, all_there, one_index, next_rebuild, evidence):
    """Of several rebuilds at the same moment one is done at least; the search is whole, and goes on."""
    rows = plant_rows(ROWS)
    calls = [Call("POST", "/search/rebuild")] * 2
    answers = [one for half in together([lambda: server.parallel(calls), lambda: twin.parallel(calls)]) for one in half]
    for answer in answers:
        expect.status(
            answer, 200, 409, reason="rebuild-refused", code="rebuild_running" if answer.status == 409 else None
        )
    done = sum(answer.status == 200 for answer in answers)
    expect.at_least(1, done, "how many of four rebuilds at the same moment were done", "rebuild-refused")
    all_there(rows, "after several rebuilds at the same moment", "rebuild-incomplete")
    one_index("after several rebuilds at the same moment")
    next_rebuild("several at the same moment")
    all_there(rows, "after the next rebuild", "rebuild-incomplete")
    evidence(f"of four rebuilds at the same moment {done} were done, and `events` stands for one index")


@promises("post-rebuild-503", "rebuild-whole", "rebuild-again", "elasticsearch-away", "postgres-away")
def test_a_rebuild_without_its_services(
    server, fault, plant_rows, rebuild, all_there, one_index, next_rebuild, evidence
):
    """While PostgreSQL or Elasticsearch cannot be reached, a rebuild is 503, and the search stays as it was."""
    rows = plant_rows(50)
    rebuild()
    took = {}
    for break_off, service, how, seconds in (
        (fault.down, "elasticsearch", "cannot be reached", 2.0),
        (fault.down, "postgres", "cannot be reached", 2.0),
        (fault.hold, "elasticsearch", "is silent", 10.0),
    ):
        with break_off(service):
            answer = expect.within(
                seconds,
                lambda: server.post("/search/rebuild", deadline=15.0),
                what=f"POST /search/rebuild while {service} {how}",
                reason="outage-slow",
            )
            expect.status(answer, 503, reason="outage-answer", code="unavailable")
        took[how] = answer.elapsed
        expect.eventually(
            lambda: server.get("/search").status,
            200,
            within=3.0,
            what=f"the answer to GET /search after {service} was back",
            reason="no-recovery",
        )
        all_there(rows, f"after a rebuild was 503 because {service} {how}", "rebuild-broke-search")
        one_index(f"after a rebuild was 503 because {service} {how}")
    next_rebuild("one that was 503")
    all_there(rows, "after the next rebuild", "rebuild-incomplete")
    evidence("a rebuild was 503 three times, the search was as before, and the next one was done")
