package main

// What keeps the search like PostgreSQL. Nothing is handed over by the requests that change events: each change bears
// the number of its transaction, and each index has a mark, up to which transaction it has everything. So it is no
// matter who was killed or away in between; and a new index is the same as one that is far behind.

import (
	"context"
	"log"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	tick         = 500 * time.Millisecond // between two looks, for what other servers left behind
	postgresWait = 3 * time.Second        // for one statement of a long work
	lastSearches = 2 * time.Second        // for searches that have begun in an index before it is deleted

	// Advisory locks: one writes to the alias or moves it, one makes a new index. The second may take the first, too.
	writing = 2
	making  = 3
)

type keeper struct {
	db      *pgxpool.Pool
	elastic *elastic
	changed chan struct{}
}

func newKeeper(db *pgxpool.Pool, search *elastic) *keeper {
	return &keeper{db, search, make(chan struct{}, 1)}
}

// wake makes the keeper look for changes now. It never waits.
func (k *keeper) wake() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// start makes the index, if Elasticsearch is there, and goes on in the background.
func (k *keeper) start(ctx context.Context) {
	soon, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := k.elastic.ping(soon); err != nil {
		log.Print("Elasticsearch: ", err)
	} else if err := k.catchUp(ctx); err != nil {
		log.Print("The search: ", err)
	}
	go k.sweep(ctx)
	go func() {
		for {
			select {
			case <-k.changed:
			case <-time.After(tick):
			}
			if err := k.catchUp(ctx); err != nil {
				log.Print("The search: ", err)
				time.Sleep(tick)
			}
		}
	}()
}

// catchUp brings the changes that are new to the live index there.
func (k *keeper) catchUp(ctx context.Context) error {
	missing := false
	err := k.alone(ctx, writing, func(tx pgx.Tx) error {
		live, err := k.live(ctx)
		if missing = live == ""; err != nil || missing {
			return err
		}
		mark, err := markOf(ctx, tx, live)
		if err != nil {
			return err
		}
		now, changes, err := changesSince(ctx, tx, mark)
		if err != nil || len(changes) == 0 {
			return err
		}
		if err := k.write(ctx, tx, alias, changes); err != nil {
			return err
		}
		return setMark(ctx, tx, live, now)
	})
	if err == nil && missing {
		_, err = k.rebuild(ctx, true)
	}
	return err
}

// write brings changes into the index. PostgreSQL hears after each part that this server is still at it.
func (k *keeper) write(ctx context.Context, tx pgx.Tx, target string, changes []change) error {
	for part := range slices.Chunk(changes, batch) {
		if err := k.elastic.write(ctx, target, part); err != nil {
			return err
		}
		if err := execute(ctx, tx, postgresWait, "SELECT 1"); err != nil {
			return err
		}
	}
	return nil
}

// live is the index that the alias stands for; "" if there is none.
func (k *keeper) live(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found, err := k.elastic.indices(ctx, alias)
	if err != nil || len(found) == 0 || found[0] == alias {
		return "", err
	}
	return found[0], nil
}

// alone does the work in a transaction while no other server, nor another request, does what has the same lock. That
// goes with the connection: if this server is killed, at once, and if it is cut off, when PostgreSQL ends the session.
func (k *keeper) alone(ctx context.Context, lock int, work func(pgx.Tx) error) error {
	connection, err := acquire(ctx, k.db)
	if err != nil {
		return err
	}
	defer connection.Release()
	return pgx.BeginFunc(ctx, connection, func(tx pgx.Tx) error {
		const limits = `
			SET LOCAL lock_timeout = '8500ms'; SET LOCAL statement_timeout = '9s';
			SET LOCAL idle_in_transaction_session_timeout = '8s'`
		if err := execute(ctx, tx, postgresWait, limits); err != nil {
			return err
		}
		if err := take(ctx, tx, lock); err != nil {
			return err
		}
		return work(tx)
	})
}

func take(ctx context.Context, tx pgx.Tx, lock int) error {
	return execute(ctx, tx, 9*time.Second, "SELECT pg_advisory_xact_lock($1)", lock)
}

func acquire(ctx context.Context, db *pgxpool.Pool) (*pgxpool.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return db.Acquire(ctx)
}

func execute(ctx context.Context, tx pgx.Tx, wait time.Duration, statement string, values ...any) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	_, err := tx.Exec(ctx, statement, values...)
	return err
}

func markOf(ctx context.Context, tx pgx.Tx, index string) (mark string, err error) {
	ctx, cancel := context.WithTimeout(ctx, postgresWait)
	defer cancel()
	const query = "SELECT coalesce((SELECT mark FROM search_marks WHERE index = $1), '0')::text"
	err = tx.QueryRow(ctx, query, index).Scan(&mark)
	return mark, err
}

func setMark(ctx context.Context, tx pgx.Tx, index, mark string) error {
	const statement = `
		INSERT INTO search_marks VALUES ($1, $2::text::xid8) ON CONFLICT (index) DO UPDATE SET mark = excluded.mark`
	return execute(ctx, tx, postgresWait, statement, index, mark)
}

// now is a mark: all transactions before it have ended. A transaction that began earlier than others may end later than
// they do, so neither the highest number seen nor a time would do.
func now(ctx context.Context, tx pgx.Tx) (mark string, err error) {
	ctx, cancel := context.WithTimeout(ctx, postgresWait)
	defer cancel()
	err = tx.QueryRow(ctx, "SELECT pg_snapshot_xmin(pg_current_snapshot())::text").Scan(&mark)
	return mark, err
}

// changesSince a mark, and the mark up to which these are all.
func changesSince(ctx context.Context, tx pgx.Tx, mark string) (string, []change, error) {
	upTo, err := now(ctx, tx) // before the changes are read, so that none is between the two
	if err != nil {
		return "", nil, err
	}
	changes, err := read(ctx, tx, `
		SELECT id::text, name, venue, starts_at, search_version, false
		FROM events WHERE changed_in >= $1::text::xid8
		UNION ALL
		SELECT id::text, '', '', 'epoch'::timestamptz, search_version, true
		FROM search_gone WHERE changed_in >= $1::text::xid8`, mark)
	return upTo, changes, err
}

func read(ctx context.Context, tx pgx.Tx, query string, values ...any) ([]change, error) {
	ctx, cancel := context.WithTimeout(ctx, postgresWait)
	defer cancel()
	rows, _ := tx.Query(ctx, query, values...)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[change])
}

// sweep deletes the indices of rebuilds that broke off.
func (k *keeper) sweep(ctx context.Context) {
	var left []string
	err := k.alone(ctx, making, func(pgx.Tx) (err error) {
		left, err = k.others(ctx)
		return err
	})
	if err == nil {
		k.removeLater(left)
	}
}

// others are the indices that a rebuild made, but for the live one. Nobody works in them if nobody else is making one.
func (k *keeper) others(ctx context.Context) ([]string, error) {
	live, err := k.live(ctx)
	if err != nil {
		return nil, err
	}
	found, err := k.elastic.indices(ctx, alias+"-*")
	return slices.DeleteFunc(found, func(name string) bool { return name == live }), err
}
