package main

// The live stream of a page. What it tells is read from page_history, above the version that was told last: so nothing
// is lost or told twice, whatever broke meanwhile. A change stream is only the bell that says when to look. A server
// has one, however many listeners there are, and none while nobody listens.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
)

const (
	versionsAtOnce = 100                    // are read from the history, and sent, before the next ones are read
	retryPause     = 250 * time.Millisecond // before MongoDB is asked again when it could not be reached
	bellWait       = time.Second            // of MongoDB, for something to ring for; must be less than documentPatience
)

var wholeNumber = regexp.MustCompile(`^[0-9]+$`)

func (o *office) pageLive(w http.ResponseWriter, r *http.Request) {
	page := r.PathValue("page")
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	last, begin, err := o.pageLiveFrom(ctx, page, r.Header.Values("Last-Event-ID"))
	cancel()
	if err != nil {
		refuse(w, r, asProblem(err))
		return
	}
	rings := o.bell.join(page)
	defer o.bell.leave(page, rings)
	frames := make(chan frame)
	go o.follow(r.Context(), page, last, rings, begin, frames)
	stream(w, r, frames)
}

// pageLiveFrom is the version above which a stream begins. Who names none is told which one that was: so a client that
// loses its connection before the first message can say where it was.
func (o *office) pageLiveFrom(ctx context.Context, page string, named []string) (last int64, begin frame, err error) {
	if len(named) > 0 {
		if len(named) > 1 || !wholeNumber.MatchString(named[0]) {
			return 0, "", invalid("Last-Event-ID is the number of a version.")
		}
		last, err = strconv.ParseInt(named[0], 10, 64)
		if err != nil {
			last = math.MaxInt64 // larger than any version can be
		}
		return last, "", o.pageMustExist(ctx, page)
	}
	if err = o.pageMustExist(ctx, page); err != nil {
		return 0, "", err
	}
	newest, err := o.settled(ctx, bson.M{"page": page}, -1, 1)
	if len(newest) > 0 { // else somebody else made the page, without a history
		last = newest[0].Version
	}
	return last, frame(fmt.Sprintf("id: %d\n\n", last)), err
}

// settled are versions in the history as they stay: what a primary has not yet shared with the others ("majority") may
// be undone by an election. MongoDB answers when that has got as far as to where the bell begins.
func (o *office) settled(ctx context.Context, filter bson.M, order int, limit int64) (found []told, err error) {
	how := options.Find().SetSort(bson.M{"version": order}).SetLimit(limit).
		SetProjection(bson.M{"version": 1, "title": 1})
	err = o.documents.Client().UseSession(ctx, func(ctx context.Context) error {
		if since := o.bell.begin(); since != nil {
			if err := mongo.SessionFromContext(ctx).AdvanceOperationTime(since); err != nil {
				return err
			}
		}
		history := options.Collection().SetReadConcern(readconcern.Majority())
		found, err = all[told](ctx, o.documents.Collection("page_history", history), filter, how)
		return err
	})
	return found, err
}

// frame is what is sent of one version.
type frame string

func (f frame) String() string { return string(f) }

type told struct {
	Version int64  `bson:"version" json:"version"`
	Title   string `bson:"title" json:"title"`
}

func (t told) frame() frame {
	data, _ := json.Marshal(t) // a number and a text are always JSON
	return frame(fmt.Sprintf("id: %d\nevent: version\ndata: %s\n\n", t.Version, data))
}

// follow sends begin and then each version above last, in order, for as long as the client is there. It looks at once
// (versions may have come before the bell knew of this listener), and whenever the bell has rung.
func (o *office) follow(
	ctx context.Context, page string, last int64, rings <-chan struct{}, begin frame, frames chan<- frame,
) {
	defer close(frames)
	next := []frame{begin}
	for {
		for _, f := range next {
			select {
			case frames <- f:
			case <-ctx.Done():
				return
			}
		}
		found, err := o.settled(ctx, bson.M{"page": page, "version": bson.M{"$gt": last}}, 1, versionsAtOnce)
		next = next[:0]
		for _, one := range found {
			next, last = append(next, one.frame()), one.Version
		}
		var again <-chan time.Time // never, unless there is a reason
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && refusedByMongo(err):
			log.Print("the history of a page: ", err)
			return
		case err != nil:
			again = time.After(retryPause)
		case len(found) > 0:
			continue // there may be more
		}
		select {
		case <-rings:
		case <-again:
		case <-ctx.Done():
			return
		}
	}
}

