"""The gate: its tickets and scans are in an SQLite file beside the server, so that a door without Wi-Fi goes on."""

import os
import sqlite3
import uuid
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from pathlib import Path

from web import Problem, invalid, route, text_of, time_as_text

FILE = Path(os.environ["SQLITE_PATH"])
PATIENCE = 5  # seconds that we wait for another program that writes
VERSION = 2
TABLES = (
    """
    CREATE TABLE IF NOT EXISTS tickets (
        id     TEXT NOT NULL PRIMARY KEY,
        holder TEXT NOT NULL,
        event  TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS scans (
        id         INTEGER PRIMARY KEY AUTOINCREMENT,
        ticket     TEXT NOT NULL UNIQUE REFERENCES tickets,
        gate       TEXT NOT NULL,
        scanned_at TEXT NOT NULL
    )
    """,
)
FROM_VERSION_1 = (
    "ALTER TABLE tickets RENAME TO tickets_of_version_1",
    *TABLES,
    "INSERT INTO tickets (id, holder, event) SELECT id, holder, event FROM tickets_of_version_1",
    """
    INSERT INTO scans (ticket, gate, scanned_at)
    SELECT id, coalesce(used_gate, 'main'), used_at FROM tickets_of_version_1 WHERE used_at IS NOT NULL ORDER BY used_at
    """,
    "DROP TABLE tickets_of_version_1",
)


@contextmanager
def opened():
    """A connection for one request. Whoever only reads never waits: that is what the mode `wal` is for."""
    with closing(sqlite3.connect(FILE, timeout=PATIENCE, isolation_level=None)) as db:
        db.row_factory = sqlite3.Row
        try:
            yield db
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname.startswith("SQLITE_BUSY"):
                raise Problem(503, "unavailable", "Another program is writing into the file.") from error
            raise


@contextmanager
def writing():
    """A transaction that is a writer's from its beginning: so it waits for its turn there, and only there."""
    with opened() as db:
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")


def prepare():
    """The file as we need it, made or changed in one transaction."""
    with opened() as db:
        db.execute("PRAGMA journal_mode = wal")  # the file stays so
    with writing() as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version < VERSION:
            for statement in FROM_VERSION_1 if version == 1 else TABLES:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {VERSION}")


prepare()


@route("POST", "/gate/tickets")
def load_tickets(request):
    body = request.json()
    event, tickets = text_of(body, "event"), body.get("tickets")
    if not isinstance(tickets, list) or not 1 <= len(tickets) <= 1000 or not all(type(one) is dict for one in tickets):
        raise invalid("tickets is a list of 1 to 1000 tickets.")
    rows = [(text_of(one, "id"), text_of(one, "holder"), event) for one in tickets]
    try:
        with writing() as db:
            db.executemany("INSERT INTO tickets (id, holder, event) VALUES (?, ?, ?)", rows)
    except sqlite3.IntegrityError:
        raise Problem(409, "ticket_exists", "One of these tickets is there already; none was loaded.") from None
    return 201, {"loaded": len(rows)}


@route("GET", "/gate/tickets/{id}")
def show_ticket(request, id):
    with opened() as db:
        ticket = db.execute(
            """
            SELECT tickets.id, holder, event, scanned_at
            FROM tickets LEFT JOIN scans ON scans.ticket = tickets.id WHERE tickets.id = ?
            """,
            [id],
        ).fetchone()
    if ticket is None:
        raise no_such_ticket()
    return 200, dict(ticket)


@route("POST", "/gate/scans")
def scan(request):
    body = request.json()
    ticket, gate = text_of(body, "ticket", shortest=0, longest=1_000_000), text_of(body, "gate")
    now = time_as_text(datetime.now(timezone.utc))
    with writing() as db:
        known = db.execute("SELECT holder FROM tickets WHERE id = ?", [ticket]).fetchone()
        if known is None:
            raise no_such_ticket()
        try:
            db.execute("INSERT INTO scans (ticket, gate, scanned_at) VALUES (?, ?, ?)", [ticket, gate, now])
        except sqlite3.IntegrityError:
            raise Problem(409, "already_in", "This ticket has been scanned before.") from None
    return 200, {"ticket": ticket, "holder": known["holder"], "gate": gate, "scanned_at": now}


@route("GET", "/gate/scans")
def list_scans(request):
    limit, after = request.limit(), request.query.get("after", "0")
    if not (after.isascii() and after.isdigit() and int(after) < 2**63):
        raise invalid("after is what the page before gave as next.")
    with opened() as db:
        found = db.execute(
            """
            SELECT scans.id, ticket, holder, gate, scanned_at FROM scans JOIN tickets ON tickets.id = scans.ticket
            WHERE scans.id > ? ORDER BY scans.id LIMIT ?
            """,
            [int(after), limit + 1],
        ).fetchall()
    page = [{name: row[name] for name in ("ticket", "holder", "gate", "scanned_at")} for row in found[:limit]]
    return 200, {"items": page, "next": str(found[limit - 1]["id"]) if len(found) > limit else None}


@route("POST", "/gate/backup")
def back_up(request):
    copy = FILE.with_name(f"backup-{uuid.uuid4().hex}.sqlite3")
    with opened() as db:
        db.execute("VACUUM INTO ?", [str(copy)])  # reads the file as it is at one moment, and stops nobody
    return 201, {"path": str(copy)}


def no_such_ticket():
    return Problem(404, "not_found", "There is no such ticket.")
