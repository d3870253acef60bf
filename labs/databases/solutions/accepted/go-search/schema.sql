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

CREATE TABLE IF NOT EXISTS tickets (
    id       uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    order_id uuid NOT NULL UNIQUE REFERENCES orders,
    event_id uuid NOT NULL REFERENCES events,
    seat     integer NOT NULL CHECK (seat > 0),
    UNIQUE (event_id, seat)
);

-- What the search needs to know: made once, as ALTER TABLE waits for whoever works with the table, also where it has
-- nothing to do.
DO $$
BEGIN
    IF to_regclass('search_marks') IS NOT NULL THEN
        RETURN;
    END IF;

    -- A version is also the version of the document in Elasticsearch, which refuses an older one. It is drawn while
    -- the row is locked, so a row's later state has the higher one. The wide steps leave room for somebody who writes
    -- a document by hand: that counts its version up by one.
    CREATE SEQUENCE search_versions INCREMENT 1000000;

    -- changed_in: the transaction of the last change by this server; rows that others wrote have none.
    ALTER TABLE events ADD COLUMN search_version bigint NOT NULL DEFAULT nextval('search_versions');
    ALTER TABLE events ADD COLUMN changed_in xid8;
    CREATE INDEX ON events (changed_in) WHERE changed_in IS NOT NULL;

    -- The events that this server deleted.
    CREATE TABLE search_gone (
        id             uuid PRIMARY KEY,
        search_version bigint NOT NULL DEFAULT nextval('search_versions'),
        changed_in     xid8 NOT NULL DEFAULT pg_current_xact_id()
    );
    CREATE INDEX ON search_gone (changed_in);

    -- How far each index of Elasticsearch is: it has all changes by transactions before this one.
    CREATE TABLE search_marks (
        index text PRIMARY KEY,
        mark  xid8 NOT NULL
    );
END $$;
