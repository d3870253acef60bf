package main

// Holds: a key for each seat that is held. Redis removes it when its time is over; nobody needs to clean up.

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

const holdTime = 120 * time.Second

// release deletes a hold only if it is still this one. Two commands could delete a hold that somebody took in between.
var release = redis.NewScript(`
	if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end
	return 0`)

func holdKey(event string, seat int64) string { return fmt.Sprintf("hold:%s:%d", event, seat) }

func (o *office) addHold(r *http.Request) (answer, error) {
	ctx, id, body := r.Context(), r.PathValue("id"), bodyOf(r)
	seat, by := body.number("seat", 1, 100_000), body.text("buyer")
	var hasSeat, hasBuyer, sold bool
	const query = `
		SELECT seats >= $2, EXISTS (SELECT FROM buyers WHERE id = $3),
		       EXISTS (SELECT FROM tickets WHERE event_id = events.id AND seat = $2)
		FROM events WHERE id = $1`
	err := o.db.QueryRow(ctx, query, idOf(id), seat, idOf(by)).Scan(&hasSeat, &hasBuyer, &sold)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return answer{}, notFound("event")
	case err != nil:
		return answer{}, err
	case body.err != nil:
		return answer{}, body.err
	case !hasSeat || !hasBuyer:
		return answer{}, invalid("There is no such seat or buyer.")
	case sold:
		return answer{}, problem{409, "seat_sold", "This seat is sold."}
	}
	hold := fmt.Sprintf("%d.%s", seat, rand.Text()) // begins with the seat, so that a release knows the key
	ends := time.Now().UTC().Add(holdTime)
	// One command: of two who ask at once, exactly one gets the seat, and no hold is ever without an end.
	held, err := o.redis.SetNX(ctx, holdKey(id, seat), hold, holdTime).Result()
	if err != nil {
		return answer{}, err
	}
	if !held {
		return answer{}, problem{409, "seat_held", "Somebody else holds this seat."}
	}
	if err := o.stillFree(ctx, id, seat); err != nil {
		// Also for a client that has gone: else the seat would be kept for nobody.
		if err := release.Run(context.WithoutCancel(ctx), o.redis, []string{holdKey(id, seat)}, hold).Err(); err != nil {
			log.Print("a hold that was refused stays until it expires: ", err)
		}
		return answer{}, err
	}
	announce(ctx, o.redis, change{id, "held", seat})
	return answer{status: 201, body: map[string]any{"hold": hold, "expires_at": ends}}, nil
}

// stillFree refuses a hold if the seat was sold after we had looked: the sale may not have seen the key, and gone by.
func (o *office) stillFree(ctx context.Context, event string, seat int64) error {
	var sold bool
	const query = "SELECT EXISTS (SELECT FROM tickets WHERE event_id = $1 AND seat = $2)"
	if err := o.db.QueryRow(ctx, query, idOf(event), seat).Scan(&sold); err != nil {
		return err
	}
	if sold {
		return problem{409, "seat_sold", "This seat is sold."}
	}
	return nil
}

func (o *office) releaseHold(r *http.Request) (answer, error) {
	ctx, id, hold := r.Context(), r.PathValue("id"), r.PathValue("hold")
	number, _, _ := strings.Cut(hold, ".")
	seat, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return answer{}, notFound("hold")
	}
	released, err := release.Run(ctx, o.redis, []string{holdKey(id, seat)}, hold).Int()
	if err != nil {
		return answer{}, err
	}
	if released == 0 {
		return answer{}, notFound("hold (any more)")
	}
	announce(ctx, o.redis, change{id, "released", seat})
	return answer{status: 204}, nil
}

func (o *office) showSeats(r *http.Request) (answer, error) {
	type seat struct {
		Seat  int64  `json:"seat"`
		State string `json:"state"`
	}
	ctx, id := r.Context(), r.PathValue("id")
	var count int
	err := o.db.QueryRow(ctx, "SELECT seats FROM events WHERE id = $1", idOf(id)).Scan(&count)
	if errors.Is(err, pgx.ErrNoRows) {
		return answer{}, notFound("event")
	} else if err != nil {
		return answer{}, err
	}
	keys := make([]string, count)
	for i := range keys {
		keys[i] = holdKey(id, int64(i+1))
	}
	holders, err := o.redis.MGet(ctx, keys...).Result() // all seats in one trip
	if err != nil {
		return answer{}, err
	}
	// The holds before the tickets. A sale writes the ticket and then ends the hold: who looks the other way round may
	// come before the one and after the other, and sees a seat free that never was.
	tickets, err := o.db.Query(ctx, "SELECT seat FROM tickets WHERE event_id = $1", idOf(id))
	if err != nil {
		return answer{}, err
	}
	sold, err := pgx.CollectRows(tickets, pgx.RowTo[int64])
	if err != nil {
		return answer{}, err
	}
	seats := make([]seat, count)
	for i, holder := range holders {
		seats[i] = seat{int64(i + 1), "free"}
		if holder != nil {
			seats[i].State = "held"
		}
	}
	for _, number := range sold {
		if number <= int64(count) { // the event may have grown since we asked, and sold a new seat
			seats[number-1].State = "sold"
		}
	}
	return answer{status: 200, body: map[string]any{"items": seats}}, nil
}

// holder is the hold on a seat, nil if it is free. The second value is false while Redis cannot be reached: then holds
// do not count, and sales go on.
func (o *office) holder(ctx context.Context, event string, seat int64) (*string, bool) {
	holder, err := o.redis.Get(ctx, holdKey(event, seat)).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, true
	case err != nil:
		log.Print("sold without looking at holds: ", err)
		return nil, false
	}
	return &holder, true
}

// endHold is for a seat that is sold: no hold on it has a meaning any more, whosever it is; and who listens hears of it.
// That is so, too, when the buyer has hung up by now.
func (o *office) endHold(ctx context.Context, event string, seat int64) {
	ctx = context.WithoutCancel(ctx)
	_, err := o.redis.Pipelined(ctx, func(both redis.Pipeliner) error {
		both.Del(ctx, holdKey(event, seat))
		announce(ctx, both, change{event, "sold", seat})
		return nil
	})
	if err != nil {
		log.Print("the hold of a sold seat stays until it expires: ", err)
	}
}

// endLate is for an order that is answered again: whoever made it may have been killed before its hold was ended.
func (o *office) endLate(ctx context.Context, event string, seat int64, hold string) {
	if err := release.Run(ctx, o.redis, []string{holdKey(event, seat)}, hold).Err(); err != nil {
		log.Print("the hold of a sold seat stays until it expires: ", err)
	}
}
