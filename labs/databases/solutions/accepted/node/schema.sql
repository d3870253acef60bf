-- The tables of storage.md, and one of our own. Running this file a second time changes nothing.
--
-- Constraints that a client can break have a name: refusals.js translates the name into an answer.

CREATE TABLE IF NOT EXISTS buyers (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text   NOT NULL,
    balance_cents bigint NOT NULL CHECK (balance_cents >= 0)
);

CREATE TABLE IF NOT EXISTS events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text        NOT NULL,
    venue       text        NOT NULL,
    starts_at   timestamptz NOT NULL,
    seats       integer     NOT NULL,
    price_cents bigint      NOT NULL,
    CONSTRAINT one_event_per_venue_and_time UNIQUE (venue, starts_at)
);

CREATE TABLE IF NOT EXISTS orders (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id    bigint      NOT NULL CONSTRAINT order_of_an_event REFERENCES events,
    buyer_id    bigint      NOT NULL CONSTRAINT order_of_a_buyer REFERENCES buyers,
    seat        integer     NOT NULL,
    price_cents bigint      NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS tickets (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id bigint  NOT NULL CONSTRAINT ticket_of_an_order REFERENCES orders,
    event_id bigint  NOT NULL CONSTRAINT ticket_of_an_event REFERENCES events,
    seat     integer NOT NULL,
    CONSTRAINT one_ticket_per_seat UNIQUE (event_id, seat)
);

-- What was answered to a POST /orders with an Idempotency-Key. While the sale runs, the row has no answer yet, but then
-- only the sale's own transaction can see it.
CREATE TABLE IF NOT EXISTS order_answers (
    key        text PRIMARY KEY,
    request    text        NOT NULL,
    answer     json,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- "My orders", newest first: the index has them in just this order.
CREATE INDEX IF NOT EXISTS orders_by_buyer ON orders (buyer_id, created_at DESC, id DESC);
-- How many tickets of this event the buyer has; and, when an event is deleted, whether an order names it.
CREATE INDEX IF NOT EXISTS orders_by_event_and_buyer ON orders (event_id, buyer_id);
-- The ticket of an order. A foreign key makes no index of its own.
CREATE INDEX IF NOT EXISTS tickets_by_order ON tickets (order_id);
