// The Box Office, complete, with everything in memory.
//
// It runs, it does what openapi.yaml says (only its search is a plain one), and it forgets all when it ends. Milestone
// by milestone you move what is in the constants below to where it belongs: to PostgreSQL what must never be wrong, to
// Redis what is hot and short-lived. What belongs to MongoDB, pages of many shapes and their reviews, is in pages.js;
// search.js is what Elasticsearch does better.

import { randomUUID } from "node:crypto";
import "./pages.js";
import { search } from "./search.js";
import {
  created, invalid, limitOf, noContent, notFound, numberOf, ok, pageOf, pageStart, Problem, route, serve, stream,
  textOf, timeOf,
} from "./web.js";

const HOLD_MS = 120_000;
const TICKETS_PER_BUYER = 4;

// All data. JavaScript runs one handler at a time, and a handler without `await` is never interrupted, so nothing here
// needs a lock. That ends with your first `await`: from then on, other requests run in the middle of yours, and a second
// server may run on the same data. Then the database must keep order.
let lastId = 0;
const buyers = new Map(); // id -> buyer                                  PostgreSQL: table buyers
const events = new Map(); // id -> event                                  PostgreSQL: table events
const orders = []; //                                                     PostgreSQL: tables orders and tickets
const answers = new Map(); // Idempotency-Key -> [request, answer]        PostgreSQL: a table of your own
const holds = new Map(); // "event:seat" -> { hold, event, seat, ends }   Redis: keys hold:{event}:{seat}
const views = new Map(); // event -> how often it was looked at           Redis: keys views:{event}, sorted set trending
const listeners = new Map(); // event -> the listeners' functions         Redis: publish and subscribe

const newId = () => String(++lastId);

route("GET", "/health", () => {
  // The first milestone, postgres/schema: ask the database here, each time. See README.md.
  return ok({});
});

// --- buyers and events: postgres/crud, postgres/constraints, postgres/n-plus-one ---------------------------------

route("POST", "/buyers", ({ json }) => {
  const body = json();
  const buyer = { name: textOf(body, "name"), balance_cents: numberOf(body, "balance_cents", 0, 1_000_000_000) };
  buyer.id = newId();
  buyers.set(buyer.id, buyer);
  return created(`/buyers/${buyer.id}`, buyer);
});

route("GET", "/buyers/{id}", ({ id }) => {
  if (!buyers.has(id)) throw notFound("buyer");
  return ok(buyers.get(id));
});

const EVENT_FIELDS = {
  name: textOf,
  venue: textOf,
  starts_at: timeOf,
  seats: (body, name) => numberOf(body, name, 1, 100_000),
  price_cents: (body, name) => numberOf(body, name, 0, 100_000_000),
};

function theEvent(id) {
  if (!events.has(id)) throw notFound("event");
  return events.get(id);
}

const ticketsOf = (event) => orders.filter((order) => order.event === event);

const withSold = (event) => ({ ...event, sold: ticketsOf(event.id).length });

function readFields(body, names) {
  return Object.fromEntries(names.map((name) => [name, EVENT_FIELDS[name](body, name)]));
}

function refuseDoubleBooking(event) {
  for (const other of events.values()) {
    const same = other.venue === event.venue && other.starts_at.getTime() === event.starts_at.getTime();
    if (same && other.id !== event.id) {
      throw new Problem(409, "event_exists", "There is another event at this venue at this time.");
    }
  }
}

route("POST", "/events", ({ json }) => {
  const event = readFields(json(), Object.keys(EVENT_FIELDS));
  refuseDoubleBooking(event);
  event.id = newId();
  events.set(event.id, event);
  return created(`/events/${event.id}`, withSold(event));
});

route("GET", "/events", ({ query }) => {
  const limit = limitOf(query);
  const after = pageStart(query, 0);
  const found = [...events.values()].filter((event) => Number(event.id) > after);
  return ok(pageOf(found.map(withSold), limit, (event) => event.id));
});

route("GET", "/events/{id}", ({ id }) => ok(withSold(theEvent(id))));

route("PATCH", "/events/{id}", ({ id, json }) => {
  const body = json();
  const names = Object.keys(EVENT_FIELDS).filter((name) => Object.hasOwn(body, name));
  const event = { ...theEvent(id), ...readFields(body, names) };
  if (names.length === 0) throw invalid("Name at least one field to change.");
  if (ticketsOf(id).some((ticket) => ticket.seat > event.seats)) {
    throw new Problem(409, "seats_sold", "A seat with a higher number is sold.");
  }
  refuseDoubleBooking(event);
  events.set(id, event);
  return ok(withSold(event));
});

