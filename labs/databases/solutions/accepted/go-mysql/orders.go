package main

// Orders and their tickets.

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

const ticketsPerBuyer = 4

// wish is what a client asks to buy. Nothing here holds seats: a hold only makes it another wish.
type wish struct {
	Event, Buyer int64
	Seat         int64
	Hold         *string // nil: none is named
}

// hash is the same for the same wish only.
func (w wish) hash() []byte {
	text, err := json.Marshal(w)
	if err != nil {
		panic(err) // numbers and text are always JSON
	}
	sum := sha256.Sum256(text)
	return sum[:]
}

// receipt is an order as the API shows it, with its ticket.
type receipt struct {
	ID         int64     `json:"order,string"`
	TicketID   int64     `json:"ticket,string"`
	EventID    int64     `json:"event,string"`
	Seat       int32     `json:"seat"`
	BuyerID    int64     `json:"buyer,string"`
	PriceCents int64     `json:"price_cents"`
	CreatedAt  time.Time `json:"created_at"`
	Request    []byte    `json:"-"`
}

func receipts(db *gorm.DB) *gorm.DB {
	return db.Model(&Order{}).Select("orders.*, tickets.id AS ticket_id").
		Joins("JOIN tickets ON tickets.order_id = orders.id")
}

var ascii = regexp.MustCompile(`^[\x20-\x7e]{0,100}$`)

// errKeyTaken: while this order was under way, another request with its key was done.
var errKeyTaken = errors.New("the key was taken meanwhile")

func (o *office) buy(ctx context.Context, r *request) (answer, error) {
	f := r.fields()
	event, eventKnown := idOf(f.anyText("event"))
	buyer, buyerKnown := idOf(f.anyText("buyer"))
	asked := wish{Event: event, Buyer: buyer, Seat: f.number("seat", 1, 1<<62)}
	if f.has("hold") && string(f.raw["hold"]) != "null" {
		hold := f.anyText("hold")
		asked.Hold = &hold
	}
	key := r.Header.Get("Idempotency-Key")
	switch {
	case f.err != nil:
		return answer{}, f.err
	case !eventKnown || !buyerKnown:
		return answer{}, noSuchPlace
	case !ascii.MatchString(key):
		return answer{}, invalid("An Idempotency-Key has at most 100 characters of ASCII.")
	}
	for {
		if first, err := byKey(o.db.WithContext(ctx), key); err != nil {
			return answer{}, err
		} else if first != nil {
			return repeated(*first, asked)
		}
		var sold receipt
		err := o.inTransaction(ctx, func(tx *gorm.DB) (err error) {
			sold, err = sell(tx, asked, key)
			return err
		})
		if !errors.Is(err, errKeyTaken) {
			return answer{status: 201, body: sold}, err
		}
		if ctx.Err() != nil {
			return answer{}, unavailable
		}
	}
}

// byKey is the order that was made with a key, or nil.
func byKey(db *gorm.DB, key string) (*receipt, error) {
	if key == "" {
		return nil, nil
	}
	var found receipt
	err := receipts(db).Where("request_key = ?", []byte(key)).Take(&found).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil
	}
	return &found, err
}

// repeated answers a request that comes again.
func repeated(first receipt, asked wish) (answer, error) {
	if string(first.Request) != string(asked.hash()) {
		return answer{}, problem{409, "key_reused", "This Idempotency-Key belongs to another order."}
	}
	return answer{status: 201, body: first}, nil
}

var noSuchPlace = invalid("There is no such event, buyer or seat.")

