CREATE TABLE IF NOT EXISTS events (
    address text PRIMARY KEY,
    name text NOT NULL,
    venue text NOT NULL,
    price_cents bigint NOT NULL
);
