// The Box Office on PostgreSQL, Redis, MongoDB and SQLite. Each file holds one subject.
package main

import (
	"cmp"
	"context"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
)

// office is what every route works with.
type office struct {
	db    *pgxpool.Pool
	redis *redis.Client
	hub   *hub

	documents *documents
	bell      *bell
}

func main() {
	time.Local = time.UTC // so that times from the database leave as UTC
	ctx := context.Background()
	db, err := openDatabase(ctx)
	if err != nil {
		log.Fatal("PostgreSQL: ", err)
	}
	client, err := openRedis()
	if err != nil {
		log.Fatal("Redis: ", err)
	}
	documents, err := openDocuments(ctx)
	if err != nil {
		log.Fatal("MongoDB: ", err)
	}
	door, err := openGate(ctx, os.Getenv("SQLITE_PATH"))
	if err != nil {
		log.Fatal("SQLite: ", err)
	}
	o := &office{db: db, redis: client, hub: newHub(), documents: documents, bell: newBell(documents)}
	o.hub.start(ctx, client)

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

		"PUT /pages/{page}":                         o.writePage,
		"GET /pages/{page}":                         o.showPage,
		"GET /pages/{page}/history":                 o.showHistory,
		"POST /pages/{page}/reviews":                o.addReview,
		"GET /pages/{page}/reviews":                 o.listReviews,
		"GET /pages/{page}/reviews/summary":         o.summarize,
		"POST /pages/{page}/reviews/{review}/votes": o.vote,
	} {
		mux.Handle(pattern, withStores(h))
	}
	mux.HandleFunc("GET /events/{id}/live", o.live)
	mux.HandleFunc("GET /pages/{page}/live", o.pageLive)
	for pattern, h := range door.routes() {
		mux.Handle(pattern, door.handler(h)) // has no time limit of the other stores, and needs none of them
	}

	address := "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")
	log.Printf("The Box Office is open: http://%s", address)
	server := http.Server{Addr: address, Handler: withProblems(mux), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func (o *office) health(r *http.Request) (answer, error) {
	status, services := 200, map[string]string{"postgres": "up", "redis": "up"}
	documents := o.documents.isUp(r.Context())
	// Redis first: it has a short time limit of its own, and PostgreSQL has what is left of the request's.
	if o.redis.Ping(context.Background()).Err() != nil {
		status, services["redis"] = 503, "down"
	}
	if o.db.Ping(r.Context()) != nil {
		status, services["postgres"] = 503, "down"
	}
	if up, used := <-documents; used {
		services["mongodb"] = "up"
		if !up {
			status, services["mongodb"] = 503, "down"
		}
	}
	return answer{status: status, body: services}, nil
}
