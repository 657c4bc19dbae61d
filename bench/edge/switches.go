package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"greenroom/internal/edge"
)

// switches measures how long a switch takes: from the call that puts a new table in force to its acknowledgement (by
// then it is on disk), and to the first answer of the new release on a kept-alive connection.
func switches(ctx context.Context, dir string) error {
	var back [2]*process
	for i := range back {
		p, err := startRole(loadCore, "backend", freeAddr())
		if err != nil {
			return err
		}
		defer p.stop()
		back[i] = p
	}
	home, err := os.MkdirTemp(dir, "switch-")
	if err != nil {
		return err
	}
	p, err := start(proxyCore, "", []string{roleEnv + "=edge"}, os.Args[0], home)
	if err != nil {
		return err
	}
	defer p.stop()
	c := edge.NewClient(home)
	if err := c.Await(ctx); err != nil {
		return err
	}
	addr := freeAddr()
	var acked, answered []time.Duration
	for i := range uint64(51) {
		release := fmt.Sprint("release-", i)
		begin := time.Now()
		if _, err := c.Swap(ctx, table(addr, release, back[i%2].addr), i); err != nil {
			return err
		}
		ack := time.Since(begin)
		if err := ask(ctx, addr); err != nil {
			return err
		}
		acked, answered = append(acked, ack), append(answered, time.Since(begin))
	}
	tell := func(what string, ds []time.Duration) {
		slices.Sort(ds)
		fmt.Printf("%s: median %s, slowest of %d %s\n", what, ds[len(ds)/2].Round(10*time.Microsecond), len(ds), ds[len(ds)-1].Round(10*time.Microsecond))
	}
	fmt.Println()
	tell("a switch, until it is acknowledged and on disk", acked)
	tell("a switch, until the new release has answered", answered)
	return nil
}

func ask(ctx context.Context, addr string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %w", res.Status, err)
	}
	return nil
}