route("DELETE", "/events/{id}", ({ id }) => {
  theEvent(id);
  if (ticketsOf(id).length > 0) throw new Problem(409, "seats_sold", "Seats of this event are sold.");
  events.delete(id);
  views.delete(id);
  return noContent();
});

route("GET", "/search", ({ query }) => ok(search([...events.values()], query)));

// --- orders: postgres/transactions, postgres/isolation, postgres/indexes -------------------------------------------

route("POST", "/orders", ({ json, headers }) => {
  const body = json();
  const wish = { event: textOf(body, "event"), seat: numberOf(body, "seat", 1, 100_000), buyer: textOf(body, "buyer") };
  if (Object.hasOwn(body, "hold")) wish.hold = textOf(body, "hold", 0, 100_000); // any text, also an empty one
  const key = headers["idempotency-key"];
  if (key?.length > 100) throw invalid("An Idempotency-Key has at most 100 characters.");
  if (key && answers.has(key)) {
    const [firstWish, answer] = answers.get(key);
    if (firstWish !== JSON.stringify(wish)) {
      throw new Problem(409, "key_reused", "This Idempotency-Key belongs to another order.");
    }
    return created(null, answer);
  }
  const answer = sell(wish);
  if (key) answers.set(key, [JSON.stringify(wish), answer]);
  announce(wish.event, "sold", wish.seat);
  return created(null, answer);
});

/** All rules first, then all changes. In PostgreSQL both are one transaction. */
function sell({ event: eventId, buyer: buyerId, seat, hold }) {
  const event = events.get(eventId);
  const buyer = buyers.get(buyerId);
  if (!event || !buyer || seat > event.seats) throw invalid("There is no such event, buyer or seat.");
  const tickets = ticketsOf(eventId);
  const holder = holderOf(eventId, seat);
  if (tickets.some((ticket) => ticket.seat === seat)) throw new Problem(409, "seat_sold", "This seat is sold.");
  if (tickets.filter((ticket) => ticket.buyer === buyerId).length >= TICKETS_PER_BUYER) {
    throw new Problem(409, "limit_4", `A buyer has at most ${TICKETS_PER_BUYER} tickets of an event.`);
  }
  if (buyer.balance_cents < event.price_cents) {
    throw new Problem(402, "balance_too_low", "The balance does not cover the price.");
  }
  if (hold !== undefined && hold !== holder) {
    throw new Problem(410, "hold_expired", "This hold does not hold this seat (any more).");
  }
  if (holder && hold === undefined) throw new Problem(409, "seat_held", "Somebody else holds this seat.");

  buyer.balance_cents -= event.price_cents;
  holds.delete(`${eventId}:${seat}`);
  const order = {
    order: newId(),
    ticket: newId(),
    event: eventId,
    seat,
    buyer: buyerId,
    price_cents: event.price_cents,
    created_at: new Date(),
  };
  orders.push(order);
  return order;
}

route("GET", "/orders", ({ query }) => {
  const limit = limitOf(query);
  const before = pageStart(query, Infinity);
  const buyer = query.get("buyer");
  if (buyer === null) throw invalid("Say whose orders: /orders?buyer=...");
  const found = orders.filter((order) => order.buyer === buyer && Number(order.order) < before).reverse();
  return ok(pageOf(found, limit, (order) => order.order));
});

// --- holds and the seat map: redis/hold, redis/expiry, redis/pipelining -------------------------------------------

/** The id of the hold on a seat, or undefined. Redis can forget by itself what has ended; here we must look. */
function holderOf(event, seat) {
  const held = holds.get(`${event}:${seat}`);
  return held && held.ends > Date.now() ? held.hold : undefined;
}

route("POST", "/events/{id}/holds", ({ id, json }) => {
  const event = theEvent(id);
  const body = json();
  const seat = numberOf(body, "seat", 1, event.seats);
  if (!buyers.has(textOf(body, "buyer"))) throw invalid("There is no such buyer.");
  if (ticketsOf(id).some((ticket) => ticket.seat === seat)) throw new Problem(409, "seat_sold", "This seat is sold.");
  if (holderOf(id, seat)) throw new Problem(409, "seat_held", "Somebody else holds this seat.");
  const held = { hold: randomUUID(), event: id, seat, ends: Date.now() + HOLD_MS };
  holds.set(`${id}:${seat}`, held);
  announce(id, "held", seat);
  return created(null, { hold: held.hold, expires_at: new Date(held.ends) });
});

