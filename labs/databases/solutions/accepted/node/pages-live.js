// The live stream of a page. One change stream of MongoDB, for all listeners at this process, brings each version that
// comes into page_history, whoever puts it there; without a listener there is none.
//
// A change stream brings nothing from before it began, and may break. So a listener's versions are read from the
// history when it joins, and whenever a change stream has begun: all above the last one that it was sent. What the
// change stream brings meanwhile is not sent but read, too. So nothing is lost, and nothing comes twice.

import { connection, History } from "./models.js";
import { mongodb } from "./mongodb.js";
import { mustExist } from "./pages.js";
import { pause } from "./patience.js";
import { route, stream } from "./web.js";

const BATCH = 50; // versions that are read, and sent, before the next ones are read
const RETRY_MS = 250;
const WAIT_MS = 1000; // so long MongoDB waits for something new; must be less than socketTimeoutMS

const ADDED = [
  { $match: { operationType: "insert" } },
  { $project: { "fullDocument.page": 1, "fullDocument.version": 1, "fullDocument.title": 1 } },
];

const listeners = new Set(); // { page, last, send, isReading, missed, isGone }

route("GET", "/pages/{page}/live", async ({ page, headers }) => {
  const named = headers["last-event-id"];
  const isResumed = /^\d+$/.test(named ?? "");
  const last = await mongodb(async () => {
    await mustExist(page);
    return isResumed ? Number(named) : newestOf(page);
  });
  const join = (send) => {
    const listener = { page, last, send, isReading: false, missed: false, isGone: false };
    listeners.add(listener);
    catchUp(listener);
    listen();
    return () => {
      listener.isGone = true;
      listeners.delete(listener);
    };
  };
  return stream(join, isResumed ? undefined : last);
});

async function newestOf(page) {
  const [newest] = await versionsOf({ page }, -1, 1);
  return newest?.version ?? 0; // a page that somebody else made may have no history
}

let since; // MongoDB's time: the change stream brings what has come since then, so the history must tell all up to then

/** From the history. "majority": what a primary has not yet shared with the others may be undone by an election. */
async function versionsOf(query, order, limit) {
  const session = await connection.startSession();
  try {
    if (since) session.advanceOperationTime(since); // MongoDB answers when "majority" has got so far
    const found = History.find(query, "version title").sort({ version: order }).limit(limit).lean();
    return await found.session(session).readConcern("majority");
  } finally {
    session.endSession();
  }
}

function tell(listener, { version, title }) {
  if (!(version > listener.last)) return undefined;
  listener.last = version;
  return listener.send("version", { version, title }, version);
}

/** Sends what the history has above the last version that was sent. */
async function catchUp(listener) {
  listener.missed = true;
  if (listener.isReading) return; // and will read once more
  listener.isReading = true;
  while (listener.missed && !listener.isGone) {
    listener.missed = false;
    try {
      const { page, last } = listener;
      const found = await mongodb(() => versionsOf({ page, version: { $gt: last } }, 1, BATCH));
      const sent = found.map((one) => tell(listener, one));
      if (found.length < BATCH) continue;
      listener.missed = true;
      await Promise.all(sent); // a client that is slow gets no more than it takes
    } catch (error) {
      listener.missed = true;
      if (error.status !== 503) console.error(error);
      await pause(RETRY_MS);
    }
  }
  listener.isReading = false;
}

let isListening = false;

/** Keeps a change stream open while somebody listens. The driver itself goes on only if MongoDB is back at once. */
async function listen() {
  if (isListening) return;
  isListening = true;
  while (listeners.size > 0) {
    try {
      await listenOnce();
    } catch (error) {
      if (error.status !== 503) console.error(`The change stream of page_history: ${error.message}`);
      await pause(RETRY_MS);
    }
  }
  isListening = false;
}

async function listenOnce() {
  const now = await mongodb(operationTime);
  const changes = connection.db.collection(History.collection.collectionName)
    .watch(ADDED, { startAtOperationTime: now, maxAwaitTimeMS: WAIT_MS });
  since = now;
  listeners.forEach(catchUp);
  try {
    // It is closed between two looks: closed in the middle of one, it may stay open at MongoDB for minutes.
    while (listeners.size > 0) {
      const change = await changes.tryNext();
      if (change) hear(change.fullDocument);
      else if (changes.closed) throw new Error("MongoDB has closed it."); // as when somebody drops the collection
    }
  } finally {
    await changes.close();
  }
}

async function operationTime() {
  const session = await connection.startSession();
  try {
    await connection.db.command({ ping: 1 }, { session });
    return session.operationTime;
  } finally {
    session.endSession();
  }
}

function hear(added) {
  for (const listener of listeners) {
    if (listener.page !== added.page) continue;
    if (listener.isReading) listener.missed = true;
    else tell(listener, added);
  }
}
