package main

// Redis: a copy of each event that is read, under three keys that end by themselves.
//
//	page:ADDRESS     the entry: JSON, null where there is no such event
//	asking:ADDRESS   the token of who asks PostgreSQL; only it may make the entry
//	changing:ADDRESS the token of who changes the event; while it is there nobody makes an entry

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log"
	"math/big"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	asking    = 1500 * time.Millisecond // after which a reader that was killed is forgotten
	changing  = 5 * time.Second         // and a writer
	patience  = 3 * time.Second         // for which a reader waits for another one
	lookEvery = 20 * time.Millisecond
)

// Each is one step: nobody comes in between. KEYS: page, asking, changing.
var (
	look = redis.NewScript(`
		local page = redis.call('GET', KEYS[1])
		if page then return {'page', page} end
		if redis.call('EXISTS', KEYS[3]) == 1 then return {'ask', ''} end
		if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {'fill', ''} end
		return {'wait', ''}`)
	fill = redis.NewScript(`
		if redis.call('GET', KEYS[2]) == ARGV[1] then
			redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
			redis.call('DEL', KEYS[2])
		end
		return 0`)
	begin = redis.NewScript(`
		redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
		redis.call('DEL', KEYS[1], KEYS[2])
		return 0`)
	end = redis.NewScript(`
		redis.call('DEL', KEYS[1], KEYS[2])
		if redis.call('GET', KEYS[3]) == ARGV[1] then redis.call('DEL', KEYS[3]) end
		return 0`)
)

type cache struct{ client *redis.Client }

func openCache(url string) (cache, error) {
	settings, err := redis.ParseURL(url)
	if err != nil {
		return cache{}, err
	}
	settings.DialTimeout, settings.ReadTimeout, settings.WriteTimeout = 700*time.Millisecond, 700*time.Millisecond, 700*time.Millisecond
	settings.PoolSize, settings.PoolTimeout = 50, 2*time.Second
	settings.MaxRetries, settings.DialerRetries = -1, 1 // without Redis PostgreSQL is asked, at once
	return cache{redis.NewClient(settings)}, nil
}

func keys(address string) []string {
	return []string{"page:" + address, "asking:" + address, "changing:" + address}
}

// read is the event as Redis has it, or as ask finds it; then Redis has it from then on.
func (c cache) read(
	ctx context.Context, address string, ask func(context.Context, string) (*event, error),
) (*event, error) {
	token := newToken()
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(lookEvery) {
		found, err := look.Run(ctx, c.client, keys(address), token, asking.Milliseconds()).StringSlice()
		if err != nil {
			log.Print(err)
			break
		}
		switch found[0] {
		case "page":
			var e *event
			return e, json.Unmarshal([]byte(found[1]), &e)
		case "ask":
			return ask(ctx, address)
		case "fill":
			// The others wait for this answer, so it is looked for also when its own client has gone.
			return c.fill(context.WithoutCancel(ctx), address, token, ask)
		}
	}
	return ask(ctx, address)
}

func (c cache) fill(
	ctx context.Context, address, token string, ask func(context.Context, string) (*event, error),
) (*event, error) {
	e, err := ask(ctx, address)
	if err != nil {
		return nil, err
	}
	page, _ := json.Marshal(e)
	life := between(31_000, 57_000)
	if e == nil {
		life = between(5_000, 9_000)
	}
	if err := fill.Run(ctx, c.client, keys(address), token, page, life).Err(); err != nil {
		log.Print(err)
	}
	return e, nil
}

// begin is called before the COMMIT, with the row locked: what is being read now becomes no entry.
func (c cache) begin(ctx context.Context, address, token string) error {
	return begin.Run(ctx, c.client, keys(address), token, changing.Milliseconds()).Err()
}

// end is called after the COMMIT. If Redis does not hear it, the key ends by itself.
func (c cache) end(ctx context.Context, address, token string) {
	if err := end.Run(ctx, c.client, keys(address), token).Err(); err != nil {
		log.Print(err)
	}
}

func (c cache) ping(ctx context.Context) error { return c.client.Ping(ctx).Err() }

func newToken() string { return rand.Text() }

// between is drawn anew for each entry: what is made together must not end together.
func between(low, high int64) int64 {
	n, _ := rand.Int(rand.Reader, big.NewInt(high-low))
	return low + n.Int64()
}
