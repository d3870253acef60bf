// Waiting, but not for ever.

const TICK_MS = 50;

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What `patiently` throws. */
export class Silence extends Error {}

/**
 * What the promise gives, or `Silence` after `ms` in which nothing was heard. `heard()` counts what is heard from the
 * service by anybody: as long as that number grows, the service lives, and it is worth to wait on.
 *
 * It counts ticks and does not look at the clock: when this process itself stood still for a second (a busy machine),
 * the answer may be here already, but unread. One late tick is one tick.
 */
export function patiently(promise, ms, heard = () => 0) {
  return new Promise((resolve, reject) => {
    let before = heard();
    let silentFor = 0;
    const clock = setInterval(() => {
      silentFor = heard() === before ? silentFor + TICK_MS : 0;
      before = heard();
      if (silentFor < ms) return;
      clearInterval(clock);
      reject(new Silence(`No answer for ${ms} ms.`));
    }, TICK_MS);
    promise.then(resolve, reject).finally(() => clearInterval(clock));
  });
}
