package main

// HTTP for the Box Office: JSON in and out, errors, pages, live streams. You need not change this file.

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const largestBody = 1_000_000

// problem is an answer that is an error: a status, a code from openapi.yaml and a sentence for people.
type problem struct {
	status  int
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (p problem) Error() string { return p.Message }

func invalid(message string) error { return problem{422, "invalid", message} }

func notFound(what string) error { return problem{404, "not_found", "There is no such " + what + "."} }

// answer is what a handler has to say. A nil body: none.
type answer struct {
	status   int
	body     any
	location string
}

// handler answers a request. A problem that it returns is sent as it is, any other error as 500.
type handler func(r *http.Request) (answer, error)

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, err := h(r)
	if err != nil {
		refuse(w, r, err)
		return
	}
	if a.location != "" {
		w.Header().Set("Location", a.location)
	}
	reply(w, a.status, a.body)
}

func refuse(w http.ResponseWriter, r *http.Request, err error) {
	var p problem
	if !errors.As(err, &p) {
		log.Printf("%s %s: %v", r.Method, r.URL.Path, err)
		p = problem{500, "internal", "The server made a mistake; its log says which."}
	}
	reply(w, p.status, p)
}

func reply(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) // fails only if the client is gone, and then nobody wants to know
}

// withProblems lets a ServeMux answer 404 and 405 in the form of the API.
func withProblems(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, largestBody)
		refusal, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		seen := statusOnly{header: w.Header()} // the mux's refusal sets Allow here
		refusal.ServeHTTP(&seen, r)
		if seen.status == http.StatusMethodNotAllowed {
			reply(w, 405, problem{405, "method_not_allowed", "This page knows " + w.Header().Get("Allow") + "."})
		} else {
			reply(w, 404, problem{404, "not_found", "There is no such page."})
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

// body is a request's JSON object. Its methods read fields; the first one that is wrong stays in err.
type body struct {
	fields map[string]json.RawMessage
	err    error
}

func bodyOf(r *http.Request) *body {
	b := &body{}
	content, err := io.ReadAll(r.Body)
	if err != nil {
		b.err = problem{413, "too_large", "The body did not arrive whole, or is too large."}
	} else if json.Unmarshal(content, &b.fields) != nil || b.fields == nil {
		b.err = invalid("The body is not a JSON object.")
	}
	return b
}

func (b *body) has(name string) bool {
	_, found := b.fields[name]
	return found
}

func (b *body) fail(message string, details ...any) {
	if b.err == nil {
		b.err = invalid(fmt.Sprintf(message, details...))
	}
}

func (b *body) text(name string) string {
	var value string
	err := json.Unmarshal(b.fields[name], &value)
	if length := utf8.RuneCountInString(value); err != nil || length < 1 || length > 200 || strings.Contains(value, "\x00") {
		b.fail("%s is text of 1 to 200 characters.", name)
	}
	return value
}

// anyText may be empty, and as long as a body may be.
func (b *body) anyText(name string) string {
	var value *string
	if json.Unmarshal(b.fields[name], &value) != nil || value == nil || strings.Contains(*value, "\x00") {
		b.fail("%s is text.", name)
		return ""
	}
	return *value
}

func (b *body) number(name string, smallest, largest int64) int64 {
	var value *int64
	if json.Unmarshal(b.fields[name], &value) != nil || value == nil || *value < smallest || *value > largest {
		b.fail("%s is a whole number from %d to %d.", name, smallest, largest)
		return 0
	}
	return *value
}

func (b *body) time(name string) time.Time {
	value, err := time.Parse(time.RFC3339, b.text(name))
	if err != nil {
		b.fail("%s is a time such as 2027-05-01T19:30:00Z.", name)
	}
	return value.UTC()
}

// limitOf is how many items the client wants.
func limitOf(r *http.Request) (int, error) {
	if !r.URL.Query().Has("limit") {
		return 20, nil
	}
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
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
		return page[T]{Items: append([]T{}, found...)}
	}
	next := name(found[limit-1])
	return page[T]{Items: found[:limit], Next: &next}
}

// message is one server-sent event about a seat.
type message struct {
	name string
	seat int64
}

func (m message) String() string {
	return fmt.Sprintf("event: %s\ndata: {\"seat\": %d}\n\n", m.name, m.seat)
}

// stream sends messages, each as its String says, until the client goes away or the channel is closed.
func stream[M fmt.Stringer](w http.ResponseWriter, r *http.Request, messages <-chan M) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	stillHere := time.NewTicker(5 * time.Second)
	defer stillHere.Stop()
	for {
		if out.Flush() != nil {
			return
		}
		select {
		case m, open := <-messages:
			if !open {
				return
			}
			fmt.Fprint(w, m.String())
		case <-stillHere.C:
			fmt.Fprint(w, ": still here\n\n")
		case <-r.Context().Done():
			return
		}
	}
}
