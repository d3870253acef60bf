package main

// Views: counted by Redis itself, so that no two servers and no two requests ever overwrite each other's count.

import (
	"context"
	"errors"
	"log"
	"net/http"

	"github.com/redis/go-redis/v9"
)

func (o *office) mustExist(ctx context.Context, event string) error {
	var exists bool
	err := o.db.QueryRow(ctx, "SELECT EXISTS (SELECT FROM events WHERE id = $1)", idOf(event)).Scan(&exists)
	if err == nil && !exists {
		return notFound("event")
	}
	return err
}

func (o *office) addView(r *http.Request) (answer, error) {
	ctx, id := r.Context(), r.PathValue("id")
	if err := o.mustExist(ctx, id); err != nil {
		return answer{}, err
	}
	_, err := o.redis.TxPipelined(ctx, func(both redis.Pipeliner) error {
		both.Incr(ctx, "views:"+id)
		both.ZIncrBy(ctx, "trending", 1, id)
		return nil
	})
	return answer{status: 204}, err
}

func (o *office) showViews(r *http.Request) (answer, error) {
	ctx, id := r.Context(), r.PathValue("id")
	if err := o.mustExist(ctx, id); err != nil {
		return answer{}, err
	}
	views, err := o.redis.Get(ctx, "views:"+id).Int64()
	if errors.Is(err, redis.Nil) {
		err = nil // nobody has looked yet
	}
	return answer{status: 200, body: map[string]int64{"views": views}}, err
}

func (o *office) trending(r *http.Request) (answer, error) {
	type item struct {
		Event any   `json:"event"`
		Views int64 `json:"views"`
	}
	limit, err := limitOf(r)
	if err != nil {
		return answer{}, err
	}
	best, err := o.redis.ZRevRangeWithScores(r.Context(), "trending", 0, int64(limit-1)).Result()
	items := make([]item, len(best))
	for i, member := range best {
		items[i] = item{member.Member, int64(member.Score)}
	}
	return answer{status: 200, body: map[string]any{"items": items}}, err
}

// forgetViews is for an event that is deleted: nobody should see it in the list any more.
func (o *office) forgetViews(event string) {
	ctx := context.Background()
	_, err := o.redis.TxPipelined(ctx, func(both redis.Pipeliner) error {
		both.Del(ctx, "views:"+event)
		both.ZRem(ctx, "trending", event)
		return nil
	})
	if err != nil {
		log.Print("the views of a deleted event stay: ", err)
	}
}
