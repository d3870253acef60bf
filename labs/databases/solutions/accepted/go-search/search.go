package main

// GET /search: one question to Elasticsearch, which finds, sorts, counts and pages.

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// found is an event as the search has it.
type found struct {
	Event    string `json:"event"`
	Name     string `json:"name"`
	Venue    string `json:"venue"`
	StartsAt string `json:"starts_at"`
}

type venue struct {
	Venue  string `json:"venue"`
	Events int    `json:"events"`
}

type results struct {
	page[found]
	Total  int     `json:"total"`
	Venues []venue `json:"venues"`
}

// object is JSON for Elasticsearch.
type object map[string]any

func (o *office) find(r *http.Request) (answer, error) {
	wish, err := wishOf(r)
	if err != nil {
		return answer{}, err
	}
	var said struct {
		Hits struct {
			Total struct{ Value int }
			Hits  []hit
		}
		Aggregations struct {
			Venues struct {
				Buckets []struct {
					Key   string
					Count int `json:"doc_count"`
				}
			}
		}
	}
	const path = "/" + alias + "/_search?allow_partial_search_results=false"
	if err := o.elastic.call(r.Context(), "POST", path, wish.question(), &said); err != nil {
		return answer{}, err
	}
	place := func(h hit) string { return base64.RawURLEncoding.EncodeToString(h.Sort) }
	hits := pageOf(said.Hits.Hits, wish.limit, place)
	a := results{page[found]{[]found{}, hits.Next}, said.Hits.Total.Value, []venue{}}
	for _, h := range hits.Items {
		a.Items = append(a.Items, h.Source)
	}
	for _, b := range said.Aggregations.Venues.Buckets {
		a.Venues = append(a.Venues, venue{b.Key, b.Count})
	}
	return answer{status: 200, body: a}, nil
}

type hit struct {
	Source found           `json:"_source"`
	Sort   json.RawMessage `json:"sort"` // its place: the next page goes on behind it
}

// wish is what a client looks for.
type wish struct {
	words   []string
	filters []object
	limit   int
	after   json.RawMessage
}

func wishOf(r *http.Request) (w wish, err error) {
	// A semicolon parts nothing, and is a letter of q like others.
	values, err := url.ParseQuery(strings.ReplaceAll(r.URL.RawQuery, ";", "%3B"))
	if err != nil {
		return w, invalid("What is behind the ? is not in the form of a URL.")
	}
	if w.limit, err = limitOf(r); err != nil {
		return w, err
	}
	if utf8.RuneCountInString(values.Get("q")) > 200 {
		return w, invalid("q is text of at most 200 characters.")
	}
	w.words = strings.Fields(values.Get("q"))
	if values.Has("venue") {
		w.filters = append(w.filters, object{"term": object{"venue.whole": values.Get("venue")}})
	}
	for name, bound := range map[string]string{"from": "gte", "to": "lt"} {
		if !values.Has(name) {
			continue
		}
		moment, err := time.Parse(time.RFC3339, values.Get(name))
		if err != nil || !isWritable(moment.UTC()) {
			return w, invalid(name + " is a time such as 2027-05-01T19:30:00Z.")
		}
		limit := object{bound: moment.UTC().Format(time.RFC3339Nano), "format": "strict_date_optional_time"}
		w.filters = append(w.filters, object{"range": object{"starts_at": limit}})
	}
	if values.Has("after") {
		w.after, err = base64.RawURLEncoding.DecodeString(values.Get("after"))
		if err != nil || !isPlace(w.after, len(w.words) > 0) {
			return w, invalid("after is what the page before gave as next.")
		}
	}
	return w, nil
}

// isWritable says whether a time can be written as RFC 3339, which has four digits for the year.
func isWritable(moment time.Time) bool { return moment.Year() >= 0 && moment.Year() <= 9999 }

// isPlace says whether this may be a place among the hits: the score, where there are words; the time; the event.
func isPlace(text json.RawMessage, scored bool) bool {
	var parts []any
	if json.Unmarshal(text, &parts) != nil {
		return false
	}
	if scored && len(parts) == 3 {
		if _, isNumber := parts[0].(float64); !isNumber {
			return false
		}
		parts = parts[1:]
	} else if scored {
		return false
	}
	if len(parts) != 2 {
		return false
	}
	moment, isNumber := parts[0].(float64)
	_, isText := parts[1].(string)
	return isNumber && isText && moment == float64(int64(moment))
}

// question is the wish as Elasticsearch takes it.
func (w wish) question() object {
	query, order := object{"filter": append([]object{}, w.filters...)}, []object{{"starts_at": "asc"}, {"event": "asc"}}
	if len(w.words) > 0 {
		found := []object{}
		for _, word := range w.words {
			found = append(found, object{"dis_max": object{"queries": ways(word)}})
		}
		query["should"], query["minimum_should_match"] = found, 1
		order = append([]object{{"_score": "desc"}}, order...)
	}
	question := object{
		"query":            object{"bool": query},
		"sort":             order,
		"size":             w.limit + 1,
		"track_total_hits": true,
		"_source":          []string{"event", "name", "venue", "starts_at"},
		"aggs":             object{"venues": object{"terms": object{"field": "venue.whole", "size": 10}}},
	}
	if w.after != nil {
		question["search_after"] = w.after
	}
	return question
}

// ways in which an event can have a word, each with what it is worth; of several the best one counts. The numbers are
// the same however often a word occurs, so that pages go on where they ended.
func ways(word string) []object {
	way := func(worth float64, field string, more object) object {
		match := object{"query": word}
		for name, value := range more {
			match[name] = value
		}
		return object{"constant_score": object{"boost": worth, "filter": object{"match": object{field: match}}}}
	}
	// One letter may be wrong, missing or too many, in a word of the event that has five or more.
	typo := object{
		"fuzziness": "AUTO:4,1000", "prefix_length": 1, "fuzzy_transpositions": false, "fuzzy_rewrite": "constant_score",
	}
	return []object{
		way(8, "name", nil), way(7, "name.stems", nil), way(6, "venue", nil), way(5, "venue.stems", nil),
		way(2, "name.long", typo), way(1, "venue.long", typo),
	}
}

// count is how many documents the index has, all that was written before.
func (e *elastic) count(ctx context.Context, index string) (int, error) {
	if err := e.call(ctx, "POST", "/"+index+"/_refresh", nil, nil); err != nil {
		return 0, err
	}
	var said struct{ Count int }
	err := e.call(ctx, "GET", "/"+index+"/_count", nil, &said)
	return said.Count, err
}
