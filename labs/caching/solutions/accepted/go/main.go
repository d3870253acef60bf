package main

// The pages of the Box Office: routes, JSON in and out.

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"
	"time"
)

// event is what a client sees.
type event struct {
	Address string `json:"event"`
	Name    string `json:"name"`
	Venue   string `json:"venue"`
	Price   int64  `json:"price_cents"`
}

// problem is an answer that is an error: a status, a code from openapi.yaml and a sentence for people.
type problem struct {
	status  int
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (p problem) Error() string { return p.Message }

var notFound = problem{404, "not_found", "There is no such event."}
var cacheDown = problem{503, "cache_down", "Redis cannot be reached, so nothing can be changed."}

// handler answers a request with a status and a body (nil: none), or with an error.
type handler func(r *http.Request) (int, any, error)

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, body, err := h(r)
	if err != nil {
		var p problem
		if !errors.As(err, &p) {
			log.Printf("%s %s: %v", r.Method, r.URL.Path, err)
			p = problem{500, "internal", "The server made a mistake; its log says which."}
		}
		status, body = p.status, p
	}
	if body == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) // fails only if the client is gone
}

type server struct {
	truth truth
	cache cache
}

func (s server) health(r *http.Request) (int, any, error) {
	state, status := map[string]string{"postgres": "up", "redis": "up"}, 200
	if s.truth.ping(r.Context()) != nil {
		state["postgres"], status = "down", 503
	}
	if s.cache.ping(r.Context()) != nil {
		state["redis"], status = "down", 503
	}
	return status, state, nil
}

func (s server) show(r *http.Request) (int, any, error) {
	found, err := s.cache.read(r.Context(), r.PathValue("event"), s.truth.find)
	if err == nil && found == nil {
		err = notFound
	}
	return 200, found, err
}

// write and remove go on when their client has gone: a change that is half done would be seen late.
func (s server) write(r *http.Request) (int, any, error) {
	e := event{}
	if json.NewDecoder(r.Body).Decode(&e) != nil {
		return 0, nil, problem{422, "invalid", "The body is not an event."}
	}
	e.Address = r.PathValue("event")
	status := 201
	err := s.change(context.WithoutCancel(r.Context()), e.Address, func(ctx context.Context, tx tx) error {
		wasThere, err := put(ctx, tx, e)
		if wasThere {
			status = 200
		}
		return err
	})
	return status, e, err
}

func (s server) remove(r *http.Request) (int, any, error) {
	address := r.PathValue("event")
	return 204, nil, s.change(context.WithoutCancel(r.Context()), address, func(ctx context.Context, tx tx) error {
		return remove(ctx, tx, address)
	})
}

// change does the work, tells Redis, and commits: from the word to Redis on nobody keeps what it reads.
func (s server) change(ctx context.Context, address string, work func(context.Context, tx) error) error {
	token := newToken()
	err := s.truth.transaction(ctx, func(tx tx) error {
		if err := work(ctx, tx); err != nil {
			return err
		}
		if err := s.cache.begin(ctx, address, token); err != nil {
			log.Print(err)
			return cacheDown
		}
		return nil
	})
	if err == nil {
		s.cache.end(ctx, address, token)
	}
	return err
}

func main() {
	ctx := context.Background()
	truth, err := openTruth(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	cache, err := openCache(os.Getenv("REDIS_URL"))
	if err != nil {
		log.Fatal(err)
	}
	s := server{truth, cache}
	mux := http.NewServeMux()
	mux.Handle("GET /health", handler(s.health))
	mux.Handle("GET /events/{event}", handler(s.show))
	mux.Handle("PUT /events/{event}", handler(s.write))
	mux.Handle("DELETE /events/{event}", handler(s.remove))
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	web := http.Server{Addr: "127.0.0.1:" + port, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(web.ListenAndServe())
}
