"""The outbox: which changes of events Elasticsearch does not have yet.

A change and its row in the outbox are one transaction: no change without its row, also if the server is killed.
"""

import database

# At the same moment: the oldest changes, and each of their events as it is now (without a name: it was deleted).
WAITING = """
    SELECT change.id AS change, event_id AS id, name, venue, starts_at, coalesce(events.version, change.version) AS version
    FROM (SELECT * FROM search_outbox ORDER BY id LIMIT 500) AS change LEFT JOIN events ON events.id = event_id
    ORDER BY change.id"""


def add(db, event_id, version):
    db.execute("INSERT INTO search_outbox (event_id, version) VALUES (%s, %s)", [event_id, version])


def waiting():
    return database.rows(WAITING)


def done(changes):
    """Deletes exactly these, and nothing "up to" a number: one with a lower id may be committed only later."""
    database.rows("DELETE FROM search_outbox WHERE id = ANY(%s) RETURNING id", [change["change"] for change in changes])
