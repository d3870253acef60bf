"""caching/aside: PostgreSQL has the events, and what was read once is read from Redis by all processes."""

from orchestrator.checks import expect, promises

LONGEST_ADDRESS = 60


@promises("postgres-is-truth", "put-events-201", "put-events-200", "event-replaced", "delete-events-204", "delete-events-404",
          "get-events-404", "unknown-address", "json")
def test_the_truth_is_in_postgresql(server, truth, read, fresh, new_fields, evidence):
    """Written, written anew, deleted: the row in PostgreSQL is what was answered."""
    address = f"e-{fresh.token().lower()}"
    path = f"/events/{address}"
    for status, fields in ((201, new_fields()), (200, new_fields())):
        answer = server.put(path, json=fields)
        expect.status(answer, status, reason="create-refused")
        expect.fields(answer, {"event": address, **fields}, "the answer to the PUT", reason="answer-wrong")
        expect.equal({"event": address, **fields}, truth(address), f"the row of {address} in PostgreSQL", reason="not-stored")
    expect.status(server.delete(path), 204, reason="delete-refused")
    expect.equal(None, truth(address), f"the row of {address} in PostgreSQL after DELETE", reason="not-stored")
    expect.status(server.delete(path), 404, reason="unknown-found", code="not_found")
    expect.equal(None, read(server, f"e-{fresh.token().lower()}"), "what is read at an address without an event",
                 reason="unknown-found")
    evidence("PostgreSQL had the row as written, as written anew, and none after DELETE")


@promises("hit-asks-nothing", "get-events-200")
def test_the_second_read_asks_postgresql_nothing(server, twin, postgres, redis, make_event, read, truth, evidence):
    """What one process has read PostgreSQL for, all of them read from Redis from then on."""
    for first, others in ((server, (server, twin)), (twin, (server, twin))):
        address = make_event()
        found = truth(address)
        redis.flush()
        expect.equal(found, read(first, address), "the first read of the event", reason="answer-wrong")
        for one in others:
            which = "the same process" if one is first else "another process of your server"
            with postgres.statements() as asked, redis.reads() as looks:
                expect.equal(found, read(one, address), f"the next read, by {which}", reason="answer-wrong")
            expect.equal(0, asked.calls, f"how many statements PostgreSQL got for the second read, by {which}",
                         reason="asked-again")
            expect.at_least(1, looks.count, f"how often Redis was asked for the second read, by {which}",
                            reason="redis-not-asked")
    evidence("four second reads, by two processes: PostgreSQL got no statement, Redis was asked each time")


@promises("keys-may-vanish", "ended-is-read-anew")
def test_what_redis_lost_is_read_anew(server, twin, redis, make_event, read, replaced, truth, fresh, evidence):
    """Redis is emptied, and the row has changed: both processes answer the row, so neither has a copy of its own."""
    address = make_event()
    for one in (server, twin):
        redis.flush()  # so each of them has asked PostgreSQL itself, and could have kept what it got
        read(one, address)
    replaced(address, fresh.integer(10_000_000, 20_000_000))
    found = truth(address)
    for one in (server, twin):
        redis.flush()
        expect.equal(found, read(one, address), "a read after Redis was emptied, beside the row in PostgreSQL",
                     reason="kept-in-process")
    evidence("both processes answered the new row as soon as Redis had no key")


@promises("hit-asks-nothing", "start-twice")
def test_a_new_start_keeps_the_entry(server, postgres, make_event, read, truth, evidence):
    """After a kill and a new start the rows are there, and the first read asks PostgreSQL nothing."""
    address = make_event()
    found = read(server, address)
    server.kill()
    expect.equal(found, truth(address), f"the row of {address} after a new start", reason="not-stored")
    with postgres.statements() as asked:
        expect.equal(found, read(server, address), "the first read after a new start", reason="answer-wrong")
    expect.equal(0, asked.calls, "how many statements PostgreSQL got for the first read after a new start", reason="asked-again")
    evidence("the server was killed and started again: its first read asked PostgreSQL nothing")


@promises("hit-asks-nothing", "one-entry-each", "event-replaced", "put-events-200", "get-events-200")
def test_every_event_has_its_entry(server, twin, postgres, fresh, new_fields, read, truth, evidence):
    """Long, empty and worth nothing, at addresses that begin alike: each is kept, and is nobody else's."""
    longest = f"e-{fresh.token().lower()}".ljust(LONGEST_ADDRESS - 1, "0")
    bodies = {
        f"e-{fresh.token().lower()}": {**new_fields(), "name": fresh.text("event") * 40},
        f"e-{fresh.token().lower()[:1]}": {"name": "", "venue": "", "price_cents": 0},
        **{f"{longest}{last}": new_fields() for last in "12"},
    }
    for address, fields in bodies.items():
        for body in (new_fields(), fields):  # what was there before is gone, also where the new value is nothing
            expect.status(server.put(f"/events/{address}", json=body), 200, 201, reason="create-refused")
        expect.equal({"event": address, **fields}, truth(address), f"the row of {address} in PostgreSQL", reason="not-stored")
    for address, fields in bodies.items():
        read(server, address)
        with postgres.statements() as asked:
            expect.equal({"event": address, **fields}, read(twin, address), f"the second read of {address}", reason="answer-wrong")
        expect.equal(0, asked.calls, f"how many statements PostgreSQL got for the second read of {address}", reason="asked-again")
    evidence(f"{len(bodies)} events, a long one, one of nothing and two whose addresses differ in the last letter, are read from Redis")
