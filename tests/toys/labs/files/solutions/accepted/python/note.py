"""SQLite: one connection for each call."""

import contextlib
import os
import sqlite3


def call(statement, *values):
    """The rows of one statement, committed."""
    with contextlib.closing(sqlite3.connect(os.environ["NOTE_FILE"], timeout=5)) as connection, connection:
        return connection.execute(statement, values).fetchall()
