package main

// MongoDB: documents of many shapes, what it refuses by itself, transactions, and what happens while it is gone.

import (
	"context"
	"errors"
	"hash/maphash"
	"log"
	"net/url"
	"os"
	"reflect"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const (
	documentPatience = 1500 * time.Millisecond // for one operation without a time limit of its request
	startPatience    = 10 * time.Second
	namespaceExists  = 48
)

// documents is the database of pages and reviews. It may be there only after a while: see ready.
type documents struct {
	*mongo.Database
	prepared chan bool         // its one value says whether the collections are made; whoever has it may make them
	turns    [64]chan struct{} // whoever put something into its page's channel may write the page
	seed     maphash.Seed
}

// openDocuments gives nil if nobody says where MongoDB is. Where it is away just now, the first request that finds it
// makes the collections.
func openDocuments(ctx context.Context) (*documents, error) {
	name, named := os.LookupEnv("MONGODB_URL")
	if !named {
		return nil, nil
	}
	address, err := url.Parse(name)
	if err != nil {
		return nil, err
	}
	settings := options.Client().ApplyURI(name).SetTimeout(documentPatience).
		SetConnectTimeout(time.Second).
		SetHeartbeatInterval(time.Second) // how soon the client notices that MongoDB is silent, or back
	client, err := mongo.Connect(settings)
	if err != nil {
		return nil, err
	}
	d := &documents{Database: client.Database(strings.Trim(address.Path, "/")), seed: maphash.MakeSeed()}
	d.prepared = make(chan bool, 1)
	d.prepared <- false
	for i := range d.turns {
		d.turns[i] = make(chan struct{}, 1)
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	if err := d.ready(ctx); err != nil {
		log.Print("MongoDB: ", err)
	}
	return d, nil
}

// ready makes the collections if that is still to be done, and fails if MongoDB cannot be reached for it.
func (d *documents) ready(ctx context.Context) error {
	if d == nil {
		return errors.New("MONGODB_URL does not say where MongoDB is")
	}
	select {
	case prepared := <-d.prepared:
		var err error
		if !prepared {
			err = d.prepare(ctx)
		}
		d.prepared <- err == nil
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// shapeOf is a whole page of a kind. The validator takes a document that has one of these shapes.
func shapeOf(kind string, details bson.M, required ...string) bson.M {
	return bson.M{"$jsonSchema": bson.M{
		"bsonType": "object",
		"required": bson.A{"kind", "title", "details", "version"},
		"properties": bson.M{
			"kind":    bson.M{"enum": bson.A{kind}},
			"title":   bson.M{"bsonType": "string"},
			"version": bson.M{"bsonType": bson.A{"int", "long"}},
			"details": bson.M{"bsonType": "object", "required": required, "properties": details},
		},
	}}
}

var (
	text = bson.M{"bsonType": "string"}
	list = bson.M{"bsonType": "array"}

	validators = map[string]bson.M{
		"pages": {"$or": bson.A{
			shapeOf("concert", bson.M{"acts": list}, "acts"),
			shapeOf("match", bson.M{"home": text, "away": text}, "home", "away"),
			shapeOf("play", bson.M{"roles": list}, "roles"),
		}},
		"page_history": {},
		// Types by name. A plain {author: {$type: "string"}} would let a list of strings in.
		"reviews": {"$expr": bson.M{"$and": bson.A{
			bson.M{"$eq": bson.A{bson.M{"$type": "$page"}, "string"}},
			bson.M{"$eq": bson.A{bson.M{"$type": "$author"}, "string"}},
			bson.M{"$eq": bson.A{bson.M{"$type": "$text"}, "string"}},
			bson.M{"$in": bson.A{bson.M{"$type": "$stars"}, bson.A{"int", "long"}}},
			bson.M{"$gte": bson.A{"$stars", 1}},
			bson.M{"$lte": bson.A{"$stars", 5}},
		}}},
	}

	newestFirst = bson.D{{Key: "created_at", Value: -1}, {Key: "_id", Value: -1}}

	indexes = map[string][]mongo.IndexModel{
		"page_history": {unique("page", "version")},
		"reviews": {
			unique("page", "author"),
			{Keys: append(bson.D{{Key: "page", Value: 1}}, newestFirst...)},
			{Keys: append(bson.D{{Key: "page", Value: 1}, {Key: "stars", Value: 1}}, newestFirst...)},
		},
	}
)

func unique(first, second string) mongo.IndexModel {
	return mongo.IndexModel{
		Keys:    bson.D{{Key: first, Value: 1}, {Key: second, Value: 1}},
		Options: options.Index().SetUnique(true),
	}
}

func (d *documents) prepare(ctx context.Context) error {
	there, err := d.ListCollectionSpecifications(ctx, bson.M{})
	if err != nil {
		return err
	}
	found := map[string]bson.Raw{}
	for _, collection := range there {
		found[collection.Name] = collection.Options
	}
	for name, validator := range validators {
		if err := d.makeCollection(ctx, name, validator, found); err != nil {
			return err
		}
	}
	for name, models := range indexes {
		if _, err := d.Collection(name).Indexes().CreateMany(ctx, models); err != nil {
			return err
		}
	}
	return nil
}

// makeCollection leaves a collection alone that is there with this validator: to change it would wait for who uses it.
func (d *documents) makeCollection(
	ctx context.Context, name string, validator bson.M, there map[string]bson.Raw,
) error {
	if _, exists := there[name]; !exists {
		err := d.CreateCollection(ctx, name, options.CreateCollection().SetValidator(validator))
		var refused mongo.CommandError
		if errors.As(err, &refused) && refused.Code == namespaceExists {
			return nil // another server starts, too, and was quicker
		}
		return err
	}
	if same(validator, there[name].Lookup("validator")) {
		return nil
	}
	return d.RunCommand(ctx, bson.D{{Key: "collMod", Value: name}, {Key: "validator", Value: validator}}).Err()
}

func same(validator bson.M, there bson.RawValue) bool {
	if there.IsZero() {
		return len(validator) == 0
	}
	content, err := bson.Marshal(validator)
	var wanted, found map[string]any
	return err == nil && bson.Unmarshal(content, &wanted) == nil && there.Unmarshal(&found) == nil &&
		reflect.DeepEqual(wanted, found)
}

// transactionally does the work in a transaction, and all of it again if it met another one.
//
// Who writes the same page waits for a turn. That only saves trips: in MongoDB all but one would have to try again.
// The work runs apart from its request, which is answered in time also if MongoDB falls silent: the transaction then
// ends later.
func transactionally[T any](
	ctx context.Context, d *documents, page string, work func(context.Context) (T, error),
) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	var none T
	turn := d.turns[maphash.String(d.seed, page)%uint64(len(d.turns))]
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	session, err := d.Client().StartSession()
	if err != nil {
		<-turn
		return none, err
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		for {
			_, o.err = session.WithTransaction(ctx, func(ctx context.Context) (_ any, err error) {
				o.value, err = work(ctx)
				return nil, err
			})
			if !mongo.IsDuplicateKeyError(o.err) || ctx.Err() != nil {
				break // else somebody made this version while we did
			}
		}
		<-turn
		done <- o
		if o.err != nil {
			d.kill(session)
		}
		session.EndSession(context.Background())
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// kill ends a transaction that may still be open. MongoDB would keep its page locked for a minute.
func (d *documents) kill(session *mongo.Session) {
	command := bson.D{{Key: "killSessions", Value: bson.A{session.ID()}}}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), documentPatience/2)
		err := d.Client().Database("admin").RunCommand(ctx, command).Err()
		cancel()
		if err == nil || refusedByMongo(err) {
			return
		}
	}
}

// refusedByMongo says whether MongoDB answered, and meant what it said: neither that it is no primary at the moment,
// nor that the time is over.
func refusedByMongo(err error) bool {
	var refused mongo.ServerError
	return errors.As(err, &refused) && !mongo.IsNetworkError(err) && !mongo.IsTimeout(err) &&
		!refused.HasErrorLabel("RetryableWriteError") && !refused.HasErrorLabel("TransientTransactionError")
}

// isUp asks MongoDB. While it waits, others can be asked: the answer comes through the channel, or none if there is no
// MongoDB.
func (d *documents) isUp(ctx context.Context) <-chan bool {
	up := make(chan bool, 1)
	if d == nil {
		close(up)
		return up
	}
	go func() { up <- d.Client().Ping(ctx, nil) == nil }()
	return up
}
