package main

// The tables of storage.md, as GORM makes them.

import "time"

type Buyer struct {
	ID           int64  `json:"id,string" gorm:"primaryKey"`
	Name         string `json:"name" gorm:"type:text;not null"`
	BalanceCents int64  `json:"balance_cents" gorm:"not null;check:balance_not_negative,balance_cents >= 0"`
}

// Event: the database compares without letter case and accents unless a column says otherwise, and of the two
// collations that compare letter by letter, only utf8mb4_0900_bin counts the spaces at the end.
type Event struct {
	ID         int64     `json:"id,string" gorm:"primaryKey"`
	Name       string    `json:"name" gorm:"type:text;not null"`
	Venue      string    `json:"venue" gorm:"type:varchar(200) COLLATE utf8mb4_0900_bin;not null;uniqueIndex:slot"`
	StartsAt   time.Time `json:"starts_at" gorm:"type:datetime(6);not null;uniqueIndex:slot"`
	Seats      int32     `json:"seats" gorm:"not null"`
	PriceCents int64     `json:"price_cents" gorm:"not null"`
}

// Order keeps the Idempotency-Key that it was bought with beside it: where the row goes, its key goes, too.
// A TIMESTAMP is the moment in UTC, whatever time zone the session that inserts has.
type Order struct {
	ID         int64     `gorm:"primaryKey"`
	EventID    int64     `gorm:"not null"`
	Event      Event     `gorm:"constraint:OnDelete:RESTRICT"`
	BuyerID    int64     `gorm:"not null;index:of_buyer,priority:1"`
	Buyer      Buyer     `gorm:"constraint:OnDelete:RESTRICT"`
	Seat       int32     `gorm:"not null"`
	PriceCents int64     `gorm:"not null"`
	CreatedAt  time.Time `gorm:"type:timestamp(6);not null;default:CURRENT_TIMESTAMP(6);index:of_buyer,priority:2"`
	RequestKey []byte    `gorm:"type:varbinary(100);uniqueIndex"` // bytes: each character counts
	Request    []byte    `gorm:"type:binary(32)"`                 // what was asked, as its SHA-256
}

type Ticket struct {
	ID      int64 `gorm:"primaryKey"`
	OrderID int64 `gorm:"not null;uniqueIndex:one_for_an_order"`
	Order   Order `gorm:"constraint:OnDelete:RESTRICT"`
	EventID int64 `gorm:"not null;uniqueIndex:one_for_a_seat"`
	Event   Event `gorm:"constraint:OnDelete:RESTRICT"`
	Seat    int32 `gorm:"not null;uniqueIndex:one_for_a_seat"`
}
