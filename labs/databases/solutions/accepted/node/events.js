// Buyers and events.

import { idOrNull, isId, read, utc } from "./postgres.js";
import { ifThere } from "./redis.js";
import { change, seatsSold } from "./refusals.js";
import { created, invalid, limitOf, noContent, notFound, numberOf, ok, pageOf, route, textOf, timeOf } from "./web.js";

// --- buyers ----------------------------------------------------------------------------------------------------------

route("POST", "/buyers", async ({ json }) => {
  const body = json();
  const values = [textOf(body, "name"), numberOf(body, "balance_cents", 0, 1_000_000_000)];
  const [buyer] = await change((query) =>
    query("INSERT INTO buyers (name, balance_cents) VALUES ($1, $2) RETURNING id::text, name, balance_cents", values));
  return created(`/buyers/${buyer.id}`, buyer);
});

route("GET", "/buyers/{id}", async ({ id }) => {
  const [buyer] = await read("SELECT id::text, name, balance_cents FROM buyers WHERE id = $1", [idOrNull(id)]);
  if (!buyer) throw notFound("buyer");
  return ok(buyer);
});

// --- events ----------------------------------------------------------------------------------------------------------

// In the order in which the statements below name them.
const FIELDS = {
  name: textOf,
  venue: textOf,
  starts_at: timeOf,
  seats: (body, name) => numberOf(body, name, 1, 100_000),
  price_cents: (body, name) => numberOf(body, name, 0, 100_000_000),
};

// An event as the API shows it. The tickets are counted in the same statement, however many events there are.
const EVENT = `id::text, name, venue, ${utc("starts_at")} AS starts_at, seats, price_cents,
  (SELECT count(*) FROM tickets WHERE tickets.event_id = events.id) AS sold`;

const shown = (event) => ({ ...event, starts_at: event.starts_at.replace(".000000Z", "Z") });

/** The event with this id; 404 if there is none. */
export async function theEvent(id) {
  const [event] = await read(`SELECT ${EVENT} FROM events WHERE id = $1`, [idOrNull(id)]);
  if (!event) throw notFound("event");
  return shown(event);
}

/** The same, if nothing but its number of seats is wanted. */
export async function seatsOf(id) {
  const [event] = await read("SELECT seats FROM events WHERE id = $1", [idOrNull(id)]);
  if (!event) throw notFound("event");
  return event.seats;
}

route("POST", "/events", async ({ json }) => {
  const body = json();
  const values = Object.entries(FIELDS).map(([name, fieldOf]) => fieldOf(body, name));
  const [event] = await change((query) =>
    query(
      `INSERT INTO events (name, venue, starts_at, seats, price_cents) VALUES ($1, $2, $3, $4, $5) RETURNING ${EVENT}`,
      values,
    ));
  return created(`/events/${event.id}`, shown(event));
});

// A page begins behind the id with which the one before it ended. Ids only grow, so a new event moves nobody.
// events.id, not id: that would be the text of the answer, in which 10 stands before 9.
route("GET", "/events", async ({ query }) => {
  const limit = limitOf(query);
  const after = query.get("after") ?? "0";
  if (after !== "0" && !isId(after)) throw invalid("after is what the page before gave as next.");
  const rows = await read(`SELECT ${EVENT} FROM events WHERE id > $1 ORDER BY events.id LIMIT $2`, [after, limit + 1]);
  return ok(pageOf(rows.map(shown), limit, (event) => event.id));
});

route("GET", "/events/{id}", async ({ id }) => ok(await theEvent(id)));

route("PATCH", "/events/{id}", async ({ id, json }) => {
  const event = await change(async (query) => {
    // The lock: a sale locks the event, too (FOR SHARE), so none can take a high seat while we look which are sold.
    const [found] = await query("SELECT id FROM events WHERE id = $1 FOR UPDATE", [idOrNull(id)]);
    if (!found) throw notFound("event");

    const body = json();
    // undefined, which becomes NULL: this field is not to be changed.
    const values = Object.entries(FIELDS).map(([name, fieldOf]) =>
      Object.hasOwn(body, name) ? fieldOf(body, name) : undefined);
    if (values.every((value) => value === undefined)) throw invalid("Name at least one field to change.");

    const [{ highest }] = await query("SELECT max(seat) AS highest FROM tickets WHERE event_id = $1", [id]);
    if (body.seats < highest) throw seatsSold();

    const [changed] = await query(
      `UPDATE events SET name = coalesce($2, name), venue = coalesce($3, venue),
         starts_at = coalesce($4::timestamptz, starts_at), seats = coalesce($5::integer, seats),
         price_cents = coalesce($6::bigint, price_cents)
       WHERE id = $1 RETURNING ${EVENT}`,
      [id, ...values],
    );
    return changed;
  });
  return ok(shown(event));
});

route("DELETE", "/events/{id}", async ({ id }) => {
  const rows = await change((query) => query("DELETE FROM events WHERE id = $1 RETURNING id", [idOrNull(id)]));
  if (rows.length === 0) throw notFound("event");
  // Its views are of no use now. If Redis is away they stay, and harm nobody: the id is never used again.
  await ifThere((client) => client.multi().del(`views:${id}`).zRem("trending", id).exec());
  return noContent();
});
