// Reviews of pages, in pages by time; how many stars they give; who found them helpful.

import mongoose from "mongoose";
import { Review } from "./models.js";
import { mongodb } from "./mongodb.js";
import { mustExist } from "./pages.js";
import { created, invalid, limitOf, notFound, numberOf, ok, pageOf, Problem, route, textOf } from "./web.js";

const { ObjectId } = mongoose.Types;
const ID = /^[0-9a-f]{24}$/;
const LATEST = 8.64e15; // milliseconds that a Date can have

const shown = ({ _id, page, author, stars, text, helpful, created_at }) =>
  ({ review: String(_id), page, author, stars, text, helpful, created_at });

route("POST", "/pages/{page}/reviews", async ({ page, json }) => {
  const body = json();
  const review = new Review({
    page,
    author: textOf(body, "author", 100),
    stars: numberOf(body, "stars", 1, 5),
    text: textOf(body, "text", 2000),
    created_at: new Date(),
    voters: [],
    helpful: 0,
  });
  await mongodb(async () => {
    await mustExist(page);
    try {
      await review.save();
    } catch (error) {
      if (error.code !== 11000) throw error;
      throw new Problem(409, "already_reviewed", "This author has reviewed this page already.");
    }
  });
  return created(null, shown(review));
});

route("GET", "/pages/{page}/reviews", async ({ page, query }) => {
  const limit = limitOf(query);
  const wanted = { page };
  const order = { created_at: -1, _id: -1 };
  if (query.has("stars")) {
    if (!/^[1-5]$/.test(query.get("stars"))) throw invalid("stars is a number from 1 to 5.");
    wanted.stars = Number(query.get("stars"));
  }
  // Sorted by the stars, too, though they are all the same: so no index but the one that has them is in order.
  const sorted = wanted.stars ? { stars: 1, ...order } : order;
  const filter = query.has("after") ? older(wanted, query.get("after")) : wanted;
  const found = await mongodb(async () => {
    await mustExist(page);
    return Review.find(filter, { voters: 0 }).sort(sorted).limit(limit + 1).lean();
  });
  return ok(pageOf(found.map(shown), limit, ({ created_at, review }) => `${created_at.getTime()}_${review}`));
});

/** What is wanted, behind this place in the list. Both halves have a range of an index of their own. */
function older(wanted, after) {
  const [, milliseconds, id] = /^(-?\d{1,16})_([0-9a-f]{24})$/.exec(after) ?? [];
  if (!id || Math.abs(milliseconds) > LATEST) throw invalid("after is what the page before gave as next.");
  const created_at = new Date(Number(milliseconds));
  return {
    $or: [
      { ...wanted, created_at: { $lt: created_at } },
      { ...wanted, created_at, _id: { $lt: new ObjectId(id) } },
    ],
  };
}

route("GET", "/pages/{page}/reviews/summary", async ({ page }) => {
  const [{ all, stars }] = await mongodb(async () => {
    await mustExist(page);
    return Review.aggregate([
      { $match: { page } },
      {
        $facet: {
          all: [{ $group: { _id: null, count: { $sum: 1 }, average: { $avg: "$stars" } } }],
          stars: [{ $sortByCount: "$stars" }],
        },
      },
    ]);
  });
  const { count = 0, average = null } = all[0] ?? {};
  const counts = Object.fromEntries([1, 2, 3, 4, 5].map((n) => [n, stars.find(({ _id }) => _id === n)?.count ?? 0]));
  return ok({ count, average, stars: counts });
});

route("POST", "/pages/{page}/reviews/{review}/votes", async ({ page, review, json }) => {
  const voter = textOf(json(), "voter", 100);
  const wanted = { _id: review, page };
  const found = await mongodb(async () => {
    await mustExist(page);
    if (!ID.test(review)) return null;
    // One step. Whoever is among the voters already is not found by it, and changes nothing.
    await Review.updateOne({ ...wanted, voters: { $ne: voter } }, { $push: { voters: voter }, $inc: { helpful: 1 } });
    return Review.findOne(wanted, "helpful").lean();
  });
  if (!found) throw notFound("review");
  return ok({ helpful: found.helpful });
});
