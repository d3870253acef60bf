// The collections of MongoDB: as Mongoose writes them, what MongoDB itself refuses, and by what it finds things.

import mongoose from "mongoose";

const { Schema } = mongoose;
const { Mixed } = Schema.Types;

export const connection = mongoose.createConnection();

// What a version of a page has. Its details are read field by field from the request, see pages.js.
const version = { kind: String, title: String, details: Mixed, version: Number, changed_at: Date };

const pages = new Schema({ _id: String, ...version });

const history = new Schema({ page: String, ...version });
history.index({ page: 1, version: -1 }, { unique: true });

const reviews = new Schema({
  page: String,
  author: String,
  stars: Number,
  text: String,
  created_at: Date,
  voters: [String],
  helpful: Number,
});
reviews.index({ page: 1, author: 1 }, { unique: true });
reviews.index({ page: 1, created_at: -1, _id: -1 });
reviews.index({ page: 1, stars: 1, created_at: -1, _id: -1 });

export const Page = connection.model("Page", pages, "pages");
export const History = connection.model("History", history, "page_history");
export const Review = connection.model("Review", reviews, "reviews");

// Mongoose looks at what this server writes; these make MongoDB look at what anybody writes.
const text = { bsonType: "string" };
const list = { bsonType: "array" };
const wholeNumber = { bsonType: ["int", "long"] };

const ofKind = (kind, details) => ({
  properties: {
    kind: { enum: [kind] },
    details: { bsonType: "object", required: Object.keys(details), properties: details },
  },
});

const VALIDATORS = new Map([
  [Page, {
    bsonType: "object",
    required: ["kind", "title", "details", "version"],
    properties: { title: text, version: wholeNumber },
    anyOf: [
      ofKind("concert", { acts: list }),
      ofKind("match", { home: text, away: text }),
      ofKind("play", { roles: list }),
    ],
  }],
  [History, undefined],
  [Review, {
    bsonType: "object",
    required: ["page", "author", "stars", "text"],
    properties: { page: text, author: text, text, stars: { ...wholeNumber, minimum: 1, maximum: 5 } },
  }],
]);

/** Makes the collections that are missing, and the rules and indexes of those that are there. */
export async function makeCollections() {
  const there = await connection.listCollections();
  for (const [model, schema] of VALIDATORS) {
    const validator = schema && { $jsonSchema: schema };
    const name = model.collection.collectionName;
    const found = there.find((one) => one.name === name);
    if (!found) await makeCollection(name, validator && { validator });
    else if (JSON.stringify(found.options.validator) !== JSON.stringify(validator)) {
      await connection.db.command({ collMod: name, validator: validator ?? {} });
    }
    await model.createIndexes();
  }
}

async function makeCollection(name, options) {
  try {
    await connection.db.createCollection(name, options);
  } catch (error) {
    if (error.codeName !== "NamespaceExists") throw error; // another process starts, too, and was quicker
  }
}
