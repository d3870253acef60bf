// Pages: each kind with details of its own, each version kept, a page and its history never apart.

import { History, Page } from "./models.js";
import { mongodb, transaction } from "./mongodb.js";
import { created, invalid, limitOf, notFound, numberOf, ok, pageOf, route, textOf } from "./web.js";

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

const nameOf = (body, name) => textOf(body, name, 100);

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

route("PUT", "/pages/{page}", async ({ page, json }) => {
  if (!/^[a-z0-9-]{1,60}$/.test(page)) {
    throw invalid("A page's address is 1 to 60 of the letters a to z, digits and -.");
  }
  const body = json();
  const { kind, details } = body;
  if (!DETAILS.has(kind) || !isObject(details)) {
    throw invalid("kind is concert, match or play, and details is an object.");
  }
  const content = { kind, title: textOf(body, "title"), details: DETAILS.get(kind)(details) };
  const { isNew, ...written } = await transaction(page, (session) => write(session, page, content));
  return isNew ? created(null, written) : ok(written);
});

/** A new version of the page, and its copy in the history. */
async function write(session, page, content) {
  const before = await Page.findById(page, "version", { session, lean: true });
  const newest = await History.findOne({ page }, "version", { session, lean: true, sort: { version: -1 } });
  // Where somebody deleted a page and left its history, the versions in there stay what they are.
  const version = Math.max(before?.version ?? 0, newest?.version ?? 0) + 1;
  const written = { ...content, version, changed_at: new Date() };
  // Two who write the same version at once: MongoDB lets one of them have the page, and the other one tries again.
  await Page.updateOne({ _id: page }, { $set: written }, { session, upsert: true });
  await History.create([{ page, ...written }], { session });
  return { page, ...written, isNew: !before };
}

const shown = ({ kind, title, details, version, changed_at }, page) =>
  ({ page, kind, title, details, version, changed_at });

route("GET", "/pages/{page}", async ({ page }) => {
  const found = await mongodb(() => Page.findById(page).lean());
  if (!found) throw notFound("page");
  return ok(shown(found, page));
});

route("GET", "/pages/{page}/history", async ({ page, query }) => {
  const limit = limitOf(query);
  const older = { page };
  if (query.has("after")) {
    if (!/^\d{1,15}$/.test(query.get("after"))) throw invalid("after is what the page before gave as next.");
    older.version = { $lt: Number(query.get("after")) };
  }
  const found = await mongodb(async () => {
    await mustExist(page);
    return History.find(older).sort({ version: -1 }).limit(limit + 1).lean();
  });
  return ok(pageOf(found.map((one) => shown(one, page)), limit, ({ version }) => String(version)));
});

/** For `mongodb`: fails if there is no such page. */
export async function mustExist(page) {
  if (!(await Page.exists({ _id: page }))) throw notFound("page");
}
