// The sales of the Box Office (buyers, events, orders) in MySQL, with GORM.
package main

import (
	"cmp"
	"context"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"

	"gorm.io/gorm"
)

// office answers the requests. It keeps nothing itself: all is in MySQL.
type office struct{ db *gorm.DB }

func main() {
	settings, err := settingsOf(os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal("DATABASE_URL: ", err)
	}
	if err := makeTables(settings); err != nil {
		log.Fatal("the tables: ", err)
	}
	sessions, err := strconv.Atoi(cmp.Or(os.Getenv("DB_POOL_MAX"), "10"))
	if err != nil || sessions < 1 {
		log.Fatal("DB_POOL_MAX is a whole number from 1 on")
	}
	db, err := open(settings, sessions)
	if err != nil {
		log.Fatal("MySQL: ", err)
	}

	o := &office{db}
	mux := http.NewServeMux()
	for pattern, h := range map[string]handler{
		"GET /health":         o.health,
		"POST /buyers":        o.addBuyer,
		"GET /buyers/{id}":    o.showBuyer,
		"POST /events":        o.addEvent,
		"GET /events":         o.listEvents,
		"GET /events/{id}":    o.showEvent,
		"PATCH /events/{id}":  o.changeEvent,
		"DELETE /events/{id}": o.deleteEvent,
		"POST /orders":        o.buy,
		"GET /orders":         o.listOrders,
	} {
		mux.Handle(pattern, h)
	}
	server := http.Server{
		Addr:              "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080"),
		Handler:           withProblems(mux),
		ReadHeaderTimeout: 10 * time.Second,
	}
	log.Print("The Box Office is open: http://", server.Addr)
	log.Fatal(server.ListenAndServe())
}

func (o *office) health(ctx context.Context, _ *request) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	// The pool's Ping is a round trip, on a new connection if those in the pool are dead.
	pool, err := o.db.DB()
	if err == nil {
		err = pool.PingContext(ctx)
	}
	if err != nil {
		return answer{status: 503, body: map[string]string{"mysql": "down"}}, nil
	}
	return answer{status: 200, body: map[string]string{"mysql": "up"}}, nil
}
