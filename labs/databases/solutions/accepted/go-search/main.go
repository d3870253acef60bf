// The events of the Box Office on PostgreSQL, and their search on Elasticsearch. Each file holds one subject.
package main

import (
	"cmp"
	"context"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// office is what every route works with.
type office struct {
	db      *pgxpool.Pool
	elastic *elastic
	keeper  *keeper
}

func main() {
	time.Local = time.UTC // so that times from the database leave as UTC
	ctx := context.Background()
	db, err := openDatabase(ctx)
	if err != nil {
		log.Fatal("PostgreSQL: ", err)
	}
	search := newElastic(os.Getenv("ELASTICSEARCH_URL"))
	o := &office{db: db, elastic: search, keeper: newKeeper(db, search)}
	o.keeper.start(ctx)

	mux := http.NewServeMux()
	for pattern, h := range map[string]handler{
		"GET /health":         o.health,
		"POST /events":        o.addEvent,
		"GET /events":         o.listEvents,
		"GET /events/{id}":    o.showEvent,
		"PATCH /events/{id}":  o.changeEvent,
		"DELETE /events/{id}": o.deleteEvent,
		"GET /search":         o.find,
	} {
		mux.Handle(pattern, withStores(h))
	}
	mux.Handle("POST /search/rebuild", handler(o.rebuild)) // has time limits of its own

	address := "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")
	log.Printf("The Box Office is open: http://%s", address)
	server := http.Server{Addr: address, Handler: withProblems(mux), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func (o *office) health(r *http.Request) (answer, error) {
	status, services := 200, map[string]string{"postgres": "up", "elasticsearch": "up"}
	search := make(chan error, 1)
	go func() { search <- o.elastic.ping(r.Context()) }()
	if o.db.Ping(r.Context()) != nil {
		status, services["postgres"] = 503, "down"
	}
	if <-search != nil {
		status, services["elasticsearch"] = 503, "down"
	}
	return answer{status: status, body: services}, nil
}
