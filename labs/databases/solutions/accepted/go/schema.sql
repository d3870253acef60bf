-- The database itself refuses what must not be, whoever asks. Running this file a second time changes nothing.

CREATE TABLE IF NOT EXISTS buyers (
    id            uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    name          text NOT NULL,
    balance_cents bigint NOT NULL CHECK (balance_cents >= 0)
);

CREATE TABLE IF NOT EXISTS events (
    id          uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    name        text NOT NULL,
    venue       text NOT NULL,
    starts_at   timestamptz NOT NULL,
    seats       integer NOT NULL CHECK (seats > 0),
    price_cents bigint NOT NULL CHECK (price_cents >= 0),
    UNIQUE (venue, starts_at)
);

CREATE TABLE IF NOT EXISTS orders (
    id          uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    event_id    uuid NOT NULL REFERENCES events,
    buyer_id    uuid NOT NULL REFERENCES buyers,
    seat        integer NOT NULL CHECK (seat > 0),
    price_cents bigint NOT NULL CHECK (price_cents >= 0),
    created_at  timestamptz NOT NULL DEFAULT now()
);
-- A buyer's orders, newest first: in the index's own order, so a page reads only its own rows.
CREATE INDEX IF NOT EXISTS orders_of_buyer ON orders (buyer_id, created_at DESC, id DESC);

CREATE TABLE IF NOT EXISTS tickets (
    id       uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    order_id uuid NOT NULL UNIQUE REFERENCES orders,
    event_id uuid NOT NULL REFERENCES events,
    seat     integer NOT NULL CHECK (seat > 0),
    UNIQUE (event_id, seat)
);

-- What was sold for an Idempotency-Key: the wish, and the answer that it got.
CREATE TABLE IF NOT EXISTS idempotency_keys (
    key    text PRIMARY KEY,
    wish   text NOT NULL,
    answer jsonb
);
