package main

// Elasticsearch over plain HTTP, with calls that OpenSearch has as well.

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	alias       = "events"        // what is searched, and what changes are written to
	elasticWait = 7 * time.Second // for one request; the first index of all, and a busy machine, take seconds
	liveWait    = 3 * time.Second // for one that others wait behind
	batch       = 500             // documents in one request
	conflict    = 409             // of a write: the index has this version of the document already, or a newer one
	badDocument = 400
	noSuchIndex = 404
	newDocument = `{"index":{"_id":%q,"version":%d,"version_type":"external"}}` + "\n%s\n"
	noDocument  = `{"delete":{"_id":%q,"version":%d,"version_type":"external"}}` + "\n"
)

// The fields of the contract, each with more ways to look at it: `stems` are the words without their English endings,
// `long` are those of five letters or more, in which a typo is forgiven, `whole` is the venue letter by letter.
//
//go:embed index.json
var indexSettings string

type elastic struct {
	url    string
	client *http.Client
}

func newElastic(url string) *elastic {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.MaxIdleConnsPerHost = 16
	return &elastic{strings.TrimRight(url, "/"), &http.Client{Transport: transport}}
}

// refusal is an answer of Elasticsearch that is an error.
type refusal struct {
	status int
	reason string
}

func (r refusal) Error() string { return fmt.Sprintf("Elasticsearch said %d: %s", r.status, r.reason) }

// isMistake says whether the request was wrong; else Elasticsearch, or its index, is not there at the moment.
func (r refusal) isMistake() bool { return r.status < 500 && r.status != 404 && r.status != 429 }

// call sends a request and reads the answer into result, where there is one. A body is JSON as text, or made into it.
func (e *elastic) call(ctx context.Context, method, path string, body, result any) error {
	ctx, cancel := context.WithTimeout(ctx, elasticWait)
	defer cancel()
	content, isText := body.(string)
	if !isText && body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = string(encoded)
	}
	status, answer, err := e.send(ctx, method, path, content)
	if reads := method == "GET" || strings.Contains(path, "/_search"); err != nil && reads && ctx.Err() == nil {
		// A connection from before a restart of Elasticsearch, maybe.
		status, answer, err = e.send(ctx, method, path, content)
	}
	if err != nil {
		return err
	}
	if status >= 300 {
		return refusal{status, string(answer[:min(len(answer), 200)])}
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer, result)
}

func (e *elastic) send(ctx context.Context, method, path, content string) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, e.url+path, strings.NewReader(content))
	if err != nil {
		return 0, nil, err
	}
	if content != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := e.client.Do(request)
	if err != nil {
		e.client.CloseIdleConnections() // the others may be as dead
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		e.client.CloseIdleConnections()
	}
	return response.StatusCode, answer, err
}

func (e *elastic) ping(ctx context.Context) error { return e.call(ctx, "GET", "/", nil, nil) }

// indices that a name stands for: an index for itself, an alias for its own, a pattern for all that fit.
func (e *elastic) indices(ctx context.Context, name string) ([]string, error) {
	var found map[string]any
	err := e.call(ctx, "GET", "/"+name+"/_alias", nil, &found)
	if is(err, noSuchIndex) {
		return nil, nil
	}
	names := make([]string, 0, len(found))
	for name := range found {
		names = append(names, name)
	}
	return names, err
}

func (e *elastic) remove(ctx context.Context, index string) error {
	err := e.call(ctx, "DELETE", "/"+url.PathEscape(index), nil, nil)
	if is(err, noSuchIndex) {
		return nil
	}
	return err
}

// change is what the search needs to know of an event: as it is, or that it is gone.
type change struct {
	ID       string    `json:"event"`
	Name     string    `json:"name"`
	Venue    string    `json:"venue"`
	StartsAt time.Time `json:"starts_at"`
	Version  int64     `json:"-"`
	Gone     bool      `json:"-"`
}

// write brings changes into an index, or into the one that the alias stands for. Elasticsearch compares the versions,
// so what comes late, or twice, or from two servers at once, never takes the place of something newer.
func (e *elastic) write(ctx context.Context, target string, changes []change) error {
	options := ""
	if target == alias {
		options = "?refresh=true&require_alias=true" // found from now on; and no index is made up if there is none
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, liveWait)
		defer cancel()
	}
	var lines bytes.Buffer
	for _, c := range changes {
		if c.Gone {
			fmt.Fprintf(&lines, noDocument, c.ID, c.Version)
			continue
		}
		document, err := json.Marshal(c)
		if err != nil {
			return err
		}
		fmt.Fprintf(&lines, newDocument, c.ID, c.Version, document)
	}
	var done struct {
		Items []map[string]struct {
			ID     string `json:"_id"`
			Status int
			Error  json.RawMessage
		}
	}
	if err := e.call(ctx, "POST", "/"+target+"/_bulk"+options, lines.String(), &done); err != nil {
		return err
	}
	for _, item := range done.Items {
		for _, one := range item {
			switch {
			case one.Error == nil || one.Status == conflict:
			case one.Status == badDocument: // nor will it be taken the next time; the others must not wait for it
				log.Printf("the search cannot have event %s: %s", one.ID, one.Error)
			default:
				return refusal{one.Status, string(one.Error)}
			}
		}
	}
	return nil
}

// is says whether Elasticsearch refused a request with this status.
func is(err error, status int) bool {
	var refused refusal
	return errors.As(err, &refused) && refused.status == status
}
