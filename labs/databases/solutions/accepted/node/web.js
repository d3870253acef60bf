// HTTP for the Box Office: routes, JSON in and out, errors, live streams.
//
// A handler gets a request and answers or throws; it may be async:
//
//   route("GET", "/things/{id}", ({ id }) => ok({ id }));
//
// request: the {names} of the path, and query (URLSearchParams), headers, json() (the body as an object).

import { createServer } from "node:http";

const LARGEST_BODY = 1_000_000; // bytes
const LARGEST_BACKLOG = 100_000; // bytes that a listener to a stream has not taken yet
export const LARGEST_SEAT = 2 ** 31 - 1; // the column is an integer
const routes = []; // { method, pattern, handler }

export function route(method, path, handler) {
  routes.push({ method, pattern: path.split("/"), handler });
}

// --- answers -----------------------------------------------------------------------------------------------------

export const ok = (body) => ({ status: 200, body });
export const created = (location, body) => ({ status: 201, body, headers: location ? { Location: location } : {} });
export const noContent = () => ({ status: 204 });
/**
 * Server-sent events. `listen(send)` is called at once and returns a function that ends the listening. `send(name,
 * data)` or `send(name, data, id)` gives a promise: it is kept when the message has left. `id` is where the stream
 * begins, for a client that opens it anew before its first message.
 */
export const stream = (listen, id) => ({ listen, id });

/** An answer that is an error: a status, a code from openapi.yaml and a sentence for people. */
export class Problem extends Error {
  constructor(status, code, message, headers = {}) {
    super(message);
    Object.assign(this, { status, code, headers });
  }
}

export const invalid = (message) => new Problem(422, "invalid", message);
export const notFound = (what) => new Problem(404, "not_found", `There is no such ${what}.`);

// --- reading a request -------------------------------------------------------------------------------------------

/** The field `name` of a body: text, also empty or long. (Half of a surrogate pair is no text: UTF-8 cannot write it.) */
export function anyTextOf(body, name) {
  const value = body[name];
  if (typeof value !== "string" || value.includes("\0") || !value.isWellFormed()) throw invalid(`${name} is text.`);
  return value;
}

/** The field `name` of a body: text of 1 to 200 characters, or as many as `longest` says. */
export function textOf(body, name, longest = 200) {
  const value = anyTextOf(body, name);
  const length = [...value].length;
  if (length < 1 || length > longest) throw invalid(`${name} is text of 1 to ${longest} characters.`);
  return value;
}

export function numberOf(body, name, smallest, largest) {
  const value = body[name];
  if (!Number.isInteger(value) || value < smallest || value > largest) {
    throw invalid(`${name} is a whole number from ${smallest} to ${largest}.`);
  }
  return value;
}

const TIME = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$/i;

/**
 * A time of RFC 3339, written in UTC, or null. It stays text all the way to the database: a Date knows milliseconds,
 * PostgreSQL microseconds.
 */
export function timeIn(text) {
  const [, day, clock, fraction = "", zone] = (typeof text === "string" && TIME.exec(text)) || [];
  if (!day) return null;
  // JavaScript takes the 30th of February for the 2nd of March, and 24:00 for tomorrow. We do not.
  const written = new Date(`${day}T${clock}Z`);
  if (Number.isNaN(written.getTime()) || written.toISOString() !== `${day}T${clock}.000Z`) return null;
  const time = new Date(`${day}T${clock}${zone.toUpperCase()}`);
  if (Number.isNaN(time.getTime())) return null;
  const year = time.getUTCFullYear();
  if (year < 1 || year > 9999) return null;
  return time.toISOString().replace(".000Z", `${fraction.slice(0, 7)}Z`);
}

/** The field `name` as a time, see timeIn. */
export function timeOf(body, name) {
  const time = timeIn(body[name]);
  if (!time) throw invalid(`${name} is a time such as 2027-05-01T19:30:00Z.`);
  return time;
}

/** How many items the client wants. */
export function limitOf(query) {
  const limit = query.get("limit") ?? "20";
  if (!/^\d{1,3}$/.test(limit) || limit < 1 || limit > 100) throw invalid("limit is a number from 1 to 100.");
  return Number(limit);
}

/** A page of a list. `found` has one item more than fits if there is a next page; `nextOf(item)` says where it begins. */
export function pageOf(found, limit, nextOf) {
  return { items: found.slice(0, limit), next: found.length > limit ? nextOf(found[limit - 1]) : null };
}

