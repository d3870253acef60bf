// PostgreSQL: the pool of connections, single reads, transactions, and what happens while PostgreSQL is away.
//
// - `read(sql, values)`: one statement that changes nothing.
// - `transaction(work)`: everything that changes something. `work` gets a function `query(sql, values)`.
//
// Both throw `unavailable` (503) when PostgreSQL cannot be reached. Nothing here asks for a second connection while it
// has one: when all connections are lent, such requests would wait for each other for ever.

import { readFileSync } from "node:fs";
import pg from "pg";
import { patiently, pause, Silence } from "./patience.js";
import { Problem } from "./web.js";

// "503 within 2 seconds": a request waits at most once for a connection and once for a silent statement, never both for
// the whole time, because a connection that PostgreSQL gave us a moment ago is not silent.
const CONNECT_MS = 1000; //     a new connection, or one that somebody gives back
const SILENCE_MS = 1200; //     nothing heard from PostgreSQL, by any request
const LONGEST_WAIT_MS = 10_000; // for a connection, while PostgreSQL is well and only busy
const SCHEMA_MS = 60_000; //    building an index on a large table takes its time
const ATTEMPTS = 10;

const START_LOCK = 80_541_707; // any number, the same in each process

pg.types.setTypeParser(pg.types.builtins.INT8, Number); // money and ids: far below 2^53

const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  application_name: "box-office",
  max: Math.max(1, Number.parseInt(process.env.DB_POOL_MAX, 10) || 8),
  idleTimeoutMillis: 0, // opened once, and kept
  connectionTimeoutMillis: CONNECT_MS,
  keepAlive: true,
});

let heard = 0; // how many answers PostgreSQL has given
let generation = 0; // goes up when PostgreSQL falls silent: connections of before are not trusted any more
const generationOf = new WeakMap(); // connection -> the generation it was opened in
const usedBefore = new WeakSet(); // connections that have worked already, so they may have died in the pool since

pool.on("connect", (client) => {
  generationOf.set(client, generation);
  // A connection that breaks while it is lent, but between two statements, says so here; nobody listening would end Node.
  client.on("error", (error) => console.error(`PostgreSQL: ${error.message}`));
});
pool.on("error", () => {}); // one that breaks while idle: the line above has said it, and the pool throws it away

/** PostgreSQL cannot be reached. `broken`: the connection ended (while `silent`: nobody knows). */
class Unreachable extends Problem {
  constructor(cause, broken) {
    super(503, "unavailable", "The database cannot be reached.");
    Object.assign(this, { cause, broken });
  }
}

// --- connections ---------------------------------------------------------------------------------------------------

/** A connection from the pool. Whoever gets it must release it. */
async function borrow() {
  const giveUp = Date.now() + LONGEST_WAIT_MS;
  let [heardAtFirst, refusedUntil] = [heard, Date.now() + CONNECT_MS];
  for (;;) {
    const heardBefore = heard;
    if (heard > heardAtFirst) [heardAtFirst, refusedUntil] = [heard, Date.now() + CONNECT_MS];
    try {
      const client = await pool.connect();
      if (generationOf.get(client) === generation) return client;
      client.release(true);
    } catch (error) {
      // All connections are lent, but the requests that have them get on: no outage, only a queue. Wait on.
      const queueMoves = error.message.startsWith("timeout exceeded") && heard > heardBefore;
      // PostgreSQL is there, but gives nobody one more connection: one of ours will be free soon, if they get answers.
      const tooMany = error.code === "53300" && Date.now() < refusedUntil;
      if ((!queueMoves && !tooMany) || Date.now() > giveUp) throw new Unreachable(error, true);
      if (tooMany) await pause(50);
    }
  }
}

