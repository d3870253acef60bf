// Pages and their reviews, in memory like the rest. Milestone by milestone they move to MongoDB.

import {
  created, invalid, limitOf, notFound, numberOf, ok, pageOf, pageStart, Problem, route, stream, textOf,
} from "./web.js";

let lastId = 0;
const versions = new Map(); // page -> its versions, oldest first         MongoDB: collections pages and page_history
const reviews = new Map(); // page -> its reviews, oldest first           MongoDB: collection reviews
const listeners = new Map(); // page -> the listeners' functions          MongoDB: a change stream of page_history

// --- pages: mongodb/pages, mongodb/validators, mongodb/history -----------------------------------------------------

const nameOf = (body, name) => textOf(body, name, 1, 100);

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** The field `name`: a list of 1 to 50 objects, each read by `read`. */
function listOf(body, name, read) {
  const found = body[name];
  if (!Array.isArray(found) || found.length < 1 || found.length > 50 || !found.every(isObject)) {
    throw invalid(`${name} is a list of 1 to 50 objects.`);
  }
  return found.map(read);
}

const DETAILS = new Map(Object.entries({
  concert: (details) => ({
    acts: listOf(details, "acts", (act) => ({ name: nameOf(act, "name"), minutes: numberOf(act, "minutes", 1, 600) })),
  }),
  match: (details) => ({ home: nameOf(details, "home"), away: nameOf(details, "away") }),
  play: (details) => ({
    roles: listOf(details, "roles", (role) => ({ role: nameOf(role, "role"), actor: nameOf(role, "actor") })),
  }),
}));

route("PUT", "/pages/{page}", ({ page, json }) => {
  if (!/^[a-z0-9-]{1,60}$/.test(page)) {
    throw invalid("A page's address is 1 to 60 of the letters a to z, digits and -.");
  }
  const body = json();
  const { kind, details } = body;
  if (!DETAILS.has(kind) || !isObject(details)) {
    throw invalid("kind is concert, match or play, and details is an object.");
  }
  const content = { kind, title: textOf(body, "title"), details: DETAILS.get(kind)(details) };
  if (!versions.has(page)) versions.set(page, []);
  const kept = versions.get(page);
  kept.push({ page, ...content, version: kept.length + 1, changed_at: new Date() });
  for (const tell of listeners.get(page) ?? []) tell(kept.at(-1));
  return kept.length === 1 ? created(null, kept[0]) : ok(kept.at(-1));
});

/** What is kept of a page: `ofPage(versions, page)`. */
function ofPage(kept, page) {
  if (!versions.has(page)) throw notFound("page");
  return kept.get(page) ?? [];
}

route("GET", "/pages/{page}", ({ page }) => ok(ofPage(versions, page).at(-1)));

route("GET", "/pages/{page}/history", ({ page, query }) => {
  const limit = limitOf(query);
  const before = pageStart(query, Infinity);
  const found = ofPage(versions, page).filter(({ version }) => version < before).reverse();
  return ok(pageOf(found, limit, ({ version }) => String(version)));
});

// --- each new version, live: mongodb/live ---------------------------------------------------------------------------

route("GET", "/pages/{page}/live", ({ page, headers }) => {
  const kept = ofPage(versions, page);
  const last = headers["last-event-id"] ?? "";
  return stream((send) => {
    const tell = ({ version, title }) => send("version", { version, title }, version);
    if (/^\d{1,15}$/.test(last)) kept.slice(Number(last)).forEach(tell); // the first version is 1
    if (!listeners.has(page)) listeners.set(page, new Set());
    listeners.get(page).add(tell);
    return () => listeners.get(page).delete(tell);
  });
});

// --- reviews: mongodb/reviews, mongodb/summary, mongodb/votes -------------------------------------------------------

route("POST", "/pages/{page}/reviews", ({ page, json }) => {
  const body = json();
  const author = nameOf(body, "author");
  const stars = numberOf(body, "stars", 1, 5);
  const text = textOf(body, "text", 1, 2000);
  const others = ofPage(reviews, page);
  if (others.some((other) => other.author === author)) {
    throw new Problem(409, "already_reviewed", "This author has reviewed this page already.");
  }
  const review = { review: String(++lastId), page, author, stars, text, voters: new Set(), created_at: new Date() };
  reviews.set(page, [...others, review]);
  return created(null, shown(review));
});

/** A review as the API has it: with the number of its voters. */
const shown = ({ voters, ...review }) => ({ ...review, helpful: voters.size });

route("GET", "/pages/{page}/reviews", ({ page, query }) => {
  const limit = limitOf(query);
  const before = pageStart(query, Infinity);
  const stars = query.get("stars");
  if (stars !== null && !/^[1-5]$/.test(stars)) throw invalid("stars is a number from 1 to 5.");
  const wanted = (review) => Number(review.review) < before && (stars === null || review.stars === Number(stars));
  const found = ofPage(reviews, page).filter(wanted).reverse();
  return ok(pageOf(found.map(shown), limit, ({ review }) => review));
});

route("GET", "/pages/{page}/reviews/summary", ({ page }) => {
  const all = ofPage(reviews, page);
  const stars = Object.fromEntries([1, 2, 3, 4, 5].map((n) => [n, all.filter((review) => review.stars === n).length]));
  const sum = all.reduce((total, review) => total + review.stars, 0);
  return ok({ count: all.length, average: all.length > 0 ? sum / all.length : null, stars });
});

route("POST", "/pages/{page}/reviews/{review}/votes", ({ page, review: id, json }) => {
  const voter = nameOf(json(), "voter");
  const review = ofPage(reviews, page).find((one) => one.review === id);
  if (!review) throw notFound("review");
  review.voters.add(voter);
  return ok({ helpful: review.voters.size });
});
