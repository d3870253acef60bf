-- The gate's file. The file itself refuses what must not be, whoever writes into it.

CREATE TABLE IF NOT EXISTS tickets (
    id     TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    event  TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS scans (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    ticket     TEXT NOT NULL UNIQUE REFERENCES tickets,
    gate       TEXT NOT NULL,
    scanned_at TEXT NOT NULL
);
