package main

// Reviews of pages, in pages by time; how many stars they give; who found them helpful.

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

type review struct {
	ID        bson.ObjectID `bson:"_id" json:"review"`
	Page      string        `bson:"page" json:"page"`
	Author    string        `bson:"author" json:"author"`
	Stars     int64         `bson:"stars" json:"stars"`
	Text      string        `bson:"text" json:"text"`
	CreatedAt time.Time     `bson:"created_at" json:"created_at"`
	Voters    []string      `bson:"voters" json:"-"`
	Helpful   int64         `bson:"helpful" json:"helpful"`
}

func (o *office) addReview(r *http.Request) (answer, error) {
	ctx, body := r.Context(), bodyOf(r)
	added := review{
		ID:        bson.NewObjectID(),
		Page:      r.PathValue("page"),
		Author:    body.textUpTo("author", 100),
		Stars:     body.number("stars", 1, 5),
		Text:      body.textUpTo("text", 2000),
		CreatedAt: time.Now().UTC().Truncate(time.Millisecond), // as exact as MongoDB keeps it
		Voters:    []string{},
	}
	if body.err != nil {
		return answer{}, body.err
	}
	if err := o.pageMustExist(ctx, added.Page); err != nil {
		return answer{}, err
	}
	_, err := o.documents.Collection("reviews").InsertOne(ctx, added)
	if mongo.IsDuplicateKeyError(err) {
		return answer{}, problem{409, "already_reviewed", "This author has reviewed this page already."}
	}
	return answer{status: 201, body: added}, err
}

func (o *office) listReviews(r *http.Request) (answer, error) {
	ctx, query := r.Context(), r.URL.Query()
	limit, err := limitOf(r)
	if err != nil {
		return answer{}, err
	}
	wanted, order := bson.D{{Key: "page", Value: r.PathValue("page")}}, newestFirst
	if query.Has("stars") {
		stars, err := strconv.Atoi(query.Get("stars"))
		if err != nil || stars < 1 || stars > 5 {
			return answer{}, invalid("stars is a number from 1 to 5.")
		}
		// Sorted by the stars, too, though they are all the same: so no index but the one that has them is in order.
		wanted = append(wanted, bson.E{Key: "stars", Value: stars})
		order = append(bson.D{{Key: "stars", Value: 1}}, newestFirst...)
	}
	parts := []bson.D{wanted}
	if query.Has("after") {
		at, id, err := placeOf(query.Get("after"))
		if err != nil {
			return answer{}, err
		}
		// First the rest of that moment, then what is older. Each is one piece of the index.
		parts = []bson.D{
			with(wanted, bson.E{Key: "created_at", Value: at}, bson.E{Key: "_id", Value: bson.M{"$lt": id}}),
			with(wanted, bson.E{Key: "created_at", Value: bson.M{"$lt": at}}),
		}
	}
	if err := o.pageMustExist(ctx, r.PathValue("page")); err != nil {
		return answer{}, err
	}
	var found []review
	for _, part := range parts {
		if missing := limit + 1 - len(found); missing > 0 {
			sorted := options.Find().SetSort(order).SetLimit(int64(missing)).SetProjection(bson.M{"voters": 0})
			more, err := all[review](ctx, o.documents.Collection("reviews"), part, sorted)
			if err != nil {
				return answer{}, err
			}
			found = append(found, more...)
		}
	}
	return answer{status: 200, body: pageOf(found, limit, placeName)}, nil
}

func with(filter bson.D, more ...bson.E) bson.D {
	return append(append(bson.D{}, filter...), more...)
}

// placeName is the place of a review in the list, by its time and id: it stays the same also if the review is deleted.
func placeName(r review) string {
	return fmt.Sprintf("%d.%s", r.CreatedAt.UnixMilli(), r.ID.Hex())
}

func placeOf(after string) (time.Time, bson.ObjectID, error) {
	milliseconds, digits, _ := strings.Cut(after, ".")
	at, err := strconv.ParseInt(milliseconds, 10, 64)
	id, alsoErr := bson.ObjectIDFromHex(digits)
	if err != nil || alsoErr != nil {
		return time.Time{}, id, invalid("after is what the page before gave as next.")
	}
	return time.UnixMilli(at), id, nil
}

func (o *office) summarize(r *http.Request) (answer, error) {
	ctx, page := r.Context(), r.PathValue("page")
	if err := o.pageMustExist(ctx, page); err != nil {
		return answer{}, err
	}
	// All reviews become one document, in MongoDB.
	group := bson.M{"_id": nil, "count": bson.M{"$sum": 1}, "average": bson.M{"$avg": "$stars"}}
	for stars := 1; stars <= 5; stars++ {
		one := bson.M{"$cond": bson.A{bson.M{"$eq": bson.A{"$stars", stars}}, 1, 0}}
		group[fmt.Sprint("stars", stars)] = bson.M{"$sum": one}
	}
	pipeline := bson.A{bson.M{"$match": bson.M{"page": page}}, bson.M{"$group": group}}
	cursor, err := o.documents.Collection("reviews").Aggregate(ctx, pipeline)
	if err != nil {
		return answer{}, err
	}
	var s struct {
		Count                                  int64
		Average                                *float64
		Stars1, Stars2, Stars3, Stars4, Stars5 int64
	}
	defer cursor.Close(ctx)
	if cursor.Next(ctx) { // without reviews there is no document
		err = cursor.Decode(&s)
	}
	if err = errors.Join(err, cursor.Err()); err != nil {
		return answer{}, err
	}
	stars := map[string]int64{"1": s.Stars1, "2": s.Stars2, "3": s.Stars3, "4": s.Stars4, "5": s.Stars5}
	return answer{status: 200, body: map[string]any{"count": s.Count, "average": s.Average, "stars": stars}}, nil
}

func (o *office) vote(r *http.Request) (answer, error) {
	ctx, body := r.Context(), bodyOf(r)
	voter := body.textUpTo("voter", 100)
	if body.err != nil {
		return answer{}, body.err
	}
	if err := o.pageMustExist(ctx, r.PathValue("page")); err != nil {
		return answer{}, err
	}
	id, err := bson.ObjectIDFromHex(r.PathValue("review"))
	if err != nil {
		return answer{}, notFound("review")
	}
	// One step, inside MongoDB: the set with this voter in it, and its size. Who is in it already changes nothing.
	more := bson.M{"$setUnion": bson.A{"$voters", bson.A{bson.M{"$literal": voter}}}}
	step := bson.A{bson.M{"$set": bson.M{"voters": more}}, bson.M{"$set": bson.M{"helpful": bson.M{"$size": "$voters"}}}}
	filter := bson.M{"_id": id, "page": r.PathValue("page")}
	var found review
	err = o.documents.Collection("reviews").FindOneAndUpdate(
		ctx, filter, step, options.FindOneAndUpdate().SetReturnDocument(options.After),
	).Decode(&found)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return answer{}, notFound("review")
	}
	return answer{status: 200, body: map[string]int64{"helpful": found.Helpful}}, err
}
