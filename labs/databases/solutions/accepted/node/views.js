// Views: a counter and a sorted set, both in Redis and nowhere else.

import { seatsOf as checkEvent } from "./events.js";
import { redis } from "./redis.js";
import { limitOf, noContent, ok, route } from "./web.js";

route("POST", "/events/{id}/views", async ({ id }) => {
  await checkEvent(id);
  // Redis adds, so no view is lost however many come at once. MULTI: both numbers grow, or none.
  await redis((client) => client.multi().incr(`views:${id}`).zIncrBy("trending", 1, id).exec());
  return noContent();
});

route("GET", "/events/{id}/views", async ({ id }) => {
  await checkEvent(id);
  const views = await redis((client) => client.get(`views:${id}`));
  return ok({ views: Number(views ?? 0) });
});

route("GET", "/trending", async ({ query }) => {
  const limit = limitOf(query);
  const top = await redis((client) => client.zRangeWithScores("trending", 0, limit - 1, { REV: true }));
  return ok({ items: top.map(({ value, score }) => ({ event: value, views: Math.round(score) })) });
});
