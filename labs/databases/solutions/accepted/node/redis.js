// Redis: two connections, one for commands and one that listens, and what happens while Redis is away.
//
// The library could reconnect by itself, but it never gives up on a Redis that accepts a connection and then hangs.
// So each connection here is used until it breaks or falls silent; then it is thrown away and a new one is made. While
// there is none, a request need not wait at all: it knows at once that Redis is away.

import { createClient, ErrorReply } from "redis";
import { patiently, pause } from "./patience.js";
import { Problem } from "./web.js";

const ANSWER_MS = 500; // Redis answers in far less than a millisecond; more than this is an outage
const CONNECT_MS = 700;
const HANDSHAKE_MS = 1500; // must be more than CONNECT_MS
const RETRY_MS = 100;
const PING_MS = 1000;

export const isUsed = Boolean(process.env.REDIS_URL);

let closing = false;
const lines = [];

/** Redis cannot be reached. */
export class RedisAway extends Problem {
  constructor(cause) {
    super(503, "unavailable", "Redis cannot be reached.");
    this.cause = cause;
  }
}

/** Keeps a connection open as long as the server runs. `begin(client)` is called with each new one. */
function keepOpen(begin = () => {}) {
  const line = { client: null, breaks: () => {}, triedOnce: null };
  let tried;
  line.triedOnce = new Promise((resolve) => (tried = resolve));
  lines.push(line);
  let said = "";
  const say = (text) => {
    if (text !== said && !closing) console.error(`Redis: ${text}`); // not ten times a second the same
    said = text;
  };
  (async () => {
    while (isUsed && !closing) {
      await useOneConnection(line, begin, tried).catch((error) => say(error.message || error.code));
      tried();
      await pause(RETRY_MS);
    }
    tried();
  })();
  return line;
}

/** Connects, and returns or throws when that connection is of no use any more. */
async function useOneConnection(line, begin, connected) {
  const client = createClient({
    url: process.env.REDIS_URL,
    disableOfflineQueue: true,
    socket: { connectTimeout: CONNECT_MS, reconnectStrategy: false },
  });
  const broken = new Promise((resolve) => {
    client.on("error", resolve);
    line.breaks = resolve;
  });
  try {
    await patiently(client.connect(), HANDSHAKE_MS);
    await patiently(Promise.resolve(begin(client)), ANSWER_MS);
    line.client = client;
    connected();
    while (!(await Promise.race([broken, pause(PING_MS)]))) await patiently(client.ping(), PING_MS);
    throw await broken;
  } finally {
    line.client = null;
    if (client.isOpen) client.destroy();
  }
}

const commands = keepOpen();

/** What `work(client)` gives; `RedisAway` (503) if Redis does not answer. */
export async function redis(work) {
  const { client, breaks } = commands;
  if (!client) throw new RedisAway();
  try {
    return await patiently(work(client), ANSWER_MS);
  } catch (error) {
    // Redis answered, and what it said is an error: a mistake of ours. (Unless it is still reading its data from disk.)
    if (error instanceof ErrorReply && !/^(LOADING|MASTERDOWN)/.test(error.message)) throw error;
    breaks(error);
    commands.client = commands.client === client ? null : commands.client;
    throw new RedisAway(error);
  }
}

/** The same, but if Redis is away, then so be it: the result is undefined. */
export const ifThere = (work) =>
  redis(work).catch((error) => {
    if (!(error instanceof RedisAway)) throw error;
  });

/** Calls `hear(message)` for each message in the channel, from now on. Messages are lost while Redis is away. */
export const listenTo = (channel, hear) => keepOpen((client) => client.subscribe(channel, hear));

export const isUp = () => redis((client) => client.ping()).then(() => true, () => false);

/** Waits until Redis is there or is known not to be. */
export const prepare = () => Promise.all(lines.map((line) => line.triedOnce));

export function close() {
  closing = true;
  for (const line of lines) line.breaks(new Error("The server ends."));
}
