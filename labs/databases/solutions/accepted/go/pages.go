package main

// Pages: each kind with details of its own, each version kept, a page and its history never apart.

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

var address = regexp.MustCompile(`^[a-z0-9-]{1,60}$`)

// article is a page of the shop; in MongoDB its address is its id.
type article struct {
	Page    string `bson:"_id" json:"page"`
	Content `bson:",inline"`
}

// Content is what a page has in one of its versions. The capital letter is for BSON, which looks only into such types.
type Content struct {
	Kind      string    `bson:"kind" json:"kind"`
	Title     string    `bson:"title" json:"title"`
	Details   details   `bson:"details" json:"details"`
	Version   int64     `bson:"version" json:"version"`
	ChangedAt time.Time `bson:"changed_at" json:"changed_at"`
}

// entry is a version in the history.
type entry struct {
	Page    string `bson:"page" json:"page"`
	Content `bson:",inline"`
}

// details has the fields of its kind only; the others stay out of MongoDB and out of answers.
type details struct {
	Acts  []act  `bson:"acts,omitempty" json:"acts,omitempty"`
	Home  string `bson:"home,omitempty" json:"home,omitempty"`
	Away  string `bson:"away,omitempty" json:"away,omitempty"`
	Roles []role `bson:"roles,omitempty" json:"roles,omitempty"`
}

type act struct {
	Name    string `bson:"name" json:"name"`
	Minutes int64  `bson:"minutes" json:"minutes"`
}

type role struct {
	Role  string `bson:"role" json:"role"`
	Actor string `bson:"actor" json:"actor"`
}

func (o *office) writePage(r *http.Request) (answer, error) {
	ctx, page := r.Context(), r.PathValue("page")
	if !address.MatchString(page) {
		return answer{}, invalid("A page's address is 1 to 60 of the letters a to z, digits and -.")
	}
	wanted, err := contentOf(bodyOf(r))
	if err == nil {
		err = o.documents.ready(ctx)
	}
	if err != nil {
		return answer{}, err
	}
	return transactionally(ctx, o.documents, page, func(ctx context.Context) (answer, error) {
		before, newest, err := o.versionsOf(ctx, page)
		if err != nil {
			return answer{}, err
		}
		// Where somebody deleted a page and left its history, the versions in there stay what they are.
		written := wanted
		written.Version = max(before, newest) + 1
		written.ChangedAt = time.Now().UTC().Truncate(time.Millisecond) // as exact as MongoDB keeps it
		// First the history: of two who make the same version at once, one is refused here.
		if _, err := o.documents.Collection("page_history").InsertOne(ctx, entry{page, written}); err != nil {
			return answer{}, err
		}
		a := article{page, written}
		_, err = o.documents.Collection("pages").ReplaceOne(ctx, bson.M{"_id": page}, a, options.Replace().SetUpsert(true))
		status := 200
		if before == 0 {
			status = 201
		}
		return answer{status: status, body: a}, err
	})
}

// versionsOf is the version that the page has now, and the newest one in its history; 0 where there is none.
func (o *office) versionsOf(ctx context.Context, page string) (now, newest int64, err error) {
	var found struct{ Version int64 }
	err = o.documents.Collection("pages").FindOne(ctx, bson.M{"_id": page}).Decode(&found)
	if err != nil && !errors.Is(err, mongo.ErrNoDocuments) {
		return 0, 0, err
	}
	now, found.Version = found.Version, 0
	last := options.FindOne().SetSort(bson.M{"version": -1})
	err = o.documents.Collection("page_history").FindOne(ctx, bson.M{"page": page}, last).Decode(&found)
	if errors.Is(err, mongo.ErrNoDocuments) {
		err = nil
	}
	return now, found.Version, err
}

func (o *office) showPage(r *http.Request) (answer, error) {
	ctx := r.Context()
	if err := o.documents.ready(ctx); err != nil {
		return answer{}, err
	}
	var a article
	err := o.documents.Collection("pages").FindOne(ctx, bson.M{"_id": r.PathValue("page")}).Decode(&a)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return answer{}, notFound("page")
	}
	return answer{status: 200, body: a}, err
}

func (o *office) showHistory(r *http.Request) (answer, error) {
	ctx, page := r.Context(), r.PathValue("page")
	limit, err := limitOf(r)
	if err != nil {
		return answer{}, err
	}
	older := bson.M{"page": page}
	if r.URL.Query().Has("after") {
		after, err := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
		if err != nil {
			return answer{}, invalid("after is what the page before gave as next.")
		}
		older["version"] = bson.M{"$lt": after}
	}
	if err := o.pageMustExist(ctx, page); err != nil {
		return answer{}, err
	}
	newest := options.Find().SetSort(bson.M{"version": -1}).SetLimit(int64(limit + 1))
	found, err := all[entry](ctx, o.documents.Collection("page_history"), older, newest)
	last := func(e entry) string { return strconv.FormatInt(e.Version, 10) }
	return answer{status: 200, body: pageOf(found, limit, last)}, err
}

func (o *office) pageMustExist(ctx context.Context, page string) error {
	if err := o.documents.ready(ctx); err != nil {
		return err
	}
	only := options.FindOne().SetProjection(bson.M{"_id": 1})
	err := o.documents.Collection("pages").FindOne(ctx, bson.M{"_id": page}, only).Err()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return notFound("page")
	}
	return err
}

// all documents that a find gives.
func all[T any](
	ctx context.Context, in *mongo.Collection, filter any, how options.Lister[options.FindOptions],
) ([]T, error) {
	cursor, err := in.Find(ctx, filter, how)
	if err != nil {
		return nil, err
	}
	var found []T
	return found, cursor.All(ctx, &found)
}

// --- what a client wrote ---

// contentOf reads the body of a PUT.
func contentOf(body *body) (Content, error) {
	v := Content{Kind: body.anyText("kind"), Title: body.text("title")}
	d := body.object("details")
	switch v.Kind {
	case "concert":
		for _, one := range d.objects("acts") {
			v.Details.Acts = append(v.Details.Acts, act{one.textUpTo("name", 100), one.number("minutes", 1, 600)})
			d.take(one)
		}
	case "match":
		v.Details.Home, v.Details.Away = d.textUpTo("home", 100), d.textUpTo("away", 100)
	case "play":
		for _, one := range d.objects("roles") {
			v.Details.Roles = append(v.Details.Roles, role{one.textUpTo("role", 100), one.textUpTo("actor", 100)})
			d.take(one)
		}
	default:
		body.fail("kind is concert, match or play.")
	}
	body.take(d)
	return v, body.err
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
