"""mysql/schema: a start that breaks off in its middle is made up for by the next one.

MySQL commits each CREATE TABLE by itself, so half of them can be there.
"""

from orchestrator.checks import expect, promises

TABLES = {"buyers", "events", "orders", "tickets"}


@promises("start-completes")
def test_a_start_that_broke_off(explore, server, sales, evidence):
    """Your server loses its connection when it is about to make its last table; started again, it makes what is missing."""

    def prepare():
        server.stop()
        sales.drop_tables()

    def last_table(steps):
        made = [step for step in steps if "create table" in step.text.lower()]
        return (made or list(steps))[-1:]

    def holds(*_):
        server.restart()
        there = {table for table, _ in sales.columns()} & TABLES
        expect.equal(
            sorted(TABLES),
            sorted(there),
            f"which of the four tables {sales.title} has after a start of your server that broke off, and one more",
            reason="tables-half-made",
        )

    tried = explore.cut(lambda _: server.start(), holds, pick=last_table, prepare=prepare, services=(sales.name,))
    evidence(f"the connection was cut at {tried} of a start; after the next one all four tables were there")
