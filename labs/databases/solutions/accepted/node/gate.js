// The gate: its tickets and scans are in an SQLite file beside the server, so that a door without Wi-Fi goes on.
//
// SQLite works in our own thread, so a statement that waits would stop all requests. So none waits: who finds the file
// locked by another program comes back a moment later, and the others go on meanwhile.

import { DatabaseSync } from "@photostructure/sqlite"; // as node:sqlite, which Node has only from 22 on
import { randomUUID } from "node:crypto";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { anyTextOf, invalid, limitOf, notFound, ok, pageOf, Problem, route, textOf } from "./web.js";

const PATIENCE_MS = 5000;
const BUSY = 5; // SQLite's codes; their upper bits say more
const CONSTRAINT = 19;
const VERSION = 2;
const MOST_TICKETS = 1000;
const TABLES = `
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
  );`;
const FROM_VERSION_1 = `
  ALTER TABLE tickets RENAME TO tickets_of_version_1;
  ${TABLES}
  INSERT INTO tickets (id, holder, event) SELECT id, holder, event FROM tickets_of_version_1;
  INSERT INTO scans (ticket, gate, scanned_at)
    SELECT id, coalesce(used_gate, 'main'), used_at FROM tickets_of_version_1 WHERE used_at IS NOT NULL ORDER BY used_at;
  DROP TABLE tickets_of_version_1;`;

const path = process.env.SQLITE_PATH;
let file;

const refusedWith = (error, code) => (error.errcode & 0xff) === code;

/** Does the work, which must not wait; again and again, for a while, if another program has the file locked. */
async function patiently(work) {
  for (const end = performance.now() + PATIENCE_MS; ; await sleep(10)) {
    try {
      return work();
    } catch (error) {
      if (!refusedWith(error, BUSY)) throw error;
      if (performance.now() > end) throw new Problem(503, "unavailable", "Another program is writing into the file.");
    }
  }
}

/** Does the work in a transaction. It is never interrupted: nothing in it awaits. */
const write = (work) =>
  patiently(() => {
    file.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      file.exec("COMMIT");
      return result;
    } catch (error) {
      file.exec("ROLLBACK");
      throw error;
    }
  });

const read = (sql, ...values) => patiently(() => file.prepare(sql).all(...values));

/** The file as we need it, made or changed in one transaction. */
export async function prepare() {
  file = new DatabaseSync(path, { timeout: 0 });
  await patiently(() => file.exec("PRAGMA journal_mode = wal"));
  await write(() => {
    const { user_version: version } = file.prepare("PRAGMA user_version").get();
    if (version >= VERSION) return;
    file.exec(version === 1 ? FROM_VERSION_1 : TABLES);
    file.exec(`PRAGMA user_version = ${VERSION}`);
  });
}

export const close = () => file?.close();

const isTicket = (one) => one !== null && typeof one === "object" && !Array.isArray(one);

route("POST", "/gate/tickets", async ({ json }) => {
  const body = json();
  const event = textOf(body, "event");
  const { tickets } = body;
  if (!Array.isArray(tickets) || tickets.length < 1 || tickets.length > MOST_TICKETS || !tickets.every(isTicket)) {
    throw invalid(`tickets is a list of 1 to ${MOST_TICKETS} tickets.`);
  }
  const rows = tickets.map((one) => [textOf(one, "id"), textOf(one, "holder"), event]);
  try {
    await write(() => {
      const insert = file.prepare("INSERT INTO tickets (id, holder, event) VALUES (?, ?, ?)");
      for (const row of rows) insert.run(...row);
    });
  } catch (error) {
    if (!refusedWith(error, CONSTRAINT)) throw error;
    throw new Problem(409, "ticket_exists", "One of these tickets is there already; none was loaded.");
  }
  return { status: 201, body: { loaded: rows.length } };
});

route("GET", "/gate/tickets/{id}", async ({ id }) => {
  const [ticket] = await read(
    `SELECT tickets.id, holder, event, scanned_at
     FROM tickets LEFT JOIN scans ON scans.ticket = tickets.id WHERE tickets.id = ?`,
    id,
  );
  if (!ticket) throw notFound("ticket");
  return ok(ticket);
});

route("POST", "/gate/scans", async ({ json }) => {
  const body = json();
  const [ticket, gate, scanned_at] = [anyTextOf(body, "ticket"), textOf(body, "gate"), new Date().toISOString()];
  try {
    return await write(() => {
      const known = file.prepare("SELECT holder FROM tickets WHERE id = ?").get(ticket);
      if (!known) throw notFound("ticket");
      file.prepare("INSERT INTO scans (ticket, gate, scanned_at) VALUES (?, ?, ?)").run(ticket, gate, scanned_at);
      return ok({ ticket, holder: known.holder, gate, scanned_at });
    });
  } catch (error) {
    if (!refusedWith(error, CONSTRAINT)) throw error;
    throw new Problem(409, "already_in", "This ticket has been scanned before.");
  }
});

route("GET", "/gate/scans", async ({ query }) => {
  const [limit, after] = [limitOf(query), query.get("after") ?? "0"];
  if (!/^\d{1,15}$/.test(after)) throw invalid("after is what the page before gave as next.");
  const found = await read(
    `SELECT scans.id, ticket, holder, gate, scanned_at FROM scans JOIN tickets ON tickets.id = scans.ticket
     WHERE scans.id > ? ORDER BY scans.id LIMIT ?`,
    Number(after),
    limit + 1,
  );
  const { items, next } = pageOf(found, limit, ({ id }) => String(id));
  return ok({ items: items.map(({ id, ...scan }) => scan), next });
});

route("POST", "/gate/backup", async () => {
  const copy = join(dirname(path), `backup-${randomUUID()}.sqlite3`);
  await read("VACUUM INTO ?", copy); // reads the file as it is at one moment, and stops nobody
  return { status: 201, body: { path: copy } };
});
