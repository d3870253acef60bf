package main

// The search made anew: a new index beside the one that is searched, which takes its place when it has everything.

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

var rebuildRunning = problem{409, "rebuild_running", "The search is being made anew already."}

func (o *office) rebuild(r *http.Request) (answer, error) {
	// What is away at the beginning is told as quickly as with any other request.
	soon, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	search := make(chan error, 1)
	go func() { search <- o.elastic.ping(soon) }()
	err := o.db.Ping(soon)
	if away := <-search; err == nil {
		err = away
	}
	if err != nil {
		return answer{}, asProblem(err)
	}
	events, err := o.keeper.rebuild(r.Context(), false)
	if violates(err, lockNotAvailable) {
		return answer{}, rebuildRunning
	}
	return answer{status: 200, body: map[string]int{"events": events}}, asProblem(err)
}

// rebuild makes the search anew, or only if there is none. It says how many events are in there.
func (k *keeper) rebuild(ctx context.Context, ifMissing bool) (events int, err error) {
	var old []string
	moved := false
	err = k.alone(ctx, making, func(tx pgx.Tx) error {
		if live, err := k.live(ctx); err != nil || live != "" && ifMissing {
			return err
		}
		mark, err := now(ctx, tx)
		if err != nil {
			return err
		}
		index := alias + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
		if err := k.copy(ctx, tx, index); err != nil {
			k.removeLater([]string{index})
			return err
		}
		// From here on nothing new is found in the old index until the new one has it.
		if err := take(ctx, tx, writing); err != nil {
			return fmt.Errorf("the lock for writing: %v", err) // no rebuild has that for long
		}
		mark, changes, err := changesSince(ctx, tx, mark)
		if err != nil {
			return err
		}
		if err := k.write(ctx, tx, index, changes); err != nil {
			return err
		}
		if events, err = k.elastic.count(ctx, index); err != nil {
			return err
		}
		if err := k.forget(ctx, tx, mark); err != nil {
			return err
		}
		if err := setMark(ctx, tx, index, mark); err != nil {
			return err
		}
		if err := k.moveAlias(ctx, index); err != nil {
			return err
		}
		moved = true
		if old, err = k.others(ctx); err != nil {
			log.Print("old indices: ", err) // the next rebuild will find them
		}
		return nil
	})
	if moved && err != nil {
		log.Print("the mark of the new index: ", err) // without one it gets all changes again, which does no harm
		err = nil
	}
	k.removeLater(old)
	return events, err
}

// forget what only an index that is about to go needed: its mark, and what was deleted before.
func (k *keeper) forget(ctx context.Context, tx pgx.Tx, mark string) error {
	if err := execute(ctx, tx, postgresWait, "DELETE FROM search_marks"); err != nil {
		return err
	}
	return execute(ctx, tx, postgresWait, "DELETE FROM search_gone WHERE changed_in < $1::text::xid8", mark)
}

// copy makes an index with all the events of PostgreSQL, whoever wrote them.
func (k *keeper) copy(ctx context.Context, tx pgx.Tx, index string) error {
	if err := k.elastic.call(ctx, "PUT", "/"+index, indexSettings, nil); err != nil {
		return err
	}
	for last := noID; ; {
		some, err := read(ctx, tx, `
			SELECT id::text, name, venue, starts_at, search_version, false
			FROM events WHERE id > $1 ORDER BY id LIMIT $2`, last, batch)
		if err != nil {
			return err
		}
		if len(some) == 0 {
			_, err := k.elastic.count(ctx, index) // refreshed now, while nobody waits for it
			return err
		}
		if err := k.elastic.write(ctx, index, some); err != nil {
			return err
		}
		last = some[len(some)-1].ID
	}
}

// moveAlias lets the alias stand for this index only, in one step. An index that has the alias's name makes way.
func (k *keeper) moveAlias(ctx context.Context, index string) error {
	before, err := k.elastic.indices(ctx, alias)
	if err != nil {
		return err
	}
	type action map[string]map[string]string
	actions := []action{{"add": {"index": index, "alias": alias}}}
	for _, name := range before {
		if name == alias {
			actions = append(actions, action{"remove_index": {"index": name}})
		} else {
			actions = append(actions, action{"remove": {"index": name, "alias": alias}})
		}
	}
	err = k.elastic.call(ctx, "POST", "/_aliases", map[string]any{"actions": actions}, nil)
	if err != nil { // maybe only the answer was lost
		if live, _ := k.live(ctx); live == index {
			return nil
		}
	}
	return err
}

// removeLater deletes indices when the searches that began in them have ended, and tries again until it could; never
// the one that is live by then.
func (k *keeper) removeLater(indices []string) {
	if len(indices) == 0 {
		return
	}
	time.AfterFunc(lastSearches, func() {
		ctx := context.Background()
		live, err := k.live(ctx)
		for _, index := range indices {
			if err == nil && index != live {
				err = k.elastic.remove(ctx, index)
			}
		}
		if err != nil {
			log.Print("old indices: ", err)
			k.removeLater(indices)
		}
	})
}
