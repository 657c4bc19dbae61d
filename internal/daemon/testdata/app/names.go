package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// lookup finds a name as one does who minds that the server of names may be started anew just now: a Docker Engine that is answers
// for none meanwhile.
func lookup(ctx context.Context, host string) ([]string, error) {
	for began := time.Now(); ; {
		found, err := net.DefaultResolver.LookupHost(ctx, host)
		var dns *net.DNSError
		if err == nil || !errors.As(err, &dns) || dns.IsNotFound || ctx.Err() != nil || time.Since(began) > 30*time.Second {
			return found, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// neighbours asks other services.
var neighbours = http.Client{Transport: &http.Transport{
	MaxIdleConnsPerHost: 64,
	// One that is stopped may leave packets that nobody answers.
	ResponseHeaderTimeout: 2 * time.Second,
	DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		found, err := lookup(ctx, host)
		if err != nil {
			return nil, err
		}
		d := net.Dialer{Timeout: 2 * time.Second}
		return d.DialContext(ctx, network, net.JoinHostPort(found[0], port))
	},
}}
