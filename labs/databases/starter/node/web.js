// HTTP for the Box Office: routes, JSON in and out, errors, live streams. You need not change this file.
//
// A handler gets a request and answers or throws; it may be async:
//
//   route("GET", "/things/{id}", ({ id }) => ok({ id }));
//
// request: the {names} of the path, and query (URLSearchParams), headers, json() (the body as an object).

import { createServer } from "node:http";

const LARGEST_BODY = 1_000_000;
const routes = []; // { method, pattern, handler }

export function route(method, path, handler) {
  routes.push({ method, pattern: path.split("/"), handler });
}

// --- answers -----------------------------------------------------------------------------------------------------

export const ok = (body) => ({ status: 200, body });
export const created = (location, body) => ({ status: 201, body, headers: location ? { Location: location } : {} });
export const noContent = () => ({ status: 204 });
/**
 * Server-sent events. `listen(send)` is called at once and returns a function that ends the listening. A message is sent
 * by `send(name, data)`, or by `send(name, data, id)` where a client can go on from there.
 */
export const stream = (listen) => ({ listen });

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

/** The field `name` of a body: text that is not empty. */
export function textOf(body, name, shortest = 1, longest = 200) {
  const value = body[name];
  const length = typeof value === "string" ? [...value].length : -1;
  if (length < shortest || length > longest || value.includes("\0")) {
    throw invalid(`${name} is text of ${shortest} to ${longest} characters.`);
  }
  return value;
}

export function numberOf(body, name, smallest, largest) {
  const value = body[name];
  if (!Number.isInteger(value) || value < smallest || value > largest) {
    throw invalid(`${name} is a whole number from ${smallest} to ${largest}.`);
  }
  return value;
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i;

/** The field `name` as a Date. */
export function timeOf(body, name) {
  const value = new Date(TIME.test(body[name]) ? body[name] : NaN);
  if (Number.isNaN(value.getTime())) throw invalid(`${name} is a time such as 2027-05-01T19:30:00Z.`);
  return value;
}

/** How many items the client wants. */
export function limitOf(query) {
  const limit = query.get("limit") ?? "20";
  if (!/^\d{1,3}$/.test(limit) || limit < 1 || limit > 100) throw invalid("limit is a number from 1 to 100.");
  return Number(limit);
}

/** Where a page begins: behind the id that the page before it ended with. */
export function pageStart(query, otherwise) {
  if (!query.has("after")) return otherwise;
  if (!/^\d{1,15}$/.test(query.get("after"))) throw invalid("after is what the page before gave as next.");
  return Number(query.get("after"));
}

/** One page of a list, from all that is left of it. `nameOf` says which item a page ended with. */
export function pageOf(found, limit, nameOf) {
  return { items: found.slice(0, limit), next: found.length > limit ? nameOf(found[limit - 1]) : null };
}

// --- the server --------------------------------------------------------------------------------------------------

async function bodyOf(request) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > LARGEST_BODY) throw new Problem(413, "too_large", `A body has at most ${LARGEST_BODY} bytes.`);
    parts.push(part);
  }
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
    const url = new URL(request.url, "http://box-office");
    const { handler, names } = find(request.method, url.pathname);
    const { headers } = request;
    return await handler({ ...names, query: url.searchParams, headers, json: () => jsonOf(content) });
  } catch (error) {
    if (error instanceof Problem) {
      const { status, code, message, headers } = error;
      return { status, body: { code, message }, headers };
    }
    console.error(error);
    return { status: 500, body: { code: "internal", message: "The server made a mistake; its log says which." } };
  }
}

function send(response, { status, body, headers = {} }) {
  const content = body === undefined ? undefined : JSON.stringify(body);
  response.writeHead(status, { ...headers, ...(content && { "Content-Type": "application/json" }) });
  response.end(content);
}

function sendStream(response, listen) {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  response.flushHeaders();
  const stop = listen((name, data, id) => {
    const idLine = id === undefined ? "" : `id: ${id}\n`;
    response.write(`${idLine}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
  });
  const stillHere = setInterval(() => response.write(": still here\n\n"), 5000);
  response.on("close", () => {
    clearInterval(stillHere);
    stop();
  });
}

/** Answers requests on 127.0.0.1 until the program is ended. */
export function serve(port) {
  const server = createServer(async (request, response) => {
    const result = await answer(request);
    if (result.listen) sendStream(response, result.listen);
    else send(response, result);
  });
  server.listen({ port, host: "127.0.0.1", backlog: 256 }, () => {
    console.log(`The Box Office is open: http://127.0.0.1:${port}`);
  });
}
