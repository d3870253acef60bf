-- The tables of storage.md. "IF NOT EXISTS": running this file a second time changes nothing.

CREATE TABLE IF NOT EXISTS buyers (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text,
    balance_cents bigint
);

CREATE TABLE IF NOT EXISTS events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text,
    venue       text,
    starts_at   timestamptz,
    seats       integer,
    price_cents bigint
);

CREATE TABLE IF NOT EXISTS orders (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id    bigint,
    buyer_id    bigint,
    seat        integer,
    price_cents bigint,
    created_at  timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS tickets (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id bigint,
    event_id bigint,
    seat     integer
);