// sell is a sale, in a transaction. It locks first the event, which other sales may share but nobody may change, and
// then the buyer, for itself: so two sales do not wait for each other in a circle, and a buyer's tickets are counted
// one sale after the other. Of two buyers for one seat the index decides.
func sell(tx *gorm.DB, asked wish, key string) (receipt, error) {
	var e Event
	var b Buyer
	err := tx.Clauses(clause.Locking{Strength: "SHARE"}).Take(&e, "id = ?", asked.Event).Error
	if err == nil {
		err = tx.Clauses(clause.Locking{Strength: "UPDATE"}).Take(&b, "id = ?", asked.Buyer).Error
	}
	if errors.Is(err, gorm.ErrRecordNotFound) || err == nil && asked.Seat > int64(e.Seats) {
		return receipt{}, noSuchPlace
	} else if err != nil {
		return receipt{}, err
	}

	// The same request has the same buyer. If it was under way, it is done now.
	if first, err := byKey(tx, key); err != nil {
		return receipt{}, err
	} else if first != nil {
		return receipt{}, errKeyTaken
	}
	var mine int64
	err = tx.Model(&Ticket{}).Joins("JOIN orders ON orders.id = tickets.order_id").
		Where("orders.buyer_id = ? AND tickets.event_id = ?", b.ID, e.ID).Count(&mine).Error
	switch {
	case err != nil:
		return receipt{}, err
	case mine >= ticketsPerBuyer:
		return receipt{}, problem{409, "limit_4", "A buyer has at most four tickets of an event."}
	case b.BalanceCents < e.PriceCents:
		return receipt{}, problem{402, "balance_too_low", "The balance does not cover the price."}
	}

	err = tx.Model(&Buyer{}).Where("id = ?", b.ID).
		Update("balance_cents", gorm.Expr("balance_cents - ?", e.PriceCents)).Error
	if err != nil {
		return receipt{}, err
	}
	bought := Order{EventID: e.ID, BuyerID: b.ID, Seat: int32(asked.Seat), PriceCents: e.PriceCents}
	if key != "" {
		bought.RequestKey, bought.Request = []byte(key), asked.hash()
	}
	if err := tx.Omit(clause.Associations).Create(&bought).Error; is(err, duplicate) {
		return receipt{}, errKeyTaken
	} else if err != nil {
		return receipt{}, err
	}
	ticket := Ticket{OrderID: bought.ID, EventID: e.ID, Seat: bought.Seat}
	if err := tx.Omit(clause.Associations).Create(&ticket).Error; is(err, duplicate) {
		return receipt{}, problem{409, "seat_sold", "This seat is sold."}
	} else if err != nil {
		return receipt{}, err
	}
	// The moment of the order is MySQL's, and MySQL has no RETURNING.
	var sold receipt
	err = receipts(tx).Where("orders.id = ?", bought.ID).Take(&sold).Error
	return sold, err
}

var place = regexp.MustCompile(`^(-?[0-9]{1,18})\.([0-9]{1,18})$`)

// placeOf names the order that a page ended with: its moment in microseconds, and its id among those of one moment.
func placeOf(r receipt) string { return fmt.Sprintf("%d.%d", r.CreatedAt.UnixMicro(), r.ID) }

func (o *office) listOrders(ctx context.Context, r *request) (answer, error) {
	limit, err := r.limit()
	if err != nil {
		return answer{}, err
	}
	if !r.query.Has("buyer") {
		return answer{}, invalid("Say whose orders: /orders?buyer=...")
	}
	list := receipts(o.db.WithContext(ctx))
	if r.query.Has("after") {
		parts := place.FindStringSubmatch(r.query.Get("after"))
		if parts == nil {
			return answer{}, invalid("after is what the page before gave as next.")
		}
		micros, _ := strconv.ParseInt(parts[1], 10, 64)
		id, _ := strconv.ParseInt(parts[2], 10, 64)
		moment := time.UnixMicro(micros).UTC()
		if moment.Year() < 1000 || moment.Year() > 9999 {
			return answer{}, invalid("after is what the page before gave as next.")
		}
		list = list.Where("(orders.created_at < ? OR orders.created_at = ? AND orders.id < ?)", moment, moment, id)
	}
	found := []receipt{}
	// Nobody has an id that is spelled otherwise, and nobody has no orders.
	if buyer, known := idOf(r.query.Get("buyer")); known {
		err = list.Where("orders.buyer_id = ?", buyer).
			Order("orders.created_at DESC, orders.id DESC").Limit(limit + 1).Find(&found).Error
	}
	return answer{status: 200, body: pageOf(found, limit, placeOf)}, err
}
