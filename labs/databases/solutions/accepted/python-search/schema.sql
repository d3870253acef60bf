-- The database itself refuses what must not be, whoever asks. Running this file a second time changes nothing.

CREATE TABLE IF NOT EXISTS buyers (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text NOT NULL,
    balance_cents bigint NOT NULL CHECK (balance_cents >= 0)
);

-- The version of a row after a change: greater than before, whichever server makes the change. It is the time in
-- millionths of a second, so that it is also greater than any number that Elasticsearch gives a document by itself.
CREATE OR REPLACE FUNCTION version_after(version bigint) RETURNS bigint LANGUAGE sql AS
    'SELECT greatest(version + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)';

CREATE TABLE IF NOT EXISTS events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL,
    venue       text NOT NULL,
    starts_at   timestamptz NOT NULL,
    seats       integer NOT NULL CHECK (seats > 0),
    price_cents bigint NOT NULL CHECK (price_cents >= 0),
    version     bigint NOT NULL DEFAULT version_after(0),
    UNIQUE (venue, starts_at)
);

CREATE TABLE IF NOT EXISTS orders (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id    bigint NOT NULL REFERENCES events,
    buyer_id    bigint NOT NULL REFERENCES buyers,
    seat        integer NOT NULL CHECK (seat > 0),
    price_cents bigint NOT NULL CHECK (price_cents >= 0),
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS tickets (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id bigint NOT NULL UNIQUE REFERENCES orders,
    event_id bigint NOT NULL REFERENCES events,
    seat     integer NOT NULL CHECK (seat > 0),
    UNIQUE (event_id, seat)
);

-- Changes that Elasticsearch does not have yet. A row is written together with its change, and deleted when
-- Elasticsearch has it.
CREATE TABLE IF NOT EXISTS search_outbox (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id bigint NOT NULL,
    version  bigint NOT NULL
);
