package main

// HTTP for the Box Office: routes, answers, errors, pages of a list.

import (
	"bytes"
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"
)

const (
	largestBody = 1_000_000
	// patience is how long a request waits for MySQL, all in all: the contract has 2 seconds for the whole answer.
	patience = 1800 * time.Millisecond
)

// problem is an answer that is an error.
type problem struct {
	status  int
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (p problem) Error() string { return p.Message }

func invalid(message string, details ...any) error {
	return problem{422, "invalid", fmt.Sprintf(message, details...)}
}

func notFound(what string) error { return problem{404, "not_found", "There is no such " + what + "."} }

var unavailable = problem{503, "unavailable", "The database cannot be reached, or is busy. Try again."}

// answer is what a handler has to say. A nil body: none.
type answer struct {
	status   int
	body     any
	location string
}

type request struct {
	*http.Request
	body  []byte
	query url.Values
}

// handler answers a request. A problem that it returns is sent as it is.
type handler func(ctx context.Context, r *request) (answer, error)

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, err := h.answer(r)
	if err != nil {
		refuse(w, r, err)
		return
	}
	if a.location != "" {
		w.Header().Set("Location", a.location)
	}
	reply(w, a.status, a.body)
}

// answer reads the request and gives the handler its time. A COMMIT takes no notice of a context: so the client gets
// its answer when the time is over, whatever the handler still waits for.
func (h handler) answer(r *http.Request) (answer, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return answer{}, problem{413, "too_large", "The body did not arrive whole, or is too large."}
	}
	// A ; is a letter like another in a query, but not for Go.
	query, err := url.ParseQuery(strings.ReplaceAll(r.URL.RawQuery, ";", "%3B"))
	if err != nil {
		return answer{}, invalid("The query is not well formed.")
	}
	// What was begun for a client that has hung up is finished all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), patience)
	type result struct {
		answer
		error
	}
	done := make(chan result, 1)
	go func() {
		defer cancel()
		defer func() {
			if mistake := recover(); mistake != nil {
				done <- result{error: fmt.Errorf("panic: %v", mistake)}
			}
		}()
		a, err := h(ctx, &request{r, body, query})
		done <- result{a, err}
	}()
	select {
	case said := <-done:
		return said.answer, said.error
	case <-ctx.Done():
		select {
		case said := <-done: // both at the same moment: it was ready
			return said.answer, said.error
		default:
			return answer{}, unavailable
		}
	}
}

func refuse(w http.ResponseWriter, r *http.Request, err error) {
	var p problem
	switch {
	case errors.As(err, &p):
	case away(err):
		p = unavailable
	default:
		log.Printf("%s %s: %v", r.Method, r.URL.Path, err)
		p = problem{500, "internal", "The server made a mistake; its log says which."}
	}
	reply(w, p.status, p)
}

// reachError says whether an error, not one of MySQL's own, means that the connection to it is lost or silent.
func reachError(err error) bool {
	var network net.Error
	return errors.Is(err, driver.ErrInvalidConn) || errors.Is(err, sqldriver.ErrBadConn) ||
		errors.Is(err, sql.ErrConnDone) || errors.Is(err, sql.ErrTxDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, driver.ErrPktSync) || errors.Is(err, driver.ErrMalformPkt) || errors.As(err, &network)
}

func reply(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	text := bytes.Buffer{}
	if err := json.NewEncoder(&text).Encode(body); err != nil {
		log.Printf("an answer: %v", err)
		status, text = 500, *bytes.NewBufferString(`{"code": "internal", "message": "The answer is no JSON."}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	text.WriteTo(w) // fails only if the client is gone
}

// withProblems lets a ServeMux say 404 and 405 in the form of the API. Of a path with . or .. or // in it the mux would
// make another one and redirect: here it is a page that does not exist.
func withProblems(mux *http.ServeMux) http.Handler {
	missing := problem{404, "not_found", "There is no such page."}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, largestBody)
		if path.Clean(r.URL.Path) != r.URL.Path {
			reply(w, 404, missing)
			return
		}
		refusal, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		seen := statusOnly{header: w.Header()} // the mux says Allow here
		refusal.ServeHTTP(&seen, r)
		if seen.status == http.StatusMethodNotAllowed {
			message := "This page knows " + w.Header().Get("Allow") + "."
			reply(w, 405, problem{405, "method_not_allowed", message})
		} else {
			reply(w, 404, missing)
		}
	})
}

type statusOnly struct {
	header http.Header
	status int
}

func (s *statusOnly) Header() http.Header            { return s.header }
func (s *statusOnly) Write(text []byte) (int, error) { return len(text), nil }
func (s *statusOnly) WriteHeader(status int)         { s.status = status }

// limit is how many items the client wants.
func (r *request) limit() (int, error) {
	if !r.query.Has("limit") {
		return 20, nil
	}
	limit, err := strconv.Atoi(r.query.Get("limit"))
	if err != nil || limit < 1 || limit > 100 {
		return 0, invalid("limit is a number from 1 to 100.")
	}
	return limit, nil
}

// page is one page of a list.
type page[T any] struct {
	Items []T     `json:"items"`
	Next  *string `json:"next"`
}

// pageOf cuts found, which holds up to limit+1 items, to a page. name says which item a page ended with.
func pageOf[T any](found []T, limit int, name func(T) string) page[T] {
	if len(found) <= limit {
		return page[T]{Items: append([]T{}, found...)} // [] in JSON, never null
	}
	next := name(found[limit-1])
	return page[T]{Items: found[:limit], Next: &next}
}
