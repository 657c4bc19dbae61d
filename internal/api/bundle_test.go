package api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"greenroom/internal/problem"
)

// TestABundleIsNeverCutInSilence demands that a reader hears io.EOF only behind the last byte.
func TestABundleIsNeverCutInSilence(t *testing.T) {
	t.Run("what the backend could not finish", func(t *testing.T) {
		want := problem.New(problem.Fail, "the stored copy is damaged: ü\n\"x\"").WithHint("greenroom status")
		f := &fake{late: want}
		socket, _ := serve(t, f, t.Output())
		got, err := readAll(t, dial(t, socket))
		same(t, "the end of a bundle", want, err)
		if got != bundleText {
			t.Errorf("%d of %d bytes came before it", len(got), len(bundleText))
		}
	})
	t.Run("a bug", func(t *testing.T) {
		f := &fake{late: errors.New("nobody expected this")}
		socket, _ := serve(t, f, t.Output())
		if _, err := readAll(t, dial(t, socket)); problem.From(err).Code != problem.Internal {
			t.Errorf("it ended with %v", err)
		}
	})
	t.Run("a daemon that dies", func(t *testing.T) {
		for _, at := range []int{0, 1, len(bundleText) / 2, len(bundleText)} {
			socket := cutting(t, at)
			if _, err := readAll(t, newClient(socket, "1")); !errors.Is(err, ErrLost) {
				t.Errorf("after %d bytes it ended with %v", at, err)
			}
		}
	})
	t.Run("bytes that are not those that were sent", func(t *testing.T) {
		socket := answering(t, func(w http.ResponseWriter) {
			w.Header().Set("Trailer", trailerDigest)
			_, _ = io.WriteString(w, "something")
			w.Header().Set(trailerDigest, strings.Repeat("0", 64))
		})
		if _, err := readAll(t, newClient(socket, "1")); !errors.Is(err, ErrLost) {
			t.Errorf("it ended with %v", err)
		}
	})
	t.Run("a person who interrupts", func(t *testing.T) {
		socket, _ := serve(t, &fake{}, t.Output())
		ctx, cancel := context.WithCancel(t.Context())
		r, err := dial(t, socket).Bundle(ctx, "shop", "x")
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := drain(r); problem.ExitCode(err) != problem.ExitInterrupted {
			t.Errorf("it ended with %v", err)
		}
	})
}

func readAll(t *testing.T, c *Client) (string, error) {
	t.Helper()
	defer c.Close()
	r, err := c.Bundle(t.Context(), "shop", "x")
	if err != nil {
		t.Fatal(err)
	}
	got, err := drain(r)
	return got.(string), err
}

// answering is the socket of a server that answers everything in that way.
func answering(t *testing.T, answer func(http.ResponseWriter)) (socket string) {
	t.Helper()
	socket = folder(t) + "/s"
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) })}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return socket
}

// cutting is the socket of a daemon that dies after so many bytes of a bundle.
func cutting(t *testing.T, after int) (socket string) {
	return answering(t, func(w http.ResponseWriter) {
		w.Header().Set("Trailer", trailerDigest+", "+trailerProblem)
		w.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(w, bundleText[:after])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
}

// TestAnUploadThatFailsTakesNothing demands that what was cut off on the way to the daemon is not taken for all.
func TestAnUploadThatFailsTakesNothing(t *testing.T) {
	f := &fake{}
	socket, stop := serve(t, f, t.Output())
	c := dial(t, socket)
	want := problem.New(problem.Fail, "the file is cut off")
	half := io.MultiReader(strings.NewReader(bundleText), iotest.ErrReader(want))
	_, err := c.Take(t.Context(), "shop", half)
	same(t, "the upload", want, err)
	_, err = c.Import(t.Context(), filled[ReleaseInfo](), io.MultiReader(strings.NewReader(bundleText), iotest.ErrReader(want)))
	same(t, "the upload", want, err)
	stop() // and with it what the daemon still does
	for _, asked := range f.calls {
		if asked.Method != "Version" {
			t.Errorf("the backend took %s", asked.Method)
		}
	}
}

// TestARefusedUploadEnds demands that a daemon which wants none of it is heard, however much there is.
func TestARefusedUploadEnds(t *testing.T) {
	f := &fake{}
	socket, _ := serveBackend(t, Guarded(f, &guard{no: "build"}), t.Output())
	_, err := dial(t, socket).Take(t.Context(), "shop", io.LimitReader(zeros{}, 1<<30))
	if err == nil || (problem.From(err).Code != problem.Blocked && !errors.Is(err, ErrLost)) {
		t.Errorf("it ended with %v", err)
	}
}

// TestAStalledUploadCanBeStopped demands that a person who stops it is heard though nothing comes from where it is read.
func TestAStalledUploadCanBeStopped(t *testing.T) {
	f := &fake{}
	socket, _ := serve(t, f, t.Output())
	stalled, end := io.Pipe()
	defer end.Close() //nolint:errcheck // a pipe of the memory
	ctx, stop := context.WithCancel(t.Context())
	first := make(chan struct{})
	go func() {
		_, _ = io.WriteString(end, "the beginning")
		close(first)
	}()
	go func() {
		<-first
		stop()
	}()
	if _, err := dial(t, socket).Take(ctx, "shop", stalled); problem.From(err) == nil || problem.From(err).Code != problem.Interrupted {
		t.Errorf("it ended with %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