// --- the server --------------------------------------------------------------------------------------------------

/** The body. One that is too large is read to its end all the same: else the client never hears our answer. */
async function bodyOf(request) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size <= LARGEST_BODY) parts.push(part);
  }
  if (size > LARGEST_BODY) throw invalid(`A body has at most ${LARGEST_BODY} bytes.`);
  return Buffer.concat(parts);
}

function jsonOf(content) {
  let body;
  try {
    body = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content));
  } catch {
    throw invalid("The body is not JSON.");
  }
  if (body === null || typeof body !== "object" || Array.isArray(body)) throw invalid("The body is not a JSON object.");
  return body;
}

function textOfPart(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // no UTF-8: it will be found nowhere
  }
}

function find(method, path) {
  const parts = path.split("/").map(textOfPart);
  const fits = ({ pattern }) =>
    pattern.length === parts.length && pattern.every((p, i) => p === parts[i] || p.startsWith("{"));
  const known = routes.filter(fits);
  if (known.length === 0) throw new Problem(404, "not_found", "There is no such page.");
  const chosen = known.find((r) => r.method === method);
  if (!chosen) {
    const allow = known.map((r) => r.method).sort().join(", ");
    throw new Problem(405, "method_not_allowed", `This page knows ${allow}.`, { Allow: allow });
  }
  const names = chosen.pattern.flatMap((p, i) => (p.startsWith("{") ? [[p.slice(1, -1), parts[i]]] : []));
  return { handler: chosen.handler, names: Object.fromEntries(names) };
}

async function answer(request) {
  try {
    const content = await bodyOf(request);
    // Not new URL(): that makes "/events" out of "/events/7/..", and fails at "//".
    const [path, ...query] = request.url.replace(/^https?:\/\/[^/?]*/i, "").split("?");
    const { handler, names } = find(request.method, path);
    const { headers } = request;
    return await handler({
      ...names,
      query: new URLSearchParams(query.join("?")),
      headers,
      json: () => jsonOf(content),
    });
  } catch (error) {
    if (error instanceof Problem) {
      const { status, code, message, headers } = error;
      return { status, body: { code, message }, headers };
    }
    if (request.destroyed && !request.complete) return { status: 400 }; // the client went away in the middle of its body
    console.error(error);
    return { status: 500, body: { code: "internal", message: "The server made a mistake; its log says which." } };
  }
}

function send(response, { status, body, headers = {} }) {
  const content = body === undefined ? undefined : JSON.stringify(body);
  response.writeHead(status, { ...headers, ...(content && { "Content-Type": "application/json" }) });
  response.end(content);
}

const streams = new Set(); // the open ones, as functions that end them

const idOf = (id) => (id === undefined ? "" : `id: ${id}\n`);

function sendStream(response, { listen, id }) {
  if (response.destroyed) return; // gone while we looked for the event: its "close" has been already
  const write = (text) =>
    new Promise((left) => {
      response.write(text, left);
      // A client that takes nothing any more, without a word: what we write to it must not pile up here.
      if (response.writableLength > LARGEST_BACKLOG) response.destroy();
    });
  const stop = listen((name, data, id) => write(`${idOf(id)}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`));
  const stillHere = setInterval(() => write(": still here\n\n"), 5000);
  const end = () => response.end();
  streams.add(end);
  response.on("error", () => {});
  response.on("close", () => {
    clearInterval(stillHere);
    streams.delete(end);
    stop();
  });
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  response.flushHeaders();
  if (id !== undefined) write(`${idOf(id)}\n`);
}

/** Answers requests on 127.0.0.1. Returns, when it is open, a function that ends it: after the last answer. */
export function serve(port) {
  const server = createServer({ keepAliveTimeout: 60_000 }, async (request, response) => {
    const result = await answer(request);
    if (result.listen) sendStream(response, result);
    else send(response, result);
  });
  const stop = () =>
    new Promise((resolve) => {
      server.close(resolve);
      for (const end of streams) end();
      setInterval(() => server.closeIdleConnections(), 50).unref(); // busy connections become idle with their answer
    });
  return new Promise((resolve, reject) => {
    server.on("error", reject);
    server.listen({ port, host: "127.0.0.1", backlog: 256 }, () => {
      console.log(`The Box Office is open: http://127.0.0.1:${port}`);
      resolve(stop);
    });
  });
}
