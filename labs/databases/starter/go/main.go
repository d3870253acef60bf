// The Box Office, complete, with everything in memory.
//
// It runs, it does what openapi.yaml says (only its search is a plain one), and it forgets all when it ends. Milestone
// by milestone you move what is in the fields of office to where it belongs: to PostgreSQL what must never be wrong, to
// Redis what is hot and short-lived, to MongoDB pages of many shapes and their reviews. The search is what Elasticsearch
// does better.
package main

import (
	"cmp"
	"crypto/rand"
	"log"
	"math"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	holdTime        = 120 * time.Second
	ticketsPerBuyer = 4
)

type buyer struct {
	ID           string `json:"id"`
	Name         string `json:"name"`
	BalanceCents int64  `json:"balance_cents"`
}

type event struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Venue      string    `json:"venue"`
	StartsAt   time.Time `json:"starts_at"`
	Seats      int64     `json:"seats"`
	PriceCents int64     `json:"price_cents"`
	Sold       int       `json:"sold"`
}

type order struct {
	Order      string    `json:"order"`
	Ticket     string    `json:"ticket"`
	Event      string    `json:"event"`
	Seat       int64     `json:"seat"`
	Buyer      string    `json:"buyer"`
	PriceCents int64     `json:"price_cents"`
	CreatedAt  time.Time `json:"created_at"`
}

// wish is what a client asks to buy. An empty hold may be named, too; no seat is held by it.
type wish struct {
	event, buyer, hold string
	named              bool // whether a hold was
	seat               int64
}

type place struct {
	event string
	seat  int64
}

type hold struct {
	id   string
	ends time.Time
}

type remembered struct {
	wish   wish
	answer order
}

// office holds all data. Requests run at the same time, so each locks the mutex before it touches anything here.
// A mutex is no help once a second server runs on the same data: then the database must keep order.
type office struct {
	mutex     sync.Mutex
	lastID    int
	buyers    map[string]*buyer                // PostgreSQL: table buyers
	events    []*event                         // PostgreSQL: table events
	orders    []order                          // PostgreSQL: tables orders and tickets
	answers   map[string]remembered            // PostgreSQL: a table of your own, by Idempotency-Key
	holds     map[place]hold                   // Redis: keys hold:{event}:{seat}
	views     map[string]int                   // Redis: keys views:{event} and the sorted set trending
	listeners map[string]map[chan message]bool // Redis: publish and subscribe
	versions  map[string][]article             // MongoDB: collections pages and page_history, oldest first
	reviews   map[string][]*review             // MongoDB: collection reviews, oldest first
	readers   map[string]map[chan article]bool // MongoDB: a change stream of page_history
}

func main() {
	o := &office{
		buyers:    map[string]*buyer{},
		answers:   map[string]remembered{},
		holds:     map[place]hold{},
		views:     map[string]int{},
		listeners: map[string]map[chan message]bool{},
		versions:  map[string][]article{},
		reviews:   map[string][]*review{},
		readers:   map[string]map[chan article]bool{},
	}
	mux := http.NewServeMux()
	for pattern, h := range map[string]handler{
		"GET /health":                      o.health,
		"POST /buyers":                     o.addBuyer,
		"GET /buyers/{id}":                 o.showBuyer,
		"POST /events":                     o.addEvent,
		"GET /events":                      o.listEvents,
		"GET /events/{id}":                 o.showEvent,
		"PATCH /events/{id}":               o.changeEvent,
		"DELETE /events/{id}":              o.deleteEvent,
		"GET /events/{id}/seats":           o.showSeats,
		"POST /events/{id}/holds":          o.addHold,
		"DELETE /events/{id}/holds/{hold}": o.releaseHold,
		"POST /events/{id}/views":          o.addView,
		"GET /events/{id}/views":           o.showViews,
		"GET /trending":                    o.trending,
		"POST /orders":                     o.buy,
		"GET /orders":                      o.listOrders,
		"GET /search":                      o.search,
		"POST /search/rebuild":             o.rebuild,

		"PUT /pages/{page}":                         o.writePage,
		"GET /pages/{page}":                         o.showPage,
		"GET /pages/{page}/history":                 o.showHistory,
		"POST /pages/{page}/reviews":                o.addReview,
		"GET /pages/{page}/reviews":                 o.listReviews,
		"GET /pages/{page}/reviews/summary":         o.summarize,
		"POST /pages/{page}/reviews/{review}/votes": o.vote,
	} {
		mux.Handle(pattern, h)
	}
	mux.HandleFunc("GET /events/{id}/live", o.live)
	mux.HandleFunc("GET /pages/{page}/live", o.pageLive)
	addGate(mux)
	address := "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")
	log.Printf("The Box Office is open: http://%s", address)
	server := http.Server{Addr: address, Handler: withProblems(mux), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func (o *office) newID() string {
	o.lastID++
	return strconv.Itoa(o.lastID)
}

// The first milestone, postgres/schema: ask the database here, each time. See README.md.
func (o *office) health(r *http.Request) (answer, error) {
	return answer{status: 200, body: map[string]string{}}, nil
}

// --- buyers and events: postgres/crud, postgres/constraints, postgres/n-plus-one ---------------------------------

func (o *office) addBuyer(r *http.Request) (answer, error) {
	body := bodyOf(r)
	b := buyer{Name: body.text("name"), BalanceCents: body.number("balance_cents", 0, 1_000_000_000)}
	if body.err != nil {
		return answer{}, body.err
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	b.ID = o.newID()
	o.buyers[b.ID] = &b
	return answer{201, b, "/buyers/" + b.ID}, nil
}

func (o *office) showBuyer(r *http.Request) (answer, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	b, found := o.buyers[r.PathValue("id")]
	if !found {
		return answer{}, notFound("buyer")
	}
	return answer{status: 200, body: *b}, nil
}

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
	}
	if all || body.has("seats") {
		e.Seats = body.number("seats", 1, 100_000)
	}
	if all || body.has("price_cents") {
		e.PriceCents = body.number("price_cents", 0, 100_000_000)
	}
	return body.err
}

