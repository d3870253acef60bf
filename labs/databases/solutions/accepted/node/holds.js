// Holds and the seat map.
//
// A hold is the key hold:{event}:{seat}, and nothing else: when the key is gone, the hold is over. The hold's id begins
// with the number of its seat, so a release knows where to look.

import { randomUUID } from "node:crypto";
import { seatsOf } from "./events.js";
import { CHANNEL, messageOf } from "./live.js";
import { idOrNull, isId, read, transaction } from "./postgres.js";
import { ifThere, redis } from "./redis.js";
import { seatSold } from "./refusals.js";
import { created, invalid, noContent, notFound, numberOf, ok, Problem, route, textOf } from "./web.js";

const HOLD_SECONDS = 120;

const keyOf = (event, seat) => `hold:${event}:${seat}`;

// A script runs in Redis as one step: nobody else comes between its lines.

/** Takes the seat unless somebody has it, and says so to the listeners. */
const TAKE = `
  if not redis.call("SET", KEYS[1], ARGV[1], "NX", "EX", ARGV[2]) then return 0 end
  redis.call("PUBLISH", ARGV[3], ARGV[4])
  return 1`;

/** Frees the seat, but only if it is still this hold that has it. */
const RELEASE = `
  if redis.call("GET", KEYS[1]) ~= ARGV[1] then return 0 end
  redis.call("DEL", KEYS[1])
  redis.call("PUBLISH", ARGV[2], ARGV[3])
  return 1`;

/** Ends a hold, and says nothing. */
const END = `
  if redis.call("GET", KEYS[1]) ~= ARGV[1] then return 0 end
  return redis.call("DEL", KEYS[1])`;

/**
 * Until the transaction ends, nobody else sells or holds this seat, in any process: else a hold could be made after the
 * sale has looked for one, and before it commits. The lock is in PostgreSQL, which knows when its owner dies.
 */
export const lockSeat = (query, event, seat) =>
  query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [keyOf(event, seat)]);

/** The id of the hold on a seat, null if it is free, undefined if Redis is away. */
export const holderOf = (event, seat) => ifThere((client) => client.get(keyOf(event, seat)));

const release = (event, seat, hold) => (client) =>
  client.eval(RELEASE, { keys: [keyOf(event, seat)], arguments: [hold, CHANNEL, messageOf(event, "released", seat)] });

/** The seat is sold: no hold on it means anything now. The listeners hear of the sale only. */
export const endHold = (event, seat) =>
  ifThere((client) => client.multi().del(keyOf(event, seat)).publish(CHANNEL, messageOf(event, "sold", seat)).exec());

/** An order is answered again: whoever made it may have been killed before its hold was ended. Nothing new to tell. */
export const endLate = (event, seat, hold) =>
  ifThere((client) => client.eval(END, { keys: [keyOf(event, seat)], arguments: [hold] }));

route("POST", "/events/{id}/holds", async ({ id, json }) => {
  const seats = await seatsOf(id);
  const body = json();
  const seat = numberOf(body, "seat", 1, seats);
  const buyer = textOf(body, "buyer");

  const hold = `${seat}-${randomUUID()}`;
  let taken = false;
  const ends = await transaction(async (query) => {
    await lockSeat(query, id, seat);
    const [known] = await query(
      `SELECT EXISTS (SELECT FROM buyers WHERE id = $1) AS buyer,
         EXISTS (SELECT FROM tickets WHERE event_id = $2 AND seat = $3) AS sold`,
      [idOrNull(buyer), id, seat],
    );
    if (!known.buyer) throw invalid("There is no such buyer.");
    if (known.sold) throw seatSold();
    const ends = new Date(Date.now() + HOLD_SECONDS * 1000);
    taken = await redis((client) =>
      client.eval(TAKE, {
        keys: [keyOf(id, seat)],
        arguments: [hold, String(HOLD_SECONDS), CHANNEL, messageOf(id, "held", seat)],
      }));
    if (!taken) throw new Problem(409, "seat_held", "Somebody else holds this seat.");
    return ends;
  }).catch(async (error) => {
    // PostgreSQL went away before it said that all is well: nobody gets to know this hold.
    if (taken) await ifThere(release(id, seat, hold));
    throw error;
  });
  return created(null, { hold, expires_at: ends });
});

route("DELETE", "/events/{id}/holds/{hold}", async ({ id, hold }) => {
  const [, seat] = /^([1-9]\d{0,9})-/.exec(hold) ?? [];
  if (!isId(id) || !seat) throw notFound("hold");
  const released = await redis(release(id, Number(seat), hold));
  if (!released) throw notFound("hold (any more)");
  return noContent();
});

route("GET", "/events/{id}/seats", async ({ id }) => {
  const count = await seatsOf(id);
  const seats = Array.from({ length: count }, (_, i) => i + 1);
  // All holds in one trip. And the holds before the tickets: a held seat that is sold in between has lost its hold, so
  // the other way round it would be seen neither sold nor held.
  const holders = await redis((client) => client.mGet(seats.map((seat) => keyOf(id, seat))));
  const tickets = await read("SELECT seat FROM tickets WHERE event_id = $1", [id]);
  const sold = new Set(tickets.map((ticket) => ticket.seat));
  const stateOf = (seat) => (sold.has(seat) ? "sold" : holders[seat - 1] !== null ? "held" : "free");
  return ok({ items: seats.map((seat) => ({ seat, state: stateOf(seat) })) });
});
