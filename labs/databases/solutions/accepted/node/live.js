// The live stream. Each change is published in one channel of Redis, and each process listens to that channel once,
// from its start on: so a listener at any process hears what happened at any other, and costs nothing in Redis.

import { seatsOf as checkEvent } from "./events.js";
import { listenTo } from "./redis.js";
import { route, stream } from "./web.js";

export const CHANNEL = "live";

export const messageOf = (event, name, seat) => JSON.stringify({ event, name, seat });

const listeners = new Map(); // event -> the functions that send to its listeners at this process

listenTo(CHANNEL, (message) => {
  const { event, name, seat } = JSON.parse(message);
  for (const send of listeners.get(event) ?? []) send(name, { seat });
});

route("GET", "/events/{id}/live", async ({ id }) => {
  await checkEvent(id);
  return stream((send) => {
    if (!listeners.has(id)) listeners.set(id, new Set());
    listeners.get(id).add(send);
    return () => {
      listeners.get(id).delete(send);
      if (listeners.get(id).size === 0) listeners.delete(id);
    };
  });
});
