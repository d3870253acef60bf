package main

// The connections to PostgreSQL, and what happens while a store is gone.

import (
	"context"
	_ "embed"
	"errors"
	"log"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const patience = 1600 * time.Millisecond // for one request with all its work in the stores

//go:embed schema.sql
var schema string

func openDatabase(ctx context.Context) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		return nil, err
	}
	config.MaxConns = 8
	if limit, err := strconv.Atoi(os.Getenv("DB_POOL_MAX")); err == nil && limit > 0 {
		config.MaxConns = int32(limit)
	}
	config.ConnConfig.ConnectTimeout = patience
	config.ConnConfig.RuntimeParams["statement_timeout"] = "1500" // milliseconds: frees rows that nobody waits for
	// One short trip before each use: after an outage, no request gets a connection that broke meanwhile.
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return true }
	db, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	return db, pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		// Two servers that start at once make the tables one after the other.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(1)"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, schema)
		return err
	})
}

// withStores gives a request its time limit and turns a store that is gone into 503.
func withStores(h handler) handler {
	return func(r *http.Request) (answer, error) {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		a, err := h(r.WithContext(ctx))
		return a, asProblem(err)
	}
}

// asProblem is the error as it is sent. What is neither a problem nor a statement that a store refused for a reason
// of its own means that a store could not be reached, or not in time.
func asProblem(err error) error {
	var known problem
	if err == nil || errors.As(err, &known) {
		return err
	}
	var answered refusal
	if errors.As(err, &answered) && answered.isMistake() {
		return err
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		switch refused.Code[:2] {
		case "08", "53", "57": // connection lost, too many connections, shutting down or cancelled
		default:
			return err
		}
	}
	log.Print(err)
	return problem{503, "unavailable", "A store cannot be reached at the moment."}
}

// violates says whether PostgreSQL refused a statement with this code.
func violates(err error, code string) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == code
}

const (
	uniqueViolation     = "23505"
	foreignKeyViolation = "23503"
	lockNotAvailable    = "55P03"
	noID                = "00000000-0000-0000-0000-000000000000"
)

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// idOf is an id of the API as PostgreSQL takes it; for anything else, an id that no row has.
func idOf(text string) string {
	if !uuidForm.MatchString(text) {
		return noID
	}
	return text
}