/** Sends one statement on this connection, returns the rows. An error of PostgreSQL is a pg.DatabaseError. */
async function ask(client, sql, values, patience = SILENCE_MS) {
  try {
    const { rows } = await patiently(client.query(sql, values), patience, () => heard);
    heard++;
    return rows;
  } catch (error) {
    if (error instanceof Silence) {
      generation++; // if this connection is dead without having said so, then its neighbours are, too
      throw new Unreachable(error, false);
    }
    // Class 08 and 57P..: PostgreSQL has ended this session. No DatabaseError at all: the connection broke.
    if (!(error instanceof pg.DatabaseError) || /^(08|57P)/.test(error.code)) throw new Unreachable(error, true);
    heard++;
    throw error;
  }
}

/**
 * Sends the first statement of something on a connection that lives. After a restart of PostgreSQL the pool may still
 * have connections to the old one: those fail at once, and the next one is tried. A new one that fails is an outage.
 */
async function open(sql, values) {
  for (;;) {
    const client = await borrow();
    const mayBeStale = usedBefore.has(client);
    usedBefore.add(client);
    try {
      return { client, rows: await ask(client, sql, values) };
    } catch (error) {
      client.release(error instanceof Unreachable);
      if (!(mayBeStale && error.broken)) throw error;
    }
  }
}

// --- what the routes use -------------------------------------------------------------------------------------------

/** The rows of one statement that only reads. (It may be sent twice, so it must not change anything.) */
export async function read(sql, values) {
  const { client, rows } = await open(sql, values);
  client.release();
  return rows;
}

/**
 * Runs `work(query)` in one transaction on one connection: all that it did is there when this returns; when it throws,
 * nothing is. Where PostgreSQL asks to try again, `work` is run again from its beginning.
 *
 * One case stays open: a connection that breaks during COMMIT. Then nobody knows, the client gets 503, and an
 * Idempotency-Key is how it finds out.
 */
export async function transaction(work) {
  for (let attempt = 1; ; attempt++) {
    const { client } = await open("BEGIN");
    try {
      const result = await work((sql, values, patience) => ask(client, sql, values, patience));
      await ask(client, "COMMIT");
      client.release();
      return result;
    } catch (error) {
      await undo(client, error);
      const again = error.code === "40001" || error.code === "40P01"; // serialization failure, deadlock
      if (!again || attempt === ATTEMPTS) throw error;
    }
    await pause(Math.random() * 20 * attempt); // so that those who collided do not collide again
  }
}

/** Ends a transaction that failed. A connection that cannot even do that leaves the pool; PostgreSQL then rolls back. */
async function undo(client, error) {
  let lost = error instanceof Unreachable;
  if (!lost) await ask(client, "ROLLBACK").catch(() => (lost = true));
  client.release(lost);
}

/** Creates what is missing. Waits for a PostgreSQL that is not there yet. */
export async function prepare() {
  const schema = readFileSync(new URL("schema.sql", import.meta.url), "utf8");
  for (;;) {
    try {
      await transaction(async (query) => {
        // Two processes that start at once: "IF NOT EXISTS" alone would let both try to create the same table.
        await query("SELECT pg_advisory_xact_lock($1)", [START_LOCK], SCHEMA_MS);
        await query(schema, undefined, SCHEMA_MS);
      });
      return;
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      console.error(`Waiting for PostgreSQL: ${error.cause.message || error.cause.code}`);
      await pause(250);
    }
  }
}

export const isUp = () => read("SELECT 1").then(() => true, () => false);

export const close = () => pool.end();

// --- ids and times -------------------------------------------------------------------------------------------------

/** Whether this text can be an id: a bigint above 0, as PostgreSQL writes it. Anything else is found nowhere. */
export const isId = (text) => /^[1-9]\d{0,18}$/.test(text) && BigInt(text) < 2n ** 63n;

/** For a statement: the id, or NULL, which equals nothing. */
export const idOrNull = (text) => (isId(text) ? text : null);

/** SQL for a timestamptz as openapi.yaml writes it. A JavaScript Date would lose the microseconds. */
export const utc = (column) => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
