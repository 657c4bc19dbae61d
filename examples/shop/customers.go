package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

const customerEmail = "customer@shop.example"

// Crowd is many customers. They come at a constant rate, whatever the answers, as real ones do: a shop that gets slow
// gets more of them at once, not fewer.
type Crowd struct {
	base      string
	every     time.Duration // between two arrivals
	transport *http.Transport
	inside    chan struct{} // one entry per customer in the shop: its capacity is the bound
	tally     *Tally
	visits    sync.WaitGroup
}

// customersCommand sends customers until ctx or the duration ends, and writes a line of JSON each second and a summary
// at the end.
func customersCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("shop customers", flag.ContinueOnError)
	flags.SetOutput(stderr)
	base := flags.String("url", "", "the shop's address")
	rate := flags.Float64("rate", 40, "customers that come each second; one makes 3 to 4 requests")
	duration := flags.Duration("duration", time.Hour, "how long, unless a signal comes first")
	most := flags.Int("concurrency", 128, "customers in the shop at once; more are turned away and counted as failed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *base == "" || *rate <= 0 || *rate > 1000 || *most < 1 || *duration <= 0 {
		return errors.New("customers: --url is needed, --rate from above 0 to 1000, --concurrency of at least 1, --duration above 0")
	}
	c := NewCrowd(*base, *rate, *most)
	ctx, cancel := context.WithTimeout(ctx, *duration)
	defer cancel()
	return c.Run(ctx, stdout)
}

// NewCrowd makes a crowd of at most that many customers at once, of which rate come each second.
func NewCrowd(base string, rate float64, most int) *Crowd {
	return &Crowd{
		base:      base,
		every:     time.Duration(float64(time.Second) / rate),
		transport: &http.Transport{MaxIdleConnsPerHost: most, IdleConnTimeout: 30 * time.Second},
		inside:    make(chan struct{}, most),
		tally:     NewTally(time.Now()),
	}
}

// Run sends customers until ctx ends, lets those inside finish, and reports to out all the time.
func (c *Crowd) Run(ctx context.Context, out io.Writer) error {
	defer c.transport.CloseIdleConnections()
	reported := make(chan error, 1)
	go func() { reported <- c.report(ctx, out) }()
	c.arrive(ctx)
	c.tally.Close(time.Now())
	c.visits.Wait()
	if err := <-reported; err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(c.tally.Summary(time.Now()))
}

// arrive lets one customer in each time one is due. When this program was held up, those who are late come at once, and
// their waiting counts.
func (c *Crowd) arrive(ctx context.Context) {
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		due := start.Add(time.Duration(n) * c.every)
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		select {
		case c.inside <- struct{}{}:
			c.visits.Go(func() {
				defer func() { <-c.inside }()
				c.visit(context.WithoutCancel(ctx), moods[n%len(moods)], due)
			})
		default:
			c.tally.TurnedAway()
		}
	}
}

// report writes what happened in each second, until ctx ends.
func (c *Crowd) report(ctx context.Context, out io.Writer) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	lines := json.NewEncoder(out)
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if err := lines.Encode(c.tally.Second(now)); err != nil {
				return fmt.Errorf("report: %w", err)
			}
		}
	}
}

// mood is what a customer has come for.
type mood int

const (
	looks mood = iota
	fills      // a cart, and leaves
	buys
)

// moods are those of ten customers in a row. They take turns, so that every second has as many orders.
var moods = [...]mood{looks, buys, looks, fills, looks, buys, looks, fills, looks, buys}

// visit is one customer's. It ends at the first request that fails, as a person's does.
func (c *Crowd) visit(ctx context.Context, m mood, due time.Time) {
	v := &Visit{shopper: NewShopper(c.base, c.transport), tally: c.tally, next: due}
	ids, ok := v.lookAround(ctx)
	if !ok || m == looks {
		return
	}
	cart, ok := v.fillCart(ctx, ids)
	if !ok || m == fills {
		return
	}
	v.buy(ctx, cart)
}

// Visit is one customer in the shop.
type Visit struct {
	shopper *Shopper
	tally   *Tally
	next    time.Time // when the next request was meant to start: time spent waiting for one's turn counts
}

// did counts one request and says whether the customer goes on.
func (v *Visit) did(err error) bool {
	now := time.Now()
	v.tally.Answer(now, now.Sub(v.next), err)
	return err == nil
}

// think lets the customer read a page, quickly: so a visit lasts long enough to meet two releases.
func (v *Visit) think() {
	v.next = time.Now().Add(rand.N(200 * time.Millisecond))
	time.Sleep(time.Until(v.next))
}

func (v *Visit) lookAround(ctx context.Context) ([]string, bool) {
	ids, err := v.shopper.Catalogue(ctx)
	if !v.did(err) {
		return nil, false
	}
	v.think()
	return ids, v.did(v.shopper.Product(ctx, favourite(ids)))
}

func (v *Visit) fillCart(ctx context.Context, ids []string) (Bill, bool) {
	for range 1 + rand.IntN(2) {
		v.think()
		if !v.did(v.shopper.Add(ctx, favourite(ids), 1+rand.IntN(2))) {
			return Bill{}, false
		}
	}
	v.next = time.Now() // a browser follows at once
	cart, err := v.shopper.Cart(ctx)
	return cart, v.did(err)
}

// favourite is a product; those at the top of the catalogue are bought more often.
func favourite(ids []string) string {
	return ids[min(rand.IntN(len(ids)), rand.IntN(len(ids)))]
}

// buy pays and reads the receipt. Where the price has changed meanwhile it looks at the cart again, three times at most.
func (v *Visit) buy(ctx context.Context, cart Bill) {
	for range 3 {
		v.think()
		path, err := v.pay(ctx, cart)
		switch {
		case path != "":
			v.readReceipt(ctx, path, cart)
			return
		case !errors.Is(err, errPriceChanged):
			return
		}
		v.next = time.Now()
		if cart, err = v.shopper.Cart(ctx); !v.did(err) {
			return
		}
	}
}

// pay presses the button, one customer in eight twice at the same time. That must be one order.
func (v *Visit) pay(ctx context.Context, cart Bill) (string, error) {
	var second string
	var click sync.WaitGroup
	if rand.IntN(8) == 0 {
		click.Go(func() {
			start, err := time.Now(), error(nil)
			second, err = v.shopper.Checkout(ctx, cart, customerEmail)
			v.tally.Answer(time.Now(), time.Since(start), err)
		})
	}
	path, err := v.shopper.Checkout(ctx, cart, customerEmail)
	v.did(err)
	click.Wait()
	if path != "" && second != "" && path != second {
		v.tally.BookedTwice()
	}
	return cmp.Or(path, second), err
}

func (v *Visit) readReceipt(ctx context.Context, path string, cart Bill) {
	v.next = time.Now()
	bill, err := v.shopper.Order(ctx, path)
	if err == nil && (bill.Status != string(Paid) || bill.Payment == "" || bill.Total != cart.Total) {
		err = &VisitError{Request: "GET /orders/…", What: "wrong content", Text: "the receipt is not for what was paid"}
	}
	if v.did(err) {
		v.tally.Ordered()
	}
}