func (o *office) event(id string) *event {
	for _, e := range o.events {
		if e.ID == id {
			return e
		}
	}
	return nil
}

// ticketsOf are the orders of an event; each has one ticket.
func (o *office) ticketsOf(event string) []order {
	return slices.DeleteFunc(slices.Clone(o.orders), func(t order) bool { return t.Event != event })
}

func (o *office) refuseDoubleBooking(e event) error {
	for _, other := range o.events {
		if other.ID != e.ID && other.Venue == e.Venue && other.StartsAt.Equal(e.StartsAt) {
			return problem{409, "event_exists", "There is another event at this venue at this time."}
		}
	}
	return nil
}

func (o *office) addEvent(r *http.Request) (answer, error) {
	var e event
	if err := e.set(bodyOf(r), true); err != nil {
		return answer{}, err
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if err := o.refuseDoubleBooking(e); err != nil {
		return answer{}, err
	}
	e.ID = o.newID()
	o.events = append(o.events, &e)
	return answer{201, e, "/events/" + e.ID}, nil
}

func (o *office) listEvents(r *http.Request) (answer, error) {
	limit, err := limitOf(r)
	if err != nil {
		return answer{}, err
	}
	after, err := pageStart(r, 0)
	if err != nil {
		return answer{}, err
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	found := []event{}
	for _, e := range o.events {
		if number(e.ID) > after {
			found = append(found, o.withSold(*e))
		}
	}
	return answer{status: 200, body: pageOf(found, limit, func(e event) string { return e.ID })}, nil
}

func (o *office) withSold(e event) event {
	e.Sold = len(o.ticketsOf(e.ID))
	return e
}

// number is an id as the number that it is.
func number(id string) int {
	n, _ := strconv.Atoi(id)
	return n
}

// pageStart is where a page begins: behind the id that the page before it ended with.
func pageStart(r *http.Request, otherwise int) (int, error) {
	if !r.URL.Query().Has("after") {
		return otherwise, nil
	}
	after, err := strconv.Atoi(r.URL.Query().Get("after"))
	if err != nil {
		return 0, invalid("after is what the page before gave as next.")
	}
	return after, nil
}

func (o *office) showEvent(r *http.Request) (answer, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	e := o.event(r.PathValue("id"))
	if e == nil {
		return answer{}, notFound("event")
	}
	return answer{status: 200, body: o.withSold(*e)}, nil
}

func (o *office) changeEvent(r *http.Request) (answer, error) {
	body := bodyOf(r)
	o.mutex.Lock()
	defer o.mutex.Unlock()
	e := o.event(r.PathValue("id"))
	if e == nil {
		return answer{}, notFound("event")
	}
	changed := *e
	if err := changed.set(body, false); err != nil {
		return answer{}, err
	}
	known := []string{"name", "venue", "starts_at", "seats", "price_cents"}
	if !slices.ContainsFunc(known, body.has) {
		return answer{}, invalid("Name at least one field to change.")
	}
	for _, ticket := range o.ticketsOf(e.ID) {
		if ticket.Seat > changed.Seats {
			return answer{}, problem{409, "seats_sold", "A seat with a higher number is sold."}
		}
	}
	if err := o.refuseDoubleBooking(changed); err != nil {
		return answer{}, err
	}
	*e = changed
	return answer{status: 200, body: o.withSold(changed)}, nil
}

func (o *office) deleteEvent(r *http.Request) (answer, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	e := o.event(r.PathValue("id"))
	if e == nil {
		return answer{}, notFound("event")
	}
	if len(o.ticketsOf(e.ID)) > 0 {
		return answer{}, problem{409, "seats_sold", "Seats of this event are sold."}
	}
	o.events = slices.DeleteFunc(o.events, func(other *event) bool { return other == e })
	delete(o.views, e.ID)
	return answer{status: 204}, nil
}

// --- orders: postgres/transactions, postgres/isolation, postgres/indexes -------------------------------------------

func (o *office) buy(r *http.Request) (answer, error) {
	body := bodyOf(r)
	asked := wish{event: body.text("event"), buyer: body.text("buyer"), seat: body.number("seat", 1, 100_000)}
	if body.has("hold") {
		asked.hold, asked.named = body.anyText("hold"), true
	}
	if body.err != nil {
		return answer{}, body.err
	}
	key := r.Header.Get("Idempotency-Key")
	if len(key) > 100 {
		return answer{}, invalid("An Idempotency-Key has at most 100 characters.")
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if first, found := o.answers[key]; found && key != "" {
		if first.wish != asked {
			return answer{}, problem{409, "key_reused", "This Idempotency-Key belongs to another order."}
		}
		return answer{status: 201, body: first.answer}, nil
	}
	sold, err := o.sell(asked)
	if err != nil {
		return answer{}, err
	}
	o.answers[key] = remembered{asked, sold}
	o.announce(asked.event, message{"sold", asked.seat})
	return answer{status: 201, body: sold}, nil
}

// sell looks at all rules first, then makes all changes. In PostgreSQL both are one transaction.
func (o *office) sell(asked wish) (order, error) {
	e, b := o.event(asked.event), o.buyers[asked.buyer]
	if e == nil || b == nil || asked.seat > e.Seats {
		return order{}, invalid("There is no such event, buyer or seat.")
	}
	mine := 0
	for _, ticket := range o.ticketsOf(e.ID) {
		if ticket.Seat == asked.seat {
			return order{}, problem{409, "seat_sold", "This seat is sold."}
		}
		if ticket.Buyer == b.ID {
			mine++
		}
	}
	holder := o.holder(e.ID, asked.seat)
	switch {
	case mine >= ticketsPerBuyer:
		return order{}, problem{409, "limit_4", "A buyer has at most four tickets of an event."}
	case b.BalanceCents < e.PriceCents:
		return order{}, problem{402, "balance_too_low", "The balance does not cover the price."}
	case asked.named && (asked.hold == "" || asked.hold != holder):
		return order{}, problem{410, "hold_expired", "This hold does not hold this seat (any more)."}
	case !asked.named && holder != "":
		return order{}, problem{409, "seat_held", "Somebody else holds this seat."}
	}

	b.BalanceCents -= e.PriceCents
	delete(o.holds, place{e.ID, asked.seat})
	sold := order{o.newID(), o.newID(), e.ID, asked.seat, b.ID, e.PriceCents, time.Now().UTC()}
	o.orders = append(o.orders, sold)
	return sold, nil
}

func (o *office) listOrders(r *http.Request) (answer, error) {
	limit, err := limitOf(r)
	if err != nil {
		return answer{}, err
	}
	before, err := pageStart(r, math.MaxInt)
	if err != nil {
		return answer{}, err
	}
	if !r.URL.Query().Has("buyer") {
		return answer{}, invalid("Say whose orders: /orders?buyer=...")
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	found := []order{}
	for _, sold := range slices.Backward(o.orders) {
		if sold.Buyer == r.URL.Query().Get("buyer") && number(sold.Order) < before {
			found = append(found, sold)
		}
	}
	return answer{status: 200, body: pageOf(found, limit, func(sold order) string { return sold.Order })}, nil
}

// --- holds and the seat map: redis/hold, redis/expiry, redis/pipelining -------------------------------------------

// holder is the id of the hold on a seat, or empty. Redis forgets by itself what has ended; here we must look.
func (o *office) holder(event string, seat int64) string {
	held := o.holds[place{event, seat}]
	if held.ends.Before(time.Now()) {
		return ""
	}
	return held.id
}

func (o *office) addHold(r *http.Request) (answer, error) {
	body := bodyOf(r)
	seat, by := body.number("seat", 1, 100_000), body.text("buyer")
	o.mutex.Lock()
	defer o.mutex.Unlock()
	e := o.event(r.PathValue("id"))
	if e == nil {
		return answer{}, notFound("event")
	}
	if body.err != nil {
		return answer{}, body.err
	}
	if o.buyers[by] == nil || seat > e.Seats {
		return answer{}, invalid("There is no such seat or buyer.")
	}
	if slices.ContainsFunc(o.ticketsOf(e.ID), func(ticket order) bool { return ticket.Seat == seat }) {
		return answer{}, problem{409, "seat_sold", "This seat is sold."}
	}
	if o.holder(e.ID, seat) != "" {
		return answer{}, problem{409, "seat_held", "Somebody else holds this seat."}
	}
	held := hold{rand.Text(), time.Now().Add(holdTime)}
	o.holds[place{e.ID, seat}] = held
	o.announce(e.ID, message{"held", seat})
	return answer{status: 201, body: map[string]any{"hold": held.id, "expires_at": held.ends.UTC()}}, nil
}

func (o *office) releaseHold(r *http.Request) (answer, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for at := range o.holds {
		if at.event == r.PathValue("id") && o.holder(at.event, at.seat) == r.PathValue("hold") {
			delete(o.holds, at)
			o.announce(at.event, message{"released", at.seat})
			return answer{status: 204}, nil
		}
	}
	return answer{}, notFound("hold (any more)")
}

func (o *office) showSeats(r *http.Request) (answer, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	e := o.event(r.PathValue("id"))
	if e == nil {
		return answer{}, notFound("event")
	}
	type seat struct {
		Seat  int64  `json:"seat"`
		State string `json:"state"`
	}
	seats := make([]seat, e.Seats)
	for i := range seats {
		seats[i] = seat{int64(i + 1), "free"}
		if o.holder(e.ID, int64(i+1)) != "" {
			seats[i].State = "held"
		}
	}
	for _, ticket := range o.ticketsOf(e.ID) {
		seats[ticket.Seat-1].State = "sold"
	}
	return answer{status: 200, body: map[string]any{"items": seats}}, nil
}

// --- views: redis/counters, redis/leaderboard -----------------------------------------------------------------------

func (o *office) addView(r *http.Request) (answer, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	e := o.event(r.PathValue("id"))
	if e == nil {
		return answer{}, notFound("event")
	}
	o.views[e.ID]++
	return answer{status: 204}, nil
}

func (o *office) showViews(r *http.Request) (answer, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	e := o.event(r.PathValue("id"))
	if e == nil {
		return answer{}, notFound("event")
	}
	return answer{status: 200, body: map[string]int{"views": o.views[e.ID]}}, nil
}

func (o *office) trending(r *http.Request) (answer, error) {
	limit, err := limitOf(r)
	if err != nil {
		return answer{}, err
	}
	type item struct {
		Event string `json:"event"`
		Views int    `json:"views"`
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	items := []item{}
	for id, views := range o.views {
		items = append(items, item{id, views})
	}
	slices.SortFunc(items, func(a, b item) int { return b.Views - a.Views })
	return answer{status: 200, body: map[string]any{"items": items[:min(limit, len(items))]}}, nil
}

// --- the live stream: redis/live ------------------------------------------------------------------------------------

// announce puts a message into the mailbox of each client that listens to this event, at this server.
func (o *office) announce(event string, m message) {
	for mailbox := range o.listeners[event] {
		select {
		case mailbox <- m:
		default: // a client that does not read is let go
			delete(o.listeners[event], mailbox)
			close(mailbox)
		}
	}
}

func (o *office) live(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	mailbox, err := o.listen(id)
	if err != nil {
		refuse(w, r, err)
		return
	}
	defer o.leave(id, mailbox)
	stream(w, r, mailbox)
}

func (o *office) listen(event string) (chan message, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.event(event) == nil {
		return nil, notFound("event")
	}
	if o.listeners[event] == nil {
		o.listeners[event] = map[chan message]bool{}
	}
	mailbox := make(chan message, 100)
	o.listeners[event][mailbox] = true
	return mailbox, nil
}

func (o *office) leave(event string, mailbox chan message) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	delete(o.listeners[event], mailbox)
}