// --- the bell ---

type bell struct {
	documents *documents
	mutex     sync.Mutex
	listeners map[string]map[chan struct{}]bool // by page
	listening bool
	since     *bson.Timestamp // MongoDB's time: the bell rings for what has come since then
}

func newBell(d *documents) *bell {
	return &bell{documents: d, listeners: map[string]map[chan struct{}]bool{}}
}

// join gives a channel in which there is something when the page may have a new version.
func (b *bell) join(page string) chan struct{} {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.listeners[page] == nil {
		b.listeners[page] = map[chan struct{}]bool{}
	}
	rings := make(chan struct{}, 1) // whoever looks once sees all: ten rings are as good as one
	b.listeners[page][rings] = true
	if !b.listening {
		b.listening = true
		go b.listen()
	}
	return rings
}

func (b *bell) leave(page string, rings chan struct{}) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	delete(b.listeners[page], rings)
	if len(b.listeners[page]) == 0 {
		delete(b.listeners, page)
	}
}

// ring wakes the listeners of these pages, or all of them.
func (b *bell) ring(pages ...string) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if len(pages) == 0 {
		for page := range b.listeners {
			pages = append(pages, page)
		}
	}
	for _, page := range pages {
		for rings := range b.listeners[page] {
			select {
			case rings <- struct{}{}:
			default:
			}
		}
	}
}

// listen keeps a change stream open while somebody listens. The driver resumes one only if MongoDB is back at once;
// here a new one is opened until it is.
func (b *bell) listen() {
	for !b.mayRest() {
		if opened, err := b.hear(); opened && err != nil {
			log.Print("a change stream ended: ", err)
		}
		time.Sleep(retryPause)
	}
}

// mayRest says whether nobody listens any more: then the next one to join starts to listen anew.
func (b *bell) mayRest() bool {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.listening = len(b.listeners) > 0
	return !b.listening
}

func (b *bell) isHeard() bool {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return len(b.listeners) > 0
}

// begin is where the bell begins: the history must tell all that came up to then.
func (b *bell) begin() *bson.Timestamp {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.since
}

// hear rings for what comes into the history until the change stream breaks, or nobody listens any more.
func (b *bell) hear() (opened bool, err error) {
	// Nothing here is cancelled in its middle: what is open at MongoDB by then would stay so for minutes.
	ctx := context.Background()
	added := mongo.Pipeline{
		{{Key: "$match", Value: bson.M{"operationType": "insert"}}},
		{{Key: "$project", Value: bson.M{"fullDocument.page": 1}}},
	}
	now, err := b.documents.now(ctx)
	if err != nil {
		return false, err
	}
	how := options.ChangeStream().SetStartAtOperationTime(now).SetMaxAwaitTime(bellWait)
	changes, err := b.documents.Collection("page_history").Watch(ctx, added, how)
	if err != nil {
		return false, err
	}
	defer changes.Close(ctx)
	b.mutex.Lock()
	b.since = now
	b.mutex.Unlock()
	b.ring()
	for b.isHeard() {
		// Not Next: it waits until something comes, and so runs into the client's time limit when nothing does.
		if changes.TryNext(ctx) {
			if page, isText := changes.Current.Lookup("fullDocument", "page").StringValueOK(); isText {
				b.ring(page)
			}
		} else if changes.Err() != nil {
			return true, changes.Err()
		} else if changes.ID() == 0 {
			return true, errors.New("MongoDB has closed it") // as when somebody drops the collection
		}
	}
	return true, nil
}

// now is MongoDB's time.
func (d *documents) now(ctx context.Context) (now *bson.Timestamp, err error) {
	err = d.Client().UseSession(ctx, func(ctx context.Context) error {
		err := d.RunCommand(ctx, bson.D{{Key: "ping", Value: 1}}).Err()
		now = mongo.SessionFromContext(ctx).OperationTime()
		return err
	})
	return now, err
}
