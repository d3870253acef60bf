// MongoDB, by Mongoose: one connection (a pool), transactions, and what happens while MongoDB is away.
//
// - `mongodb(work)`: what `work()` gives, in time.
// - `transaction(page, work)`: the same in a transaction; `work` gets its session.
//
// Both throw `unavailable` (503) when MongoDB cannot be reached.

import mongoose from "mongoose";
import { connection, makeCollections } from "./models.js";
import { patiently, pause, Silence } from "./patience.js";
import { Problem } from "./web.js";

const { MongoError, MongoServerError } = mongoose.mongo;

const PATIENCE_MS = 1500; // for all that a request does in MongoDB
const PING_MS = 1000;
const START_MS = 10_000; // so long a start waits for MongoDB; then it opens without
const RETRY_MS = 250;
const DUPLICATE_KEY = 11000;
const TRANSACTION_ENDS_MS = 60_000; // MongoDB itself ends one that nobody goes on with

const OPTIONS = {
  autoCreate: false, // models.js makes the collections, with their rules
  autoIndex: false,
  bufferCommands: false, // while MongoDB is away, nothing is kept for later
  serverSelectionTimeoutMS: 1000,
  connectTimeoutMS: 1000,
  heartbeatFrequencyMS: 1000, // how soon the driver notices that MongoDB is silent, or back
  socketTimeoutMS: PATIENCE_MS, // what a request no longer waits for ends, too
  maxPoolSize: 10,
};

export const isUsed = Boolean(process.env.MONGODB_URL);

let prepared = false;
let closing = false;

/** MongoDB cannot be reached. */
export class MongodbAway extends Problem {
  constructor(cause) {
    super(503, "unavailable", "MongoDB cannot be reached.");
    this.cause = cause;
  }
}

/** Whether MongoDB did not answer, or has no primary at the moment. Anything else that it says is about the request. */
function isAway(error) {
  // The driver passes on what Node says of a connection that was closed a moment ago.
  if (error instanceof Silence || ["EPIPE", "ECONNRESET"].includes(error.code)) return true;
  const labels = ["RetryableWriteError", "TransientTransactionError"];
  if (error instanceof MongoServerError) {
    return error.codeName === "MaxTimeMSExpired" || labels.some((label) => error.hasErrorLabel(label));
  }
  return error instanceof MongoError;
}

/**
 * What `work(request)` gives; `MongodbAway` (503) if MongoDB does not answer in time: then `request.isOver`. As long as
 * the number grows that `heard` gives, time begins anew.
 */
export async function mongodb(work, heard) {
  if (!prepared) throw new MongodbAway();
  const request = { isOver: false };
  try {
    return await patiently(work(request), PATIENCE_MS, heard);
  } catch (error) {
    throw isAway(error) ? new MongodbAway(error) : error;
  } finally {
    request.isOver = true;
  }
}

let committed = 0; // how many transactions: while they get on, those in line wait longer

/** Runs `work(session)` in a transaction: all that it did is there when this returns; when it throws, nothing is. */
export const transaction = (page, work) =>
  mongodb((request) => inTurn(page, () => transact(request, work)), () => committed);

async function transact(request, work) {
  const session = await connection.startSession();
  let left = Promise.resolve();
  try {
    for (;;) {
      try {
        const result = await session.withTransaction(() => {
          if (request.isOver) throw new Silence("The request was answered.");
          return work(session);
        });
        committed++;
        return result;
      } catch (error) {
        if (error.code !== DUPLICATE_KEY) throw error; // else somebody made this version while we did
      }
    }
  } catch (error) {
    if (isAway(error)) left = endLate(session);
    throw error;
  } finally {
    left.then(() => session.endSession());
  }
}

const turns = new Map(); // page -> whoever came last

/**
 * Who writes the same page waits for a turn. That only saves trips: in MongoDB, which knows of other processes, too, all
 * but one would have to try again.
 */
function inTurn(page, work) {
  const mine = (turns.get(page) ?? Promise.resolve()).then(work);
  const last = mine.catch(() => {});
  turns.set(page, last);
  last.then(() => turns.get(page) === last && turns.delete(page));
  return mine;
}

/** Ends a transaction that may still be open: MongoDB would keep its page locked for a minute. */
async function endLate(session) {
  for (const end = Date.now() + TRANSACTION_ENDS_MS; Date.now() < end && !closing; await pause(RETRY_MS)) {
    try {
      await connection.db.admin().command({ killSessions: [session.id] });
      return;
    } catch (error) {
      if (!isAway(error)) return;
    }
  }
}

async function connect() {
  while (!prepared && !closing) {
    try {
      await connection.openUri(process.env.MONGODB_URL, OPTIONS);
      await makeCollections();
      prepared = true;
    } catch (error) {
      console.error(`Waiting for MongoDB: ${error.message}`);
      await pause(RETRY_MS);
    }
  }
}

connection.on("error", (error) => console.error(`MongoDB: ${error.message}`));

/** Makes the collections; where MongoDB is away, as soon as it is there. */
export const prepare = () => isUsed && Promise.race([connect(), pause(START_MS)]);

export const isUp = () =>
  patiently(Promise.resolve().then(() => connection.db.admin().ping()), PING_MS).then(() => true, () => false);

export function close() {
  closing = true;
  connection.close().catch(() => {});
}
