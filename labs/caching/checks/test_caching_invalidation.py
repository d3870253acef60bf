"""caching/invalidation: once a change has been answered, no process answers what was before."""

from orchestrator.checks import expect, promises


@promises("nothing-stale", "put-events-200", "delete-events-204")
def test_a_change_is_seen_by_all(server, twin, make_event, new_fields, read, truth, agrees, evidence):
    """An event that both processes have read is changed through one of them, and then deleted."""
    for one, which in ((server, "one"), (twin, "the other")):
        address = make_event()
        for _ in range(2):
            agrees(address, "after it was made", "stale")
            fields = new_fields()
            expect.status(one.put(f"/events/{address}", json=fields), 200, reason="change-refused")
            expect.equal({"event": address, **fields}, truth(address), f"the row of {address}", reason="not-stored")
            agrees(address, f"after a PUT through {which} of them was answered", "stale")
        expect.status(one.delete(f"/events/{address}"), 204, reason="change-refused")
        agrees(address, f"after a DELETE through {which} of them was answered", "stale")
    evidence("four changes and two deletions, through two processes: both answered what PostgreSQL has, each time")
