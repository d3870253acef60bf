// Orders: the sale, and a buyer's orders.

import { endHold, endLate, holderOf, lockSeat } from "./holds.js";
import { idOrNull, isId, read, utc } from "./postgres.js";
import { change, seatSold } from "./refusals.js";
import {
  anyTextOf, created, invalid, LARGEST_SEAT, limitOf, numberOf, ok, pageOf, Problem, route, textOf, timeIn,
} from "./web.js";

const TICKETS_PER_BUYER = 4;

route("POST", "/orders", async ({ json, headers }) => {
  const body = json();
  const wish = {
    event: textOf(body, "event"),
    seat: numberOf(body, "seat", 1, LARGEST_SEAT),
    buyer: textOf(body, "buyer"),
    hold: Object.hasOwn(body, "hold") ? anyTextOf(body, "hold") : undefined,
  };
  const key = keyOf(headers);

  const { answer, before } = await change(async (query) => {
    const before = key && (await answerBefore(query, key, wish));
    if (before) return { answer: before, before };
    const answer = await sell(query, wish);
    if (key) await query("UPDATE order_answers SET answer = $2 WHERE key = $1", [key, answer]);
    return { answer };
  });

  // Only now, when the sale is certain: a hold must not end for a sale that was rolled back.
  if (!before) await endHold(wish.event, wish.seat);
  else if (wish.hold !== undefined) await endLate(wish.event, wish.seat, wish.hold);
  return created(null, answer);
});

/** The Idempotency-Key, or undefined. */
function keyOf(headers) {
  const raw = headers["idempotency-key"];
  if (!raw) return undefined;
  // Node gives one character per byte; a client that writes other letters than English ones sends UTF-8.
  const bytes = Buffer.from(raw, "latin1");
  const key = bytes.toString("utf8");
  const text = Buffer.from(key).equals(bytes) ? key : raw;
  if ([...text].length > 100) throw invalid("An Idempotency-Key has at most 100 characters.");
  return text;
}

/**
 * The answer that this key got earlier; undefined if the key is new, and then it is ours from now on.
 *
 * Two requests with the same key at once: the INSERT of the second waits until the first commits or rolls back. If the
 * sale fails, the row goes with it, so only a 201 is remembered.
 */
async function answerBefore(query, key, wish) {
  const request = JSON.stringify([wish.event, wish.seat, wish.buyer, wish.hold ?? null]);
  const ours = await query(
    "INSERT INTO order_answers (key, request) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING RETURNING key",
    [key, request],
  );
  if (ours.length > 0) return undefined;
  const [first] = await query("SELECT request, answer FROM order_answers WHERE key = $1", [key]);
  if (first.request !== request) throw new Problem(409, "key_reused", "This Idempotency-Key belongs to another order.");
  return first.answer;
}

/**
 * One sale, inside of a transaction (READ COMMITTED: each statement sees what was committed before it began).
 *
 * Three locks, always in this order, so that two sales cannot wait for each other:
 * - the seat: sales and holds of one seat come one after the other;
 * - the event, shared with other sales: its price and number of seats stay what they are;
 * - the buyer: so nobody else changes the balance, or buys this buyer's fifth ticket, after we looked.
 * What is read after the lock is true until we commit.
 */
async function sell(query, wish) {
  const { event: eventId, seat, buyer: buyerId, hold } = wish;
  if (!isId(eventId) || !isId(buyerId)) throw invalid("There is no such event or buyer.");

  await lockSeat(query, eventId, seat);
  const [event] = await query("SELECT seats, price_cents FROM events WHERE id = $1 FOR SHARE", [eventId]);
  if (!event || seat > event.seats) throw invalid("There is no such event, or it has no such seat.");
  const sold = await query("SELECT FROM tickets WHERE event_id = $1 AND seat = $2", [eventId, seat]);
  if (sold.length > 0) throw seatSold();

  const holder = await holderOf(eventId, seat); // undefined: Redis is away, and holds do not count
  if (holder !== undefined && hold !== undefined && hold !== holder) {
    throw new Problem(410, "hold_expired", "This hold does not hold this seat (any more).");
  }
  if (holder !== undefined && holder !== null && hold === undefined) throw new Problem(409, "seat_held", "Somebody else holds this seat.");

  const [buyer] = await query("SELECT balance_cents FROM buyers WHERE id = $1 FOR UPDATE", [buyerId]);
  if (!buyer) throw invalid("There is no such buyer.");
  const [{ tickets }] = await query(
    "SELECT count(*) AS tickets FROM orders WHERE event_id = $1 AND buyer_id = $2",
    [eventId, buyerId],
  );
  if (tickets >= TICKETS_PER_BUYER) {
    throw new Problem(409, "limit_4", `A buyer has at most ${TICKETS_PER_BUYER} tickets of an event.`);
  }
  if (buyer.balance_cents < event.price_cents) {
    throw new Problem(402, "balance_too_low", "The balance does not cover the price.");
  }

  await query("UPDATE buyers SET balance_cents = balance_cents - $2 WHERE id = $1", [buyerId, event.price_cents]);
  const [order] = await query(
    `INSERT INTO orders (event_id, buyer_id, seat, price_cents) VALUES ($1, $2, $3, $4)
     RETURNING id::text, ${utc("created_at")} AS created_at`,
    [eventId, buyerId, seat, event.price_cents],
  );
  const [ticket] = await query(
    "INSERT INTO tickets (order_id, event_id, seat) VALUES ($1, $2, $3) RETURNING id::text",
    [order.id, eventId, seat],
  );
  return {
    order: order.id,
    ticket: ticket.id,
    event: eventId,
    seat,
    buyer: buyerId,
    price_cents: event.price_cents,
    created_at: order.created_at,
  };
}

// --- my orders -------------------------------------------------------------------------------------------------------

// A page begins behind the order with which the one before it ended. Where it stands in the list, its time and its id
// say together: many orders may have the same time.
const nextOf = (order) => Buffer.from(`${order.created_at} ${order.order}`).toString("base64url");

const NEWEST = ["infinity", (2n ** 63n - 1n).toString()];

function pageStart(query) {
  if (!query.has("after")) return NEWEST;
  const [time, id, ...more] = Buffer.from(query.get("after"), "base64url").toString("utf8").split(" ");
  if (more.length > 0 || !timeIn(time) || !isId(id ?? "")) throw invalid("after is what the page before gave as next.");
  return [timeIn(time), id];
}

route("GET", "/orders", async ({ query }) => {
  const limit = limitOf(query);
  const start = pageStart(query);
  const buyer = query.get("buyer");
  if (buyer === null) throw invalid("Say whose orders: /orders?buyer=...");
  const rows = await read(
    `SELECT orders.id::text AS "order", tickets.id::text AS ticket, orders.event_id::text AS event, orders.seat,
       orders.buyer_id::text AS buyer, orders.price_cents, ${utc("orders.created_at")} AS created_at
     FROM orders JOIN tickets ON tickets.order_id = orders.id
     WHERE orders.buyer_id = $1 AND (orders.created_at, orders.id) < ($2::timestamptz, $3::bigint)
     ORDER BY orders.created_at DESC, orders.id DESC
     LIMIT $4`,
    [idOrNull(buyer), ...start, limit + 1],
  );
  return ok(pageOf(rows, limit, nextOf));
});
