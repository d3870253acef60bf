package main

// The libraries for the stores. Naming them here makes the build fetch them now, so that you can work offline later.
// When another file imports one, delete its line.
import (
	_ "github.com/jackc/pgx/v5/pgxpool"      // https://pkg.go.dev/github.com/jackc/pgx/v5
	_ "github.com/redis/go-redis/v9"         // https://redis.io/docs/latest/develop/clients/go/
	_ "go.mongodb.org/mongo-driver/v2/mongo" // https://www.mongodb.com/docs/drivers/go/current/
)
