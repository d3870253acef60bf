package main

// Buyers and events.

import (
	"context"
	"errors"
	"strconv"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

func (o *office) addBuyer(ctx context.Context, r *request) (answer, error) {
	f := r.fields()
	b := Buyer{Name: f.text("name"), BalanceCents: f.number("balance_cents", 0, 1_000_000_000)}
	if f.err != nil {
		return answer{}, f.err
	}
	err := o.again(ctx, func(db *gorm.DB) error {
		b.ID = 0
		return db.Create(&b).Error
	})
	return answer{201, b, "/buyers/" + strconv.FormatInt(b.ID, 10)}, err
}

func (o *office) showBuyer(ctx context.Context, r *request) (answer, error) {
	id, known := idOf(r.PathValue("id"))
	if !known {
		return answer{}, notFound("buyer")
	}
	var b Buyer
	err := o.db.WithContext(ctx).Take(&b, "id = ?", id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return answer{}, notFound("buyer")
	}
	return answer{status: 200, body: b}, err
}

// shown is an event as the API shows it.
type shown struct {
	Event
	Sold int64 `json:"sold"`
}

// events finds events, each with its seats sold, in one statement: all of it is from one moment.
func events(db *gorm.DB) *gorm.DB {
	return db.Model(&Event{}).Select(
		"events.*, (SELECT COUNT(*) FROM tickets WHERE tickets.event_id = events.id) AS sold")
}

func eventExists(err error) error {
	if is(err, duplicate) {
		return problem{409, "event_exists", "There is another event at this venue at this time."}
	}
	return err
}

func (o *office) addEvent(ctx context.Context, r *request) (answer, error) {
	f := r.fields()
	e := Event{
		Name:       f.text("name"),
		Venue:      f.text("venue"),
		StartsAt:   f.moment("starts_at"),
		Seats:      int32(f.number("seats", 1, 100_000)),
		PriceCents: f.number("price_cents", 0, 100_000_000),
	}
	if f.err != nil {
		return answer{}, f.err
	}
	err := o.again(ctx, func(db *gorm.DB) error {
		e.ID = 0
		return db.Create(&e).Error
	})
	return answer{201, shown{Event: e}, "/events/" + strconv.FormatInt(e.ID, 10)}, eventExists(err)
}

// listEvents goes by id: a new event comes last, and a deleted one moves no other.
func (o *office) listEvents(ctx context.Context, r *request) (answer, error) {
	limit, err := r.limit()
	if err != nil {
		return answer{}, err
	}
	after := int64(0)
	if r.query.Has("after") {
		known := false
		if after, known = idOf(r.query.Get("after")); !known {
			return answer{}, invalid("after is what the page before gave as next.")
		}
	}
	var found []shown
	err = events(o.db.WithContext(ctx)).Where("id > ?", after).Order("id").Limit(limit + 1).Find(&found).Error
	return answer{status: 200, body: pageOf(found, limit, func(e shown) string {
		return strconv.FormatInt(e.ID, 10)
	})}, err
}

func (o *office) showEvent(ctx context.Context, r *request) (answer, error) {
	id, known := idOf(r.PathValue("id"))
	if !known {
		return answer{}, notFound("event")
	}
	var e shown
	err := events(o.db.WithContext(ctx)).Where("id = ?", id).Take(&e).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return answer{}, notFound("event")
	}
	return answer{status: 200, body: e}, err
}

// changes are the columns that a PATCH names, with their new values.
func changes(f *fields) map[string]any {
	changed := map[string]any{}
	if f.has("name") {
		changed["name"] = f.text("name")
	}
	if f.has("venue") {
		changed["venue"] = f.text("venue")
	}
	if f.has("starts_at") {
		changed["starts_at"] = f.moment("starts_at")
	}
	if f.has("seats") {
		changed["seats"] = f.number("seats", 1, 100_000)
	}
	if f.has("price_cents") {
		changed["price_cents"] = f.number("price_cents", 0, 100_000_000)
	}
	if len(changed) == 0 {
		f.fail("Name at least one field to change.")
	}
	return changed
}

// changeEvent locks the event's row. A sale has it locked, too, until its COMMIT: so the highest seat sold is known.
func (o *office) changeEvent(ctx context.Context, r *request) (answer, error) {
	id, known := idOf(r.PathValue("id"))
	if !known {
		return answer{}, notFound("event")
	}
	f := r.fields()
	changed := changes(f)
	if f.err != nil {
		return answer{}, f.err
	}
	var now shown
	err := o.inTransaction(ctx, func(tx *gorm.DB) error {
		var e Event
		err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Take(&e, "id = ?", id).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return notFound("event")
		} else if err != nil {
			return err
		}
		if seats, named := changed["seats"].(int64); named {
			var highest int64
			err := tx.Model(&Ticket{}).Select("COALESCE(MAX(seat), 0)").Where("event_id = ?", id).Scan(&highest).Error
			if err != nil {
				return err
			}
			if seats < highest {
				return problem{409, "seats_sold", "A seat with a higher number is sold."}
			}
		}
		if err := tx.Model(&Event{}).Where("id = ?", id).Updates(changed).Error; err != nil {
			return eventExists(err)
		}
		now = shown{}
		return events(tx).Where("id = ?", id).Take(&now).Error
	})
	return answer{status: 200, body: now}, err
}

// deleteEvent leaves the rule to the foreign keys: they see a sale that is not committed yet, and wait for it.
func (o *office) deleteEvent(ctx context.Context, r *request) (answer, error) {
	id, known := idOf(r.PathValue("id"))
	if !known {
		return answer{}, notFound("event")
	}
	err := o.again(ctx, func(db *gorm.DB) error {
		deleted := db.Delete(&Event{}, "id = ?", id)
		switch {
		case is(deleted.Error, stillNamed):
			return problem{409, "seats_sold", "Seats of this event are sold."}
		case deleted.Error == nil && deleted.RowsAffected == 0:
			return notFound("event")
		}
		return deleted.Error
	})
	return answer{status: 204}, err
}
