package main

// Events, with what the search needs to hear of their changes.

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

type event struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Venue      string    `json:"venue"`
	StartsAt   time.Time `json:"starts_at"`
	Seats      int64     `json:"seats"`
	PriceCents int64     `json:"price_cents"`
	Sold       int       `json:"sold"`
}

// The number of tickets comes with the events, in the same statement, however many events there are.
const selectEvents = `
	SELECT e.id::text, e.name, e.venue, e.starts_at, e.seats, e.price_cents, count(t.id)
	FROM events e LEFT JOIN tickets t ON t.event_id = e.id `

var eventExists = problem{409, "event_exists", "There is another event at this venue at this time."}

// set writes the fields that the body has, or all of them, into the event.
func (e *event) set(body *body, all bool) error {
	if all || body.has("name") {
		e.Name = body.text("name")
	}
	if all || body.has("venue") {
		e.Venue = body.text("venue")
	}
	if all || body.has("starts_at") {
		e.StartsAt = body.time("starts_at")
		if !isWritable(e.StartsAt) {
			body.fail("starts_at is a time of the years 0 to 9999.")
		}
	}
	if all || body.has("seats") {
		e.Seats = body.number("seats", 1, 100_000)
	}
	if all || body.has("price_cents") {
		e.PriceCents = body.number("price_cents", 0, 100_000_000)
	}
	return body.err
}

func (o *office) addEvent(r *http.Request) (answer, error) {
	var e event
	if err := e.set(bodyOf(r), true); err != nil {
		return answer{}, err
	}
	const insert = `
		INSERT INTO events (name, venue, starts_at, seats, price_cents, changed_in)
		VALUES ($1, $2, $3, $4, $5, pg_current_xact_id())
		RETURNING id::text, starts_at`
	err := o.db.QueryRow(r.Context(), insert, e.Name, e.Venue, e.StartsAt, e.Seats, e.PriceCents).Scan(&e.ID, &e.StartsAt)
	if violates(err, uniqueViolation) {
		return answer{}, eventExists
	}
	o.keeper.wake()
	return answer{201, e, "/events/" + e.ID}, err
}

func (o *office) listEvents(r *http.Request) (answer, error) {
	limit, err := limitOf(r)
	if err != nil {
		return answer{}, err
	}
	after := noID // the smallest
	if r.URL.Query().Has("after") {
		if after = idOf(r.URL.Query().Get("after")); after == noID {
			return answer{}, invalid("after is what the page before gave as next.")
		}
	}
	// From an id on, not "skip 20 rows": what is added or deleted meanwhile moves nobody to another page.
	rows, _ := o.db.Query(r.Context(), selectEvents+"WHERE e.id > $1 GROUP BY e.id ORDER BY e.id LIMIT $2", after, limit+1)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[event])
	return answer{status: 200, body: pageOf(found, limit, func(e event) string { return e.ID })}, err
}

func (o *office) showEvent(r *http.Request) (answer, error) {
	rows, _ := o.db.Query(r.Context(), selectEvents+"WHERE e.id = $1 GROUP BY e.id", idOf(r.PathValue("id")))
	e, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[event])
	if errors.Is(err, pgx.ErrNoRows) {
		return answer{}, notFound("event")
	}
	return answer{status: 200, body: e}, err
}

func (o *office) changeEvent(r *http.Request) (answer, error) {
	ctx, body := r.Context(), bodyOf(r)
	known := []string{"name", "venue", "starts_at", "seats", "price_cents"}
	if body.err == nil && !slices.ContainsFunc(known, body.has) {
		return answer{}, invalid("Name at least one field to change.")
	}
	var e event
	err := pgx.BeginFunc(ctx, o.db, func(tx pgx.Tx) error {
		// Sales of this event wait until the change is made, so that no seat is sold that is about to vanish.
		id := idOf(r.PathValue("id"))
		if _, err := tx.Exec(ctx, "SELECT 1 FROM events WHERE id = $1 FOR UPDATE", id); err != nil {
			return err
		}
		rows, _ := tx.Query(ctx, selectEvents+"WHERE e.id = $1 GROUP BY e.id", id)
		var err error
		if e, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[event]); err != nil {
			return err
		}
		if err := e.set(body, false); err != nil {
			return err
		}
		const update = `
			UPDATE events SET name = $2, venue = $3, starts_at = $4, seats = $5, price_cents = $6,
				search_version = nextval('search_versions'), changed_in = pg_current_xact_id()
			WHERE id = $1 AND NOT EXISTS (SELECT FROM tickets WHERE event_id = $1 AND seat > $5)`
		done, err := tx.Exec(ctx, update, e.ID, e.Name, e.Venue, e.StartsAt, e.Seats, e.PriceCents)
		if err == nil && done.RowsAffected() == 0 {
			return problem{409, "seats_sold", "A seat with a higher number is sold."}
		}
		return err
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return answer{}, notFound("event")
	case violates(err, uniqueViolation):
		return answer{}, eventExists
	}
	o.keeper.wake()
	return answer{status: 200, body: e}, err
}

func (o *office) deleteEvent(r *http.Request) (answer, error) {
	const remove = `
		WITH gone AS (DELETE FROM events WHERE id = $1 RETURNING id)
		INSERT INTO search_gone (id) SELECT id FROM gone
		ON CONFLICT (id) DO UPDATE SET search_version = excluded.search_version, changed_in = excluded.changed_in`
	done, err := o.db.Exec(r.Context(), remove, idOf(r.PathValue("id")))
	switch {
	case violates(err, foreignKeyViolation):
		return answer{}, problem{409, "seats_sold", "Seats of this event are sold."}
	case err == nil && done.RowsAffected() == 0:
		return answer{}, notFound("event")
	}
	o.keeper.wake()
	return answer{status: 204}, err
}
