package main

// The gate: the milestones of the track sqlite.

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"
)

type gateTicket struct {
	ID        string     `json:"id"`
	Holder    string     `json:"holder"`
	Event     string     `json:"event"`
	ScannedAt *time.Time `json:"scanned_at"`
}

type scan struct {
	Ticket    string    `json:"ticket"`
	Holder    string    `json:"holder"`
	Gate      string    `json:"gate"`
	ScannedAt time.Time `json:"scanned_at"`
}

// gate holds the data of the door; see office for the mutex.
type gate struct {
	mutex   sync.Mutex
	tickets map[string]*gateTicket // SQLite: table tickets
	scans   []scan                 // SQLite: table scans, in the order of scanning
}

func addGate(mux *http.ServeMux) {
	g := &gate{tickets: map[string]*gateTicket{}}
	mux.Handle("POST /gate/tickets", handler(g.loadTickets))
	mux.Handle("GET /gate/tickets/{id}", handler(g.showTicket))
	mux.Handle("POST /gate/scans", handler(g.scan))
	mux.Handle("GET /gate/scans", handler(g.listScans))
	mux.Handle("POST /gate/backup", handler(g.backUp))
}

func (g *gate) loadTickets(r *http.Request) (answer, error) {
	b := bodyOf(r)
	event := b.text("event")
	var items []map[string]json.RawMessage
	if json.Unmarshal(b.fields["tickets"], &items) != nil || len(items) < 1 || len(items) > 1000 {
		b.fail("tickets is a list of 1 to 1000 tickets.")
	}
	added := map[string]*gateTicket{}
	for _, fields := range items {
		one := &body{fields: fields}
		t := &gateTicket{ID: one.text("id"), Holder: one.text("holder"), Event: event}
		if added[t.ID] = t; b.err == nil {
			b.err = one.err
		}
	}
	if b.err != nil {
		return answer{}, b.err
	}
	g.mutex.Lock()
	defer g.mutex.Unlock()
	double := len(added) < len(items)
	for id := range added {
		double = double || g.tickets[id] != nil
	}
	if double {
		return answer{}, problem{409, "ticket_exists", "One of these tickets is there already; none was loaded."}
	}
	maps.Copy(g.tickets, added)
	return answer{status: 201, body: map[string]int{"loaded": len(items)}}, nil
}

func (g *gate) showTicket(r *http.Request) (answer, error) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	t := g.tickets[r.PathValue("id")]
	if t == nil {
		return answer{}, notFound("ticket")
	}
	return answer{status: 200, body: *t}, nil
}

func (g *gate) scan(r *http.Request) (answer, error) {
	b := bodyOf(r)
	s := scan{Ticket: b.anyText("ticket"), Gate: b.text("gate"), ScannedAt: time.Now().UTC()}
	if b.err != nil {
		return answer{}, b.err
	}
	g.mutex.Lock()
	defer g.mutex.Unlock()
	t := g.tickets[s.Ticket]
	if t == nil {
		return answer{}, notFound("ticket")
	}
	if t.ScannedAt != nil {
		return answer{}, problem{409, "already_in", "This ticket has been scanned before."}
	}
	s.Holder, t.ScannedAt = t.Holder, &s.ScannedAt
	g.scans = append(g.scans, s)
	return answer{status: 200, body: s}, nil
}

func (g *gate) listScans(r *http.Request) (answer, error) {
	limit, err := limitOf(r)
	if err != nil {
		return answer{}, err
	}
	after := 0
	if r.URL.Query().Has("after") {
		if after, err = strconv.Atoi(r.URL.Query().Get("after")); err != nil || after < 0 {
			return answer{}, invalid("after is what the page before gave as next.")
		}
	}
	g.mutex.Lock()
	defer g.mutex.Unlock()
	found := g.scans[min(after, len(g.scans)):min(after+limit+1, len(g.scans))]
	next := func(scan) string { return strconv.Itoa(after + limit) }
	return answer{status: 200, body: pageOf(found, limit, next)}, nil
}

func (g *gate) backUp(*http.Request) (answer, error) {
	return answer{}, problem{503, "unavailable", "What is in memory only has no file that could be copied."}
}
