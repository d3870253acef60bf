package main

// The search for events, in memory like the rest: it looks at each event, and finds words only as they are written.
//
// In the track `elasticsearch` you ask Elasticsearch instead, which forgives accents, endings and typos.

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

type foundEvent struct {
	Event    string    `json:"event"`
	Name     string    `json:"name"`
	Venue    string    `json:"venue"`
	StartsAt time.Time `json:"starts_at"`
}

type venueCount struct {
	Venue  string `json:"venue"`
	Events int    `json:"events"`
}

type foundPage struct {
	page[foundEvent]
	Total  int          `json:"total"`
	Venues []venueCount `json:"venues"`
}

func (o *office) rebuild(*http.Request) (answer, error) {
	return answer{}, problem{503, "unavailable", "There is no index yet that could be made anew."}
}

func (o *office) search(r *http.Request) (answer, error) {
	limit, err := limitOf(r)
	if err != nil {
		return answer{}, err
	}
	after, err := pageStart(r, 0)
	if err != nil || after < 0 {
		return answer{}, invalid("after is what the page before gave as next.")
	}
	w, err := searchWishOf(r.URL.Query())
	if err != nil {
		return answer{}, err
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	matching := []foundEvent{}
	for _, e := range o.events {
		if w.matches(e) {
			matching = append(matching, foundEvent{e.ID, e.Name, e.Venue, e.StartsAt})
		}
	}
	slices.SortStableFunc(matching, func(a, b foundEvent) int { return a.StartsAt.Compare(b.StartsAt) })
	from := matching[min(after, len(matching)):]
	next := func(foundEvent) string { return strconv.Itoa(after + limit) }
	body := foundPage{pageOf(from[:min(limit+1, len(from))], limit, next), len(matching), largestVenues(matching)}
	return answer{status: 200, body: body}, nil
}

// searchWish is what a client looks for; a field that was not given is nil.
type searchWish struct {
	words    []string
	venue    *string
	from, to *time.Time
}

func searchWishOf(query url.Values) (searchWish, error) {
	w := searchWish{words: strings.Fields(query.Get("q"))}
	if utf8.RuneCountInString(query.Get("q")) > 200 {
		return w, invalid("q has at most 200 characters.")
	}
	if query.Has("venue") {
		venue := query.Get("venue")
		w.venue = &venue
	}
	for name, field := range map[string]**time.Time{"from": &w.from, "to": &w.to} {
		if query.Has(name) {
			given, err := time.Parse(time.RFC3339, query.Get(name))
			if err != nil {
				return w, invalid(name + " is a time such as 2027-05-01T19:30:00Z.")
			}
			*field = &given
		}
	}
	return w, nil
}

func (w searchWish) matches(e *event) bool {
	has := func(word string) bool { return slices.Contains(strings.Fields(e.Name+" "+e.Venue), word) }
	return (len(w.words) == 0 || slices.ContainsFunc(w.words, has)) &&
		(w.venue == nil || e.Venue == *w.venue) &&
		(w.from == nil || !e.StartsAt.Before(*w.from)) &&
		(w.to == nil || e.StartsAt.Before(*w.to))
}

func largestVenues(events []foundEvent) []venueCount {
	counts := map[string]int{}
	for _, e := range events {
		counts[e.Venue]++
	}
	venues := []venueCount{}
	for venue, count := range counts {
		venues = append(venues, venueCount{venue, count})
	}
	slices.SortFunc(venues, func(a, b venueCount) int { return b.Events - a.Events })
	return venues[:min(10, len(venues))]
}
