package main

// What clients say: ids, and the fields of a JSON object.

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

var counter = regexp.MustCompile(`^[1-9][0-9]{0,18}$`)

// idOf is the number that an id in the API stands for. Whatever is spelled otherwise is the id of nothing, and MySQL is
// not asked: it would take the text '7 or more' for the number 7.
func idOf(text string) (int64, bool) {
	id, err := strconv.ParseInt(text, 10, 64)
	return id, err == nil && counter.MatchString(text)
}

// fields is a request's JSON object. Its methods read a field; the first one that is wrong stays in err.
type fields struct {
	raw map[string]json.RawMessage // a map: the names count letter by letter, which they do not for a struct
	err error
}

func (r *request) fields() *fields {
	f := &fields{}
	if !utf8.Valid(r.body) || json.Unmarshal(r.body, &f.raw) != nil || f.raw == nil {
		f.err = invalid("The body is not a JSON object.")
	}
	return f
}

func (f *fields) has(name string) bool {
	_, found := f.raw[name]
	return found
}

func (f *fields) fail(message string, details ...any) {
	if f.err == nil {
		f.err = invalid(message, details...)
	}
}

// text has 1 to 200 characters.
func (f *fields) text(name string) string {
	value := f.anyText(name)
	if length := utf8.RuneCountInString(value); length < 1 || length > 200 {
		f.fail("%s is text of 1 to 200 characters.", name)
	}
	return value
}

// anyText may be empty, and as long as a body may be.
func (f *fields) anyText(name string) string {
	var value *string
	if json.Unmarshal(f.raw[name], &value) != nil || value == nil || strings.Contains(*value, "\x00") {
		f.fail("%s is text.", name)
		return ""
	}
	return *value
}

func (f *fields) number(name string, smallest, largest int64) int64 {
	var value *int64
	if json.Unmarshal(f.raw[name], &value) != nil || value == nil || *value < smallest || *value > largest {
		f.fail("%s is a whole number from %d to %d.", name, smallest, largest)
		return 0
	}
	return *value
}

// moment is cut to the microseconds that a DATETIME(6) has: MySQL would round, and the answer would be another time.
func (f *fields) moment(name string) time.Time {
	var value time.Time
	// UnmarshalText is as strict as RFC 3339; time.Parse takes a comma and hours of one digit, too.
	if err := value.UnmarshalText([]byte(f.anyText(name))); err != nil {
		f.fail("%s is a time such as 2027-05-01T19:30:00Z.", name)
	}
	value = value.UTC().Truncate(time.Microsecond)
	if value.Year() < 1000 || value.Year() > 9999 {
		f.fail("%s is a time of the years 1000 to 9999: a DATETIME holds no others.", name)
	}
	return value
}
