package main

// Orders. A sale is one transaction: everything that belongs to it happens, or nothing does.

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

const ticketsPerBuyer = 4

type order struct {
	Order      string    `json:"order"`
	Ticket     string    `json:"ticket"`
	Event      string    `json:"event"`
	Seat       int64     `json:"seat"`
	Buyer      string    `json:"buyer"`
	PriceCents int64     `json:"price_cents"`
	CreatedAt  time.Time `json:"created_at"`
}

// wish is what a client asks to buy. Without a hold none was named; an empty text is a name, too.
type wish struct {
	Event string  `json:"event"`
	Seat  int64   `json:"seat"`
	Buyer string  `json:"buyer"`
	Hold  *string `json:"hold,omitempty"`
}

func (o *office) buy(r *http.Request) (answer, error) {
	ctx, body := r.Context(), bodyOf(r)
	asked := wish{Event: body.text("event"), Seat: body.number("seat", 1, 100_000), Buyer: body.text("buyer")}
	if body.has("hold") {
		if json.Unmarshal(body.fields["hold"], &asked.Hold) != nil || asked.Hold == nil {
			body.fail("hold is text.")
		}
	}
	if body.err != nil {
		return answer{}, body.err
	}
	key := r.Header.Get("Idempotency-Key")
	if !utf8.ValidString(key) || utf8.RuneCountInString(key) > 100 {
		return answer{}, invalid("An Idempotency-Key is text of at most 100 characters.")
	}

	// Redis is asked before the transaction begins: nobody waits for Redis while holding rows of PostgreSQL.
	holder, holdsCount := o.holder(ctx, asked.Event, asked.Seat)
	var sold order
	repeated := false
	err := transaction(ctx, o.db, func(tx pgx.Tx) error {
		var err error
		if key != "" {
			if repeated, err = remembered(ctx, tx, key, asked, &sold); repeated || err != nil {
				return err
			}
		}
		switch {
		case holdsCount && asked.Hold != nil && (holder == nil || *asked.Hold != *holder):
			return problem{410, "hold_expired", "This hold does not hold this seat (any more)."}
		case holdsCount && asked.Hold == nil && holder != nil:
			return problem{409, "seat_held", "Somebody else holds this seat."}
		}
		if sold, err = sell(ctx, tx, asked); err != nil || key == "" {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE idempotency_keys SET answer = $2 WHERE key = $1", key, sold)
		return err
	})
	if err != nil {
		return answer{}, err
	}
	switch {
	case !repeated && holdsCount:
		o.endHold(ctx, asked.Event, asked.Seat)
	case repeated && asked.Hold != nil:
		o.endLate(ctx, asked.Event, asked.Seat, *asked.Hold)
	}
	return answer{status: 201, body: sold}, nil
}

// remembered looks for the answer that was given for this key. If there is none yet, the key is ours: others with the
// same key wait here until this transaction ends.
func remembered(ctx context.Context, tx pgx.Tx, key string, asked wish, sold *order) (bool, error) {
	text, err := json.Marshal(asked)
	if err != nil {
		return false, err
	}
	const claim = "INSERT INTO idempotency_keys (key, wish) VALUES ($1, $2) ON CONFLICT DO NOTHING"
	claimed, err := tx.Exec(ctx, claim, key, string(text))
	if err != nil || claimed.RowsAffected() == 1 {
		return false, err
	}
	var first string
	if err := tx.QueryRow(ctx, "SELECT wish, answer FROM idempotency_keys WHERE key = $1", key).Scan(&first, sold); err != nil {
		return false, err
	}
	if first != string(text) {
		return false, problem{409, "key_reused", "This Idempotency-Key belongs to another order."}
	}
	return true, nil
}

// sell changes first and looks at the rules in the same statement, so nothing can happen between the two. An error
// undoes the whole transaction.
func sell(ctx context.Context, tx pgx.Tx, asked wish) (order, error) {
	sold := order{Event: asked.Event, Seat: asked.Seat, Buyer: asked.Buyer}
	event, buyer := idOf(asked.Event), idOf(asked.Buyer)
	unknown := invalid("There is no such event, buyer or seat.")

	// FOR SHARE: the event stays as it is until this sale is through; other sales read it at the same time.
	const price = "SELECT price_cents FROM events WHERE id = $1 AND seats >= $2 FOR SHARE"
	if err := tx.QueryRow(ctx, price, event, asked.Seat).Scan(&sold.PriceCents); errors.Is(err, pgx.ErrNoRows) {
		return sold, unknown
	} else if err != nil {
		return sold, err
	}

	// The update also makes other orders of this buyer wait, so that each counts the tickets of the one before.
	const pay = "UPDATE buyers SET balance_cents = balance_cents - $2 WHERE id = $1 AND balance_cents >= $2"
	paid, err := tx.Exec(ctx, pay, buyer, sold.PriceCents)
	if err != nil {
		return sold, err
	}
	if paid.RowsAffected() == 0 {
		var exists bool
		err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM buyers WHERE id = $1)", buyer).Scan(&exists)
		if err == nil && !exists {
			return sold, unknown
		}
		return sold, errors.Join(err, problem{402, "balance_too_low", "The balance does not cover the price."})
	}

	const insertOrder = `
		INSERT INTO orders (event_id, buyer_id, seat, price_cents)
		SELECT $1, $2, $3, $4 WHERE (SELECT count(*) FROM orders WHERE event_id = $1 AND buyer_id = $2) < $5
		RETURNING id::text, created_at`
	err = tx.QueryRow(ctx, insertOrder, event, buyer, asked.Seat, sold.PriceCents, ticketsPerBuyer).
		Scan(&sold.Order, &sold.CreatedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return sold, problem{409, "limit_4", "A buyer has at most four tickets of an event."}
	} else if err != nil {
		return sold, err
	}

	const insertTicket = "INSERT INTO tickets (order_id, event_id, seat) VALUES ($1, $2, $3) RETURNING id::text"
	err = tx.QueryRow(ctx, insertTicket, sold.Order, event, asked.Seat).Scan(&sold.Ticket)
	if violates(err, uniqueViolation) {
		return sold, problem{409, "seat_sold", "This seat is sold."}
	}
	return sold, err
}

func (o *office) listOrders(r *http.Request) (answer, error) {
	query := r.URL.Query()
	limit, err := limitOf(r)
	if err != nil {
		return answer{}, err
	}
	if !query.Has("buyer") {
		return answer{}, invalid("Say whose orders: /orders?buyer=...")
	}
	// A page begins behind the time and id of the order that the page before ended with.
	before, id := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), noID
	if query.Has("after") {
		text, end, _ := strings.Cut(query.Get("after"), "_")
		if before, err = time.Parse(time.RFC3339, text); err != nil || idOf(end) == noID {
			return answer{}, invalid("after is what the page before gave as next.")
		}
		id = end
	}
	const page = `
		SELECT o.id::text, t.id::text, o.event_id::text, o.seat, o.buyer_id::text, o.price_cents, o.created_at
		FROM orders o JOIN tickets t ON t.order_id = o.id
		WHERE o.buyer_id = $1 AND (o.created_at, o.id) < ($2, $3)
		ORDER BY o.created_at DESC, o.id DESC
		LIMIT $4`
	rows, _ := o.db.Query(r.Context(), page, idOf(query.Get("buyer")), before, id, limit+1)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[order])
	name := func(last order) string { return last.CreatedAt.Format(time.RFC3339Nano) + "_" + last.Order }
	return answer{status: 200, body: pageOf(found, limit, name)}, err
}
