package main

// MySQL: how to reach it, its tables, its errors.

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"gorm.io/driver/mysql"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// settingsOf turns mysql://USER:PASSWORD@HOST:PORT/DATABASE into what go-sql-driver wants: its DSN is no URL.
func settingsOf(address string) (*driver.Config, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("it is not a URL") // the error itself would show the password
	}
	if parsed.Scheme != "mysql" || parsed.Host == "" {
		return nil, errors.New("it begins with mysql:// and names a host")
	}
	port := parsed.Port()
	if port == "" {
		port = "3306"
	}
	settings := driver.NewConfig()
	settings.User = parsed.User.Username()
	settings.Passwd, _ = parsed.User.Password()
	settings.Net, settings.Addr = "tcp", net.JoinHostPort(parsed.Hostname(), port)
	settings.DBName = strings.TrimPrefix(parsed.Path, "/")
	settings.ParseTime = true // DATETIME as time.Time, not as text
	settings.Loc = time.UTC
	settings.ClientFoundRows = true // an UPDATE that changes nothing has found its row all the same
	settings.Timeout = time.Second
	settings.Params = map[string]string{
		// The driver speaks utf8mb4, and compares without letter case; its own setting does not know this collation.
		"collation_connection": "'utf8mb4_0900_bin'",
		"time_zone": "'+00:00'", // a TIMESTAMP is read and written in the session's zone
		// Each statement sees what is committed when it begins. REPEATABLE READ would show the rows of the first look.
		"transaction_isolation": "'READ-COMMITTED'",
		// The default is 50 seconds; in whole seconds this is the shortest. MySQL does not notice that a client has
		// gone away while it waits for a lock: what we gave up would keep its own locks for so long.
		"innodb_lock_wait_timeout": "1",
		// A transaction whose connection fell silent is rolled back after so many seconds, not after eight hours.
		"wait_timeout": "10",
	}
	return settings, nil
}

// open makes the pool. A statement that gets no answer for the length of a request is given up: COMMIT has no context
// that could end it.
func open(settings *driver.Config, sessions int) (*gorm.DB, error) {
	settings = settings.Clone()
	settings.ReadTimeout, settings.WriteTimeout = patience, patience
	return connect(settings, sessions)
}

func connect(settings *driver.Config, sessions int) (*gorm.DB, error) {
	db, err := gorm.Open(mysql.New(mysql.Config{DSNConfig: settings}), &gorm.Config{
		SkipDefaultTransaction: true, // one statement is a transaction already
		Logger:                 logger.Discard,
	})
	if err != nil {
		return nil, err
	}
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(sessions)
	pool.SetMaxIdleConns(sessions)
	pool.SetConnMaxIdleTime(5 * time.Second) // less than wait_timeout
	return db, nil
}

// makeTables waits as long as it takes: somebody may hold a lock, or MySQL may not be there yet.
func makeTables(settings *driver.Config) error {
	const tries = 40
	for try := 1; ; try++ {
		err := migrate(settings)
		if err == nil || try == tries {
			return err
		}
		log.Printf("the tables are not made yet: %v", err)
		time.Sleep(500 * time.Millisecond)
	}
}

// migrate makes what is missing. In MySQL each CREATE TABLE commits by itself, and GORM looks first and creates then:
// so two processes that start at the same moment take turns, by a lock that belongs to the session.
// An ALTER TABLE would wait for every open transaction; of tables that are as they should be GORM alters nothing.
func migrate(settings *driver.Config) error {
	db, err := connect(settings, 1)
	if err != nil {
		return err
	}
	pool, err := db.DB()
	if err != nil {
		return err
	}
	defer pool.Close()
	return db.Connection(func(session *gorm.DB) error {
		var mine int
		const lock = "SELECT COALESCE(GET_LOCK(CONCAT('tables of ', DATABASE()), 30), 0)"
		if err := session.Raw(lock).Scan(&mine).Error; err != nil {
			return err
		}
		if mine != 1 {
			return errors.New("another process is making them")
		}
		return session.AutoMigrate(&Buyer{}, &Event{}, &Order{}, &Ticket{})
	})
}

// MySQL's error numbers: dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
const (
	duplicate   = 1062
	lockTimeout = 1205
	deadlock    = 1213
	stillNamed  = 1451 // a foreign key: the row is named by another one
)

// is says whether MySQL refused a statement with this number.
func is(err error, number uint16) bool {
	var refused *driver.MySQLError
	return errors.As(err, &refused) && refused.Number == number
}

// away says whether an error is about the connection, or a wait for somebody else, not about what we asked for.
func away(err error) bool {
	var refused *driver.MySQLError
	if !errors.As(err, &refused) {
		return reachError(err)
	}
	switch refused.Number {
	case 1040, 1203, 1226: // no session for us: too many
		return true
	case 1053, 1317, 1927, 3169, 4031: // MySQL is shutting down, or ended the statement or the session
		return true
	case lockTimeout, deadlock: // still, after the tries of again
		return true
	}
	return false
}

// again does a change once more when MySQL ended it for a deadlock. It has rolled back the whole transaction then, so
// change begins anew. A lost connection is no reason: nobody knows what has been done.
func (o *office) again(ctx context.Context, change func(db *gorm.DB) error) error {
	const tries = 8
	for try := 1; ; try++ {
		err := change(o.db.WithContext(ctx))
		if !is(err, deadlock) || try == tries {
			return err
		}
		// Those who waited for each other should not meet again.
		pause := time.Duration(rand.IntN(10*try)) * time.Millisecond
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("no time for another try: %w", ctx.Err())
		}
	}
}

// inTransaction is again, with all of change in one transaction. Any error rolls back: MySQL by itself would undo only
// the statement that failed.
func (o *office) inTransaction(ctx context.Context, change func(tx *gorm.DB) error) error {
	return o.again(ctx, func(db *gorm.DB) error { return db.Transaction(change) })
}
