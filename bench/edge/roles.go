package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"greenroom/internal/edge"
)

// roleEnv makes this program one of the things that it measures, or the back end.
const roleEnv = "GREENROOM_BENCH_ROLE"

func play(role string, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	var err error
	switch role {
	case "backend":
		err = listen(ctx, args[0], answer())
	case "bare":
		err = listen(ctx, args[0], bare(args[1]))
	case "edge":
		err = edge.Run(ctx, edge.Options{Dir: args[0], Stop: time.Second})
	default:
		err = fmt.Errorf("role %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		return 1
	}
	return 0
}

func listen(ctx context.Context, addr string, h http.Handler) error {
	s := &http.Server{Addr: addr, Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	context.AfterFunc(ctx, func() { _ = s.Close() })
	if err := s.ListenAndServe(); ctx.Err() == nil {
		return err
	}
	return nil
}

// answer is a page of 1 KiB, named by the query.
func answer() http.Handler {
	page := bytes.Repeat([]byte("green"), 205)[:1024]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = []string{"text/plain"}
		_, _ = w.Write(page) // the load generator may be gone
	})
}

// bare is the yardstick: the standard library's proxy, set up as its documentation tells, with enough connections.
func bare(backend string) http.Handler {
	to := &url.URL{Scheme: "http", Host: backend}
	return &httputil.ReverseProxy{
		Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
	}
}

// startEdge starts Greenroom's edge with its duties: active health, counts, a measurement that runs.
func startEdge(dir, backend string) (*process, error) {
	home, err := os.MkdirTemp(dir, "edge-")
	if err != nil {
		return nil, err
	}
	p, err := start(proxyCore, "", []string{roleEnv + "=edge"}, os.Args[0], home)
	if err != nil {
		return nil, err
	}
	p.addr = freeAddr()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c := edge.NewClient(home)
	if err = c.Await(ctx); err == nil {
		_, err = c.Swap(ctx, table(p.addr, "measured", backend), 0)
	}
	if err == nil {
		err = c.Mark(ctx, routeName, "bench")
	}
	if err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

const routeName = "bench/production"

func table(addr, release, backend string) edge.Table {
	return edge.Table{Format: edge.Format, Routes: []edge.Route{{
		Name: routeName, Listen: []string{addr}, Protocol: edge.HTTP,
		Pools: []edge.Pool{{
			Release: release, Weight: 100, Health: &edge.Health{Path: "/up", Interval: time.Second},
			Backends: []edge.Backend{{ID: release, Network: "tcp", Address: backend}},
		}},
	}}}
}
