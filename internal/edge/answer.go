package edge

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// copyBuffer is what answers are copied by.
type copyBuffer [32 << 10]byte

// buffers lends copy buffers.
type buffers struct{ pool sync.Pool }

func (b *buffers) get() *copyBuffer {
	if v, ok := b.pool.Get().(*copyBuffer); ok {
		return v
	}
	return new(copyBuffer)
}

func (b *buffers) put(c *copyBuffer) { b.pool.Put(c) }

// answer gives the client what the back end says, as it comes.
func (x *exchange) answer(res *http.Response) ending {
	defer res.Body.Close() //nolint:errcheck // read to its end, or broken off with the connection
	h := x.w.Header()
	copyAnswerHeader(h, res.Header)
	names := announceTrailers(h, res.Trailer)
	x.endEarly()
	x.w.WriteHeader(res.StatusCode)
	end := ending{status: res.StatusCode, head: time.Since(x.start)}
	err := x.copyBody(res)
	switch {
	case err == nil:
		sendTrailers(x.w, res.Trailer, names)
	case errors.As(err, new(clientError)) || x.in.Context().Err() != nil:
		end.gone = true
	default:
		end.cut = true
		x.edge.log.Debug("answer broken off", "route", x.route.spec.Name, "release", x.pool.spec.Release, "error", err)
	}
	return end
}

// clientError is a failure to write to the client.
type clientError struct{ error }

// copyBody passes the body on. An answer of unknown length may be a stream that somebody is waiting for, so each piece
// of it goes out at once.
func (x *exchange) copyBody(res *http.Response) error {
	if res.ContentLength == 0 || res.Body == http.NoBody {
		return nil
	}
	stream := res.ContentLength < 0 || strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream")
	if stream {
		if err := x.flush(); err != nil {
			return err
		}
	}
	buf := x.edge.buffers.get()
	defer x.edge.buffers.put(buf)
	for {
		n, err := res.Body.Read(buf[:])
		if n > 0 {
			if _, err := x.w.Write(buf[:n]); err != nil {
				return clientError{err}
			}
			if stream {
				if err := x.flush(); err != nil {
					return err
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (x *exchange) flush() error {
	if f, ok := x.w.(interface{ FlushError() error }); ok {
		if err := f.FlushError(); err != nil {
			return clientError{err}
		}
	}
	return nil
}

// copyAnswerHeader gives the client the back end's header without what speaks of the back end's connection. What is set
// already (the share's cookie, our own Connection) stays.
func copyAnswerHeader(h, from http.Header) {
	named := from["Connection"]
	for k, v := range from {
		if isHop(k) {
			continue
		}
		if own := h[k]; own != nil {
			v = append(own, v...)
		}
		h[k] = v
	}
	if len(named) > 0 {
		ours := h["Connection"]
		dropNamed(h, named)
		if ours != nil {
			h["Connection"] = ours
		}
	}
	// Without the key, net/http would guess a type where the application gave none.
	if _, told := h["Content-Type"]; !told {
		h["Content-Type"] = nil
	}
}

func announceTrailers(h, trailer http.Header) []string {
	if len(trailer) == 0 {
		return nil
	}
	names := make([]string, 0, len(trailer))
	for k := range trailer {
		names = append(names, k)
	}
	h["Trailer"] = []string{strings.Join(names, ", ")}
	return names
}

func sendTrailers(w http.ResponseWriter, trailer http.Header, announced []string) {
	if len(trailer) == 0 {
		return
	}
	h := w.Header()
	for k, v := range trailer {
		if len(announced) == len(trailer) {
			h[k] = v
		} else {
			h[http.TrailerPrefix+k] = v
		}
	}
}
