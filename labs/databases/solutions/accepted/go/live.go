package main

// The live stream. A change is published in Redis, so the clients of every server hear of it. A server has one connection
// that listens, however many clients it has: the hub puts each change into the mailboxes of those who asked for the event.

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const channel = "changes"

// change is what happened to a seat.
type change struct {
	Event string
	Name  string
	Seat  int64
}

// announce tells the listeners at all servers, this one among them. A message that is lost is no reason to fail.
func announce(ctx context.Context, client redis.Cmdable, c change) {
	text, err := json.Marshal(c)
	if err == nil {
		err = client.Publish(ctx, channel, text).Err()
	}
	if err != nil {
		log.Print("nobody hears of a change: ", err)
	}
}

type hub struct {
	mutex     sync.Mutex
	mailboxes map[string]map[chan message]bool // by event
}

func newHub() *hub { return &hub{mailboxes: map[string]map[chan message]bool{}} }

// start returns when Redis has confirmed that we listen; if Redis is away, the client tries again by itself.
func (h *hub) start(ctx context.Context, client *redis.Client) {
	subscription := client.Subscribe(ctx, channel)
	if _, err := subscription.ReceiveTimeout(ctx, time.Second); err != nil {
		log.Print("not listening yet: ", err)
	}
	go h.listen(subscription.Channel())
}

// listen delivers what is published, for as long as the server runs.
func (h *hub) listen(all <-chan *redis.Message) {
	for published := range all {
		var c change
		if err := json.Unmarshal([]byte(published.Payload), &c); err != nil {
			log.Print("not a change: ", err)
			continue
		}
		h.deliver(c)
	}
}

func (h *hub) deliver(c change) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for mailbox := range h.mailboxes[c.Event] {
		select {
		case mailbox <- message{c.Name, c.Seat}:
		default: // a client that does not read is let go
			delete(h.mailboxes[c.Event], mailbox)
			close(mailbox)
		}
	}
}

func (h *hub) join(event string) chan message {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.mailboxes[event] == nil {
		h.mailboxes[event] = map[chan message]bool{}
	}
	mailbox := make(chan message, 100)
	h.mailboxes[event][mailbox] = true
	return mailbox
}

func (h *hub) leave(event string, mailbox chan message) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	delete(h.mailboxes[event], mailbox)
	if len(h.mailboxes[event]) == 0 {
		delete(h.mailboxes, event)
	}
}

func (o *office) live(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	err := o.mustExist(ctx, id)
	cancel()
	if err != nil {
		refuse(w, r, asProblem(err))
		return
	}
	mailbox := o.hub.join(id)
	defer o.hub.leave(id, mailbox)
	stream(w, r, mailbox)
}
