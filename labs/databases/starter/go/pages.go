package main

// Pages and their reviews, in memory like the rest. Milestone by milestone they move to MongoDB.

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// --- pages: mongodb/pages, mongodb/validators, mongodb/history -----------------------------------------------------

// article is one version of a page.
type article struct {
	Page      string    `json:"page"`
	Kind      string    `json:"kind"`
	Title     string    `json:"title"`
	Details   any       `json:"details"` // as its kind asks
	Version   int       `json:"version"`
	ChangedAt time.Time `json:"changed_at"`
}

type concert struct {
	Acts []act `json:"acts"`
}

type act struct {
	Name    string `json:"name"`
	Minutes int64  `json:"minutes"`
}

type match struct {
	Home string `json:"home"`
	Away string `json:"away"`
}

type play struct {
	Roles []role `json:"roles"`
}

type role struct {
	Role  string `json:"role"`
	Actor string `json:"actor"`
}

var address = regexp.MustCompile(`^[a-z0-9-]{1,60}$`)

func (o *office) writePage(r *http.Request) (answer, error) {
	body := bodyOf(r)
	written := article{Page: r.PathValue("page"), Kind: body.anyText("kind"), Title: body.text("title")}
	if !address.MatchString(written.Page) {
		body.fail("A page's address is 1 to 60 of the letters a to z, digits and -.")
	}
	details := body.object("details")
	switch written.Kind {
	case "concert":
		acts := []act{}
		for _, one := range details.objects("acts") {
			acts = append(acts, act{one.textUpTo("name", 100), one.number("minutes", 1, 600)})
			details.take(one)
		}
		written.Details = concert{acts}
	case "match":
		written.Details = match{details.textUpTo("home", 100), details.textUpTo("away", 100)}
	case "play":
		roles := []role{}
		for _, one := range details.objects("roles") {
			roles = append(roles, role{one.textUpTo("role", 100), one.textUpTo("actor", 100)})
			details.take(one)
		}
		written.Details = play{roles}
	default:
		body.fail("kind is concert, match or play.")
	}
	body.take(details)
	if body.err != nil {
		return answer{}, body.err
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	kept := o.versions[written.Page]
	written.Version, written.ChangedAt = len(kept)+1, time.Now().UTC()
	o.versions[written.Page] = append(kept, written)
	o.tellReaders(written)
	if written.Version == 1 {
		return answer{status: 201, body: written}, nil
	}
	return answer{status: 200, body: written}, nil
}

// object is the field name, which has fields of its own. What is wrong with it must be taken over: see take.
func (b *body) object(name string) *body {
	inner := &body{}
	if json.Unmarshal(b.fields[name], &inner.fields) != nil || inner.fields == nil {
		inner.fail("%s is an object.", name)
	}
	return inner
}

// objects is the field name, a list of 1 to 50 of them.
func (b *body) objects(name string) []*body {
	var values []map[string]json.RawMessage
	if json.Unmarshal(b.fields[name], &values) != nil || len(values) < 1 || len(values) > 50 {
		b.fail("%s is a list of 1 to 50 objects.", name)
		return nil
	}
	inner := make([]*body, len(values))
	for i, fields := range values {
		inner[i] = &body{fields: fields}
	}
	return inner
}

// take makes what is wrong with a part wrong with the whole.
func (b *body) take(part *body) {
	if b.err == nil {
		b.err = part.err
	}
}

func (b *body) textUpTo(name string, longest int) string {
	value := b.anyText(name)
	if length := utf8.RuneCountInString(value); length < 1 || length > longest {
		b.fail("%s is text of 1 to %d characters.", name, longest)
	}
	return value
}

func (o *office) showPage(r *http.Request) (answer, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	kept := o.versions[r.PathValue("page")]
	if len(kept) == 0 {
		return answer{}, notFound("page")
	}
	return answer{status: 200, body: kept[len(kept)-1]}, nil
}

func (o *office) showHistory(r *http.Request) (answer, error) {
	limit, err := limitOf(r)
	if err != nil {
		return answer{}, err
	}
	before, err := pageStart(r, math.MaxInt)
	if err != nil {
		return answer{}, err
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	kept := o.versions[r.PathValue("page")]
	if len(kept) == 0 {
		return answer{}, notFound("page")
	}
	found := []article{}
	for _, a := range slices.Backward(kept) {
		if a.Version < before {
			found = append(found, a)
		}
	}
	return answer{status: 200, body: pageOf(found, limit, func(a article) string { return strconv.Itoa(a.Version) })}, nil
}

// --- each new version, live: mongodb/live ---------------------------------------------------------------------------

func (o *office) pageLive(w http.ResponseWriter, r *http.Request) {
	page := r.PathValue("page")
	mailbox, err := o.startReading(page, r.Header.Get("Last-Event-ID"))
	if err != nil {
		refuse(w, r, err)
		return
	}
	defer o.stopReading(page, mailbox)
	stream(w, r, mailbox)
}

// String is what a reader of the live stream gets of a version.
func (a article) String() string {
	data, _ := json.Marshal(map[string]any{"version": a.Version, "title": a.Title}) // never fails: a number and a text
	return fmt.Sprintf("id: %d\nevent: version\ndata: %s\n\n", a.Version, data)
}

// startReading gives a mailbox for the page's new versions. Those after the last one that the client has, if it says
// which one that is, are in it already.
func (o *office) startReading(page, last string) (chan article, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	kept := o.versions[page]
	if len(kept) == 0 {
		return nil, notFound("page")
	}
	missed := []article{}
	if n, err := strconv.ParseUint(last, 10, 31); err == nil {
		missed = kept[min(int(n), len(kept)):] // as many as that are not above it: the first version is 1
	}
	mailbox := make(chan article, len(missed)+100)
	for _, version := range missed {
		mailbox <- version
	}
	if o.readers[page] == nil {
		o.readers[page] = map[chan article]bool{}
	}
	o.readers[page][mailbox] = true
	return mailbox, nil
}

func (o *office) stopReading(page string, mailbox chan article) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	delete(o.readers[page], mailbox)
}

// tellReaders puts a version into the mailbox of each client that reads this page's stream, at this server.
func (o *office) tellReaders(version article) {
	for mailbox := range o.readers[version.Page] {
		select {
		case mailbox <- version:
		default: // a client that does not read is let go; when it comes back, it says how far it got
			delete(o.readers[version.Page], mailbox)
			close(mailbox)
		}
	}
}

// --- reviews: mongodb/reviews, mongodb/summary, mongodb/votes -------------------------------------------------------

type review struct {
	Review    string    `json:"review"`
	Page      string    `json:"page"`
	Author    string    `json:"author"`
	Stars     int64     `json:"stars"`
	Text      string    `json:"text"`
	Helpful   int       `json:"helpful"`
	CreatedAt time.Time `json:"created_at"`
	voters    map[string]bool
}

func (o *office) addReview(r *http.Request) (answer, error) {
	body := bodyOf(r)
	added := review{
		Page:   r.PathValue("page"),
		Author: body.textUpTo("author", 100),
		Stars:  body.number("stars", 1, 5),
		Text:   body.textUpTo("text", 2000),
		voters: map[string]bool{},
	}
	if body.err != nil {
		return answer{}, body.err
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if len(o.versions[added.Page]) == 0 {
		return answer{}, notFound("page")
	}
	if slices.ContainsFunc(o.reviews[added.Page], func(other *review) bool { return other.Author == added.Author }) {
		return answer{}, problem{409, "already_reviewed", "This author has reviewed this page already."}
	}
	added.Review, added.CreatedAt = o.newID(), time.Now().UTC()
	o.reviews[added.Page] = append(o.reviews[added.Page], &added)
	return answer{status: 201, body: added}, nil
}

func (o *office) listReviews(r *http.Request) (answer, error) {
	limit, err := limitOf(r)
	if err != nil {
		return answer{}, err
	}
	before, err := pageStart(r, math.MaxInt)
	if err != nil {
		return answer{}, err
	}
	stars, err := strconv.ParseInt(cmp.Or(r.URL.Query().Get("stars"), "0"), 10, 64)
	if filtered := r.URL.Query().Has("stars"); err != nil || filtered && (stars < 1 || stars > 5) {
		return answer{}, invalid("stars is a number from 1 to 5.")
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if len(o.versions[r.PathValue("page")]) == 0 {
		return answer{}, notFound("page")
	}
	found := []review{}
	for _, one := range slices.Backward(o.reviews[r.PathValue("page")]) {
		if number(one.Review) < before && (stars == 0 || one.Stars == stars) {
			found = append(found, *one)
		}
	}
	return answer{status: 200, body: pageOf(found, limit, func(one review) string { return one.Review })}, nil
}

func (o *office) summarize(r *http.Request) (answer, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if len(o.versions[r.PathValue("page")]) == 0 {
		return answer{}, notFound("page")
	}
	all := o.reviews[r.PathValue("page")]
	stars := map[int64]int{1: 0, 2: 0, 3: 0, 4: 0, 5: 0}
	sum := 0.0
	for _, one := range all {
		stars[one.Stars]++
		sum += float64(one.Stars)
	}
	summary := map[string]any{"count": len(all), "average": nil, "stars": stars}
	if len(all) > 0 {
		summary["average"] = sum / float64(len(all))
	}
	return answer{status: 200, body: summary}, nil
}

func (o *office) vote(r *http.Request) (answer, error) {
	body := bodyOf(r)
	voter := body.textUpTo("voter", 100)
	if body.err != nil {
		return answer{}, body.err
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for _, one := range o.reviews[r.PathValue("page")] {
		if one.Review == r.PathValue("review") {
			one.voters[voter] = true
			one.Helpful = len(one.voters)
			return answer{status: 200, body: map[string]int{"helpful": one.Helpful}}, nil
		}
	}
	return answer{}, notFound("review")
}
