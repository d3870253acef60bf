package main

// PostgreSQL: the events, as they are.

import (
	"context"
	_ "embed"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed schema.sql
var schema string

type tx = pgx.Tx

type truth struct{ pool *pgxpool.Pool }

func openTruth(ctx context.Context, url string) (truth, error) {
	settings, err := pgxpool.ParseConfig(url)
	if err != nil {
		return truth{}, err
	}
	settings.MaxConns = 16
	pool, err := pgxpool.NewWithConfig(ctx, settings)
	if err != nil {
		return truth{}, err
	}
	t := truth{pool}
	return t, t.transaction(ctx, func(tx tx) error {
		// Two servers that start at once: one after the other.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(1)"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, schema)
		return err
	})
}

func (t truth) ping(ctx context.Context) error { return t.pool.Ping(ctx) }

func (t truth) transaction(ctx context.Context, work func(tx) error) error {
	return pgx.BeginFunc(ctx, t.pool, work)
}

// find is the event, or nil.
func (t truth) find(ctx context.Context, address string) (*event, error) {
	e := event{}
	err := t.pool.QueryRow(ctx, "SELECT address, name, venue, price_cents FROM events WHERE address = $1", address).
		Scan(&e.Address, &e.Name, &e.Venue, &e.Price)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return &e, err
}

// put says whether the event was there before. Its row is locked until the transaction is over.
func put(ctx context.Context, tx tx, e event) (wasThere bool, err error) {
	err = tx.QueryRow(ctx, `INSERT INTO events (address, name, venue, price_cents) VALUES ($1, $2, $3, $4)
		ON CONFLICT (address) DO UPDATE
		SET name = excluded.name, venue = excluded.venue, price_cents = excluded.price_cents
		RETURNING xmax <> 0`, e.Address, e.Name, e.Venue, e.Price).Scan(&wasThere)
	return wasThere, err
}

func remove(ctx context.Context, tx tx, address string) error {
	done, err := tx.Exec(ctx, "DELETE FROM events WHERE address = $1", address)
	if err == nil && done.RowsAffected() == 0 {
		return notFound
	}
	return err
}
