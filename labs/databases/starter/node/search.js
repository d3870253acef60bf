// The search for events, in memory like the rest: it looks at each event, and finds words only as they are written.
//
// In the track `elasticsearch` you ask Elasticsearch instead, which forgives accents, endings and typos.

import { invalid, limitOf, pageStart, Problem, route, timeOf } from "./web.js";

route("POST", "/search/rebuild", () => {
  throw new Problem(503, "unavailable", "There is no index yet that could be made anew.");
});

/** What openapi.yaml calls Found, from these events. */
export function search(events, query) {
  const limit = limitOf(query);
  const after = pageStart(query, 0);
  const end = after + limit;
  const matching = events.filter(wishOf(query)).sort((a, b) => a.starts_at - b.starts_at);
  return {
    items: matching.slice(after, end).map(shown),
    total: matching.length,
    venues: largestVenues(matching),
    next: matching.length > end ? String(end) : null,
  };
}

const wordsOf = (text) => text.split(/\s+/).filter((word) => word !== "");

/** Whether an event is one of those that are looked for, as a function. */
function wishOf(query) {
  const q = query.get("q") ?? "";
  if ([...q].length > 200) throw invalid("q has at most 200 characters.");
  const words = new Set(wordsOf(q));
  const venue = query.get("venue");
  const given = Object.fromEntries(query);
  const [earliest, end] = ["from", "to"].map((name) => (query.has(name) ? timeOf(given, name) : null));
  return (event) =>
    (words.size === 0 || wordsOf(`${event.name} ${event.venue}`).some((word) => words.has(word))) &&
    (venue === null || event.venue === venue) &&
    (earliest === null || event.starts_at >= earliest) &&
    (end === null || event.starts_at < end);
}

function largestVenues(events) {
  const counts = new Map();
  for (const { venue } of events) counts.set(venue, (counts.get(venue) ?? 0) + 1);
  const mostFirst = [...counts].sort(([, a], [, b]) => b - a).slice(0, 10);
  return mostFirst.map(([venue, count]) => ({ venue, events: count }));
}

const shown = ({ id, name, venue, starts_at }) => ({ event: id, name, venue, starts_at });
