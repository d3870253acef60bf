// The Box Office: PostgreSQL for what must never be wrong, Redis for what is hot and short-lived, MongoDB for what has
// many shapes, SQLite for the gate.
//
// - web.js speaks HTTP; postgres.js, redis.js and mongodb.js speak to the services; schema.sql has the tables, and
//   models.js the collections.
// - events.js, orders.js, holds.js, views.js, live.js, pages.js, pages-live.js and reviews.js have the routes; gate.js
//   has those of the gate, and its file.
//
// This file starts all of it, and ends it.

import * as gate from "./gate.js";
import * as mongodb from "./mongodb.js";
import * as postgres from "./postgres.js";
import * as redis from "./redis.js";
import { ok, route, serve } from "./web.js";
import "./events.js";
import "./orders.js";
import "./holds.js";
import "./views.js";
import "./live.js";
import "./pages.js";
import "./pages-live.js";
import "./reviews.js";

const LAST_WORDS_MS = 2000;

route("GET", "/health", async () => {
  const services = { postgres, ...(redis.isUsed && { redis }), ...(mongodb.isUsed && { mongodb }) };
  const answers = await Promise.all(
    Object.entries(services).map(async ([name, service]) => [name, (await service.isUp()) ? "up" : "down"]));
  const health = ok(Object.fromEntries(answers));
  if (answers.some(([, state]) => state === "down")) health.status = 503;
  return health;
});

if (!process.env.DATABASE_URL) {
  console.error("DATABASE_URL is missing: which database is mine?");
  process.exit(1);
}

let stop = async () => {};

/** Ends politely: takes no more requests, answers those that are here, closes its connections. */
async function end() {
  setTimeout(() => process.exit(0), LAST_WORDS_MS).unref(); // whoever is not done by then is cut off
  await stop();
  redis.close();
  gate.close();
  mongodb.close();
  await postgres.close();
  process.exit(0);
}
process.once("SIGTERM", end);
process.once("SIGINT", end);

await postgres.prepare();
await gate.prepare();
await redis.prepare(); // without Redis we open all the same: sales go on
await mongodb.prepare(); // and without MongoDB, too
stop = await serve(Number(process.env.PORT || 8080));