route("DELETE", "/events/{id}/holds/{hold}", ({ id, hold }) => {
  for (const [key, { event, seat }] of holds) {
    if (event === id && holderOf(event, seat) === hold) {
      holds.delete(key);
      announce(id, "released", seat);
      return noContent();
    }
  }
  throw notFound("hold (any more)");
});

route("GET", "/events/{id}/seats", ({ id }) => {
  const { seats } = theEvent(id);
  const sold = new Set(ticketsOf(id).map((ticket) => ticket.seat));
  const stateOf = (seat) => (sold.has(seat) ? "sold" : holderOf(id, seat) ? "held" : "free");
  return ok({ items: Array.from({ length: seats }, (_, i) => ({ seat: i + 1, state: stateOf(i + 1) })) });
});

// --- views: redis/counters, redis/leaderboard -----------------------------------------------------------------------

route("POST", "/events/{id}/views", ({ id }) => {
  theEvent(id);
  views.set(id, (views.get(id) ?? 0) + 1);
  return noContent();
});

route("GET", "/events/{id}/views", ({ id }) => {
  theEvent(id);
  return ok({ views: views.get(id) ?? 0 });
});

route("GET", "/trending", ({ query }) => {
  const mostFirst = [...views].sort(([, a], [, b]) => b - a).slice(0, limitOf(query));
  return ok({ items: mostFirst.map(([event, count]) => ({ event, views: count })) });
});

// --- the live stream: redis/live ------------------------------------------------------------------------------------

/** Tells each client that listens to this event, at this server. */
function announce(event, name, seat) {
  for (const send of listeners.get(event) ?? []) send(name, { seat });
}

route("GET", "/events/{id}/live", ({ id }) => {
  theEvent(id);
  return stream((send) => {
    if (!listeners.has(id)) listeners.set(id, new Set());
    listeners.get(id).add(send);
    return () => listeners.get(id).delete(send);
  });
});

// --- the gate: the milestones of the track sqlite -------------------------------------------------------------------

const doorTickets = new Map(); // id -> ticket                            SQLite: table tickets
const scans = new Map(); // ticket -> its scan, in the order of scanning  SQLite: table scans

route("POST", "/gate/tickets", ({ json }) => {
  const body = json();
  const event = textOf(body, "event");
  const isTicket = (one) => one !== null && typeof one === "object" && !Array.isArray(one);
  const { tickets } = body;
  if (!Array.isArray(tickets) || tickets.length < 1 || tickets.length > 1000 || !tickets.every(isTicket)) {
    throw invalid("tickets is a list of 1 to 1000 tickets.");
  }
  const added = tickets.map((one) => ({ id: textOf(one, "id"), holder: textOf(one, "holder"), event }));
  if (new Set(added.map(({ id }) => id)).size < added.length || added.some(({ id }) => doorTickets.has(id))) {
    throw new Problem(409, "ticket_exists", "One of these tickets is there already; none was loaded.");
  }
  for (const one of added) doorTickets.set(one.id, one);
  return { status: 201, body: { loaded: added.length } };
});

route("GET", "/gate/tickets/{id}", ({ id }) => {
  if (!doorTickets.has(id)) throw notFound("ticket");
  return ok({ ...doorTickets.get(id), scanned_at: scans.get(id)?.scanned_at ?? null });
});

route("POST", "/gate/scans", ({ json }) => {
  const body = json();
  const [ticket, gate] = [textOf(body, "ticket", 0, 1_000_000), textOf(body, "gate")];
  if (!doorTickets.has(ticket)) throw notFound("ticket");
  if (scans.has(ticket)) throw new Problem(409, "already_in", "This ticket has been scanned before.");
  const scan = { ticket, holder: doorTickets.get(ticket).holder, gate, scanned_at: new Date().toISOString() };
  scans.set(ticket, scan);
  return ok(scan);
});

route("GET", "/gate/scans", ({ query }) => {
  const [limit, after] = [limitOf(query), pageStart(query, 0)];
  const found = [...scans.values()].slice(after, after + limit + 1);
  return ok({ items: found.slice(0, limit), next: found.length > limit ? String(after + limit) : null });
});

route("POST", "/gate/backup", () => {
  throw new Problem(503, "unavailable", "What is in memory only has no file that could be copied.");
});

serve(Number(process.env.PORT ?? 8080));
