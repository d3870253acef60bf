// What PostgreSQL refuses, in the words of openapi.yaml. Looking first is kinder, but between looking and writing
// somebody else may have been quicker. Only the constraint saw both.

import { transaction } from "./postgres.js";
import { Problem } from "./web.js";

export const eventExists = () => new Problem(409, "event_exists", "There is another event at this venue at this time.");
export const seatsSold = () => new Problem(409, "seats_sold", "Seats of this event are sold.");
export const seatSold = () => new Problem(409, "seat_sold", "This seat is sold.");

const REFUSALS = {
  one_event_per_venue_and_time: eventExists,
  one_ticket_per_seat: seatSold,
  order_of_an_event: seatsSold, // when an event is deleted
  ticket_of_an_event: seatsSold,
};

/** A transaction; where a constraint of schema.sql refuses something, that is the client's error and not ours. */
export async function change(work) {
  try {
    return await transaction(work);
  } catch (error) {
    const refusal = error.code?.startsWith("23") && REFUSALS[error.constraint];
    throw refusal ? refusal() : error;
  }
}
