package main

// The gate: its tickets and scans are in an SQLite file beside the server, so that a door without Wi-Fi goes on.

import (
	"context"
	"crypto/rand"
	"database/sql"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"modernc.org/sqlite"
)

const (
	gateVersion = 2
	mostTickets = 1000
	busy        = 5 // SQLite's codes; their upper bits say more
	constraint  = 19
)

//go:embed gate.sql
var gateTables string

//go:embed gate-from-version-1.sql
var gateFromVersion1 string

// gate is the file. Connections that only read never wait: the file is in the mode wal.
type gate struct {
	path string
	db   *sql.DB
}

func openGate(ctx context.Context, path string) (*gate, error) {
	// immediate: a transaction is a writer's from its beginning, and waits for its turn there.
	options := "?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_txlock=immediate"
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path}).String()+options)
	if err != nil {
		return nil, err
	}
	g := &gate{path, db}
	return g, g.write(ctx, func(tx *sql.Tx) error {
		var version int
		if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil || version >= gateVersion {
			return err
		}
		change := gateTables
		if version == 1 {
			change = "ALTER TABLE tickets RENAME TO tickets_of_version_1;" + gateTables + gateFromVersion1
		}
		_, err := tx.ExecContext(ctx, change+"PRAGMA user_version = "+strconv.Itoa(gateVersion))
		return err
	})
}

// write does the work in a transaction.
func (g *gate) write(ctx context.Context, work func(*sql.Tx) error) error {
	tx, err := g.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after a commit
	if err := work(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// handler turns "the file is busy" into 503.
func (g *gate) handler(h handler) handler {
	return func(r *http.Request) (answer, error) {
		a, err := h(r)
		if refusedBySQLite(err, busy) {
			err = problem{503, "unavailable", "Another program is writing into the file."}
		}
		return a, err
	}
}

func refusedBySQLite(err error, code int) bool {
	var refused *sqlite.Error
	return errors.As(err, &refused) && refused.Code()&0xff == code
}

func (g *gate) routes() map[string]handler {
	return map[string]handler{
		"POST /gate/tickets":     g.loadTickets,
		"GET /gate/tickets/{id}": g.showTicket,
		"POST /gate/scans":       g.scan,
		"GET /gate/scans":        g.listScans,
		"POST /gate/backup":      g.backUp,
	}
}

func (g *gate) loadTickets(r *http.Request) (answer, error) {
	b := bodyOf(r)
	event := b.text("event")
	var items []map[string]json.RawMessage
	if err := json.Unmarshal(b.fields["tickets"], &items); err != nil || len(items) < 1 || len(items) > mostTickets {
		b.fail("tickets is a list of 1 to %d tickets.", mostTickets)
	}
	tickets := make([][2]string, len(items))
	for i, fields := range items {
		one := &body{fields: fields}
		tickets[i] = [2]string{one.text("id"), one.text("holder")}
		if one.err != nil && b.err == nil {
			b.err = one.err
		}
	}
	if b.err != nil {
		return answer{}, b.err
	}
	err := g.write(r.Context(), func(tx *sql.Tx) error {
		for _, one := range tickets {
			insert := "INSERT INTO tickets (id, holder, event) VALUES (?, ?, ?)"
			if _, err := tx.ExecContext(r.Context(), insert, one[0], one[1], event); err != nil {
				return err
			}
		}
		return nil
	})
	if refusedBySQLite(err, constraint) {
		err = problem{409, "ticket_exists", "One of these tickets is there already; none was loaded."}
	}
	return answer{status: 201, body: map[string]int{"loaded": len(tickets)}}, err
}

func (g *gate) showTicket(r *http.Request) (answer, error) {
	var t struct {
		ID        string  `json:"id"`
		Holder    string  `json:"holder"`
		Event     string  `json:"event"`
		ScannedAt *string `json:"scanned_at"`
	}
	err := g.db.QueryRowContext(r.Context(), `
		SELECT tickets.id, holder, event, scanned_at
		FROM tickets LEFT JOIN scans ON scans.ticket = tickets.id WHERE tickets.id = ?`,
		r.PathValue("id")).Scan(&t.ID, &t.Holder, &t.Event, &t.ScannedAt)
	if errors.Is(err, sql.ErrNoRows) {
		err = notFound("ticket")
	}
	return answer{status: 200, body: t}, err
}

type scan struct {
	Ticket    string `json:"ticket"`
	Holder    string `json:"holder"`
	Gate      string `json:"gate"`
	ScannedAt string `json:"scanned_at"`
	id        int64
}

func (g *gate) scan(r *http.Request) (answer, error) {
	b := bodyOf(r)
	s := scan{Ticket: b.anyText("ticket"), Gate: b.text("gate"), ScannedAt: time.Now().UTC().Format(time.RFC3339Nano)}
	if b.err != nil {
		return answer{}, b.err
	}
	ctx := r.Context()
	err := g.write(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, "SELECT holder FROM tickets WHERE id = ?", s.Ticket).Scan(&s.Holder)
		if errors.Is(err, sql.ErrNoRows) {
			return notFound("ticket")
		} else if err != nil {
			return err
		}
		insert := "INSERT INTO scans (ticket, gate, scanned_at) VALUES (?, ?, ?)"
		_, err = tx.ExecContext(ctx, insert, s.Ticket, s.Gate, s.ScannedAt)
		return err
	})
	if refusedBySQLite(err, constraint) {
		err = problem{409, "already_in", "This ticket has been scanned before."}
	}
	return answer{status: 200, body: s}, err
}

func (g *gate) listScans(r *http.Request) (answer, error) {
	limit, err := limitOf(r)
	if err != nil {
		return answer{}, err
	}
	after := int64(0)
	if r.URL.Query().Has("after") {
		if after, err = strconv.ParseInt(r.URL.Query().Get("after"), 10, 64); err != nil {
			return answer{}, invalid("after is what the page before gave as next.")
		}
	}
	rows, err := g.db.QueryContext(r.Context(), `
		SELECT scans.id, ticket, holder, gate, scanned_at FROM scans JOIN tickets ON tickets.id = scans.ticket
		WHERE scans.id > ? ORDER BY scans.id LIMIT ?`, after, limit+1)
	if err != nil {
		return answer{}, err
	}
	defer rows.Close()
	var found []scan
	for rows.Next() {
		var s scan
		if err := rows.Scan(&s.id, &s.Ticket, &s.Holder, &s.Gate, &s.ScannedAt); err != nil {
			return answer{}, err
		}
		found = append(found, s)
	}
	next := func(s scan) string { return strconv.FormatInt(s.id, 10) }
	return answer{status: 200, body: pageOf(found, limit, next)}, rows.Err()
}

func (g *gate) backUp(r *http.Request) (answer, error) {
	name := make([]byte, 12)
	rand.Read(name)
	path := filepath.Join(filepath.Dir(g.path), "backup-"+hex.EncodeToString(name)+".sqlite3")
	// Reads the file as it is at one moment, and stops nobody.
	_, err := g.db.ExecContext(r.Context(), "VACUUM INTO ?", path)
	return answer{status: 201, body: map[string]string{"path": path}}, err
}
