package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"greenroom/internal/problem"
)

// Streams travel as server-sent events (the HTML standard, section 9.2): "item" carries one item, "problem" the error
// that ended the stream, "end" that it is complete. A connection that closes before either was lost.
const (
	eventItem    = "item"
	eventProblem = "problem"
	eventEnd     = "end"
)

// maxEvent is the longest line of a stream that a client reads, in bytes.
const maxEvent = 16 << 20

// ErrLost is in the chain of the error that ends a stream when the connection was lost: asking again may help.
var ErrLost = errors.New("the connection was lost")

// pace is when the items of a stream go out.
type pace bool

const (
	atOnce   pace = true  // each when it comes: somebody watches
	inPieces pace = false // when a buffer is full, and at the end
)

// writeStream sends what s yields. It stops when the client is gone. A stream that ended because ctx did is not complete,
// so a daemon that ends leaves it without an end.
func writeStream[T any](ctx context.Context, w http.ResponseWriter, s Stream[T], p pace) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	rc := http.NewResponseController(w)
	_ = rc.Flush() // the client waits for the header before it waits for the first item
	send := func(event string, v any) error {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, b); err != nil {
			return err
		}
		if p == inPieces && event == eventItem {
			return nil
		}
		return rc.Flush()
	}
	for item, err := range s {
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			_ = send(eventProblem, toWire(err)) // a client that is gone needs no answer
			return
		}
		if send(eventItem, item) != nil {
			return
		}
	}
	if ctx.Err() == nil {
		_ = send(eventEnd, struct{}{})
	}
}

// readStream yields what writeStream sent, and closes body at the end.
func readStream[T any](body io.ReadCloser) Stream[T] {
	return func(yield func(T, error) bool) {
		defer body.Close() //nolint:errcheck // only read from
		var zero T
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, maxEvent)
		event := ""
		for lines.Scan() {
			name, value, _ := bytes.Cut(lines.Bytes(), []byte(": "))
			switch string(name) {
			case "event":
				event = string(value)
				if event == eventEnd {
					return
				}
			case "data":
				item, err := decodeEvent[T](event, value)
				if !yield(item, err) || err != nil {
					return
				}
			}
		}
		yield(zero, lost(lines.Err()))
	}
}

func decodeEvent[T any](event string, data []byte) (item T, err error) {
	if event == eventProblem {
		var p Problem
		if err := json.Unmarshal(data, &p); err != nil {
			return item, unreadable(err)
		}
		return item, fromWire(p)
	}
	if err := json.Unmarshal(data, &item); err != nil {
		return item, unreadable(err)
	}
	return item, nil
}

// lost is the end of a stream that did not say that it is complete.
func lost(err error) error {
	if err != nil && problem.From(err).Code == problem.Interrupted {
		return problem.From(err)
	}
	return &problem.Error{
		Code: problem.Unavailable, Message: "the connection to Greenroom was lost", Hint: "greenroom status",
		Err: errors.Join(ErrLost, err),
	}
}

func unreadable(err error) error {
	return problem.New(problem.Internal, "Greenroom's answer could not be read: %w", err)
}
