package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	maxHistory  = 10_000_000 // orders that one call makes
	historyDays = 365
)

// past makes the orders of a shop that has been there for a year. The same seed, catalogue and moment make the same ones.
type past struct {
	random  *rand.Rand
	shelf   []Product
	now     time.Time
	seed    uint64
	orders  int
	current int // of the order
}

// historyCommand fills a shop's database with orders from the past, all of them or none. No stock is taken for them: what
// was sold a year ago was put on the shelf again.
func historyCommand(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("shop history", flag.ContinueOnError)
	flags.SetOutput(stderr)
	orders := flags.Int("orders", 0, "how many orders, spread over the last year")
	seed := flags.Uint64("seed", 1, "the same number makes the same orders; another one makes orders beside those")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *orders < 1 || *orders > maxHistory {
		return fmt.Errorf("history: --orders from 1 to %d is needed", maxHistory)
	}
	store, err := OpenStore(ctx, getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer store.Close()
	shelf, err := store.Products(ctx)
	if err != nil {
		return err
	}
	if len(shelf) == 0 {
		return errors.New("history: the catalogue is empty, so nothing can have been sold; shop migrate fills it")
	}
	began := time.Now()
	if err := store.remember(ctx, past{shelf: shelf, now: began.UTC().Truncate(time.Hour), seed: *seed, orders: *orders}); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	_, _ = fmt.Fprintf(stdout, "%d orders in %.1f s\n", *orders, time.Since(began).Seconds())
	return nil
}

// remember copies a past into the database. Each table is a pass over the same random numbers, so that no order has to be
// held in memory.
func (s *Store) remember(ctx context.Context, p past) error {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		for _, t := range []struct {
			table   string
			columns []string
			rows    func(Order) [][]any
		}{
			{"orders", []string{"id", "key", "email", "status", "reason", "payment", "total", "charge", "placed"}, orderRow},
			{"order_lines", []string{"order_id", "product", "name", "quantity", "price"}, lineRows},
			{"provider_charges", []string{"key", "reference", "amount", "status", "reason", "refunded"}, chargeRow},
		} {
			if _, err := tx.CopyFrom(ctx, pgx.Identifier{t.table}, t.columns, p.each(t.rows)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = s.db.Exec(ctx, "ANALYZE orders, order_lines, provider_charges") // else the first plans are those for an empty shop
	return err
}

// each gives the rows of all orders, from the first on.
func (p past) each(rows func(Order) [][]any) pgx.CopyFromSource {
	p.random = rand.New(rand.NewPCG(p.seed, 1)) // #nosec G404 -- nobody has to be unable to guess them
	var ready [][]any
	return pgx.CopyFromFunc(func() ([]any, error) {
		if len(ready) == 0 {
			if p.current == p.orders {
				return nil, nil
			}
			ready = rows(p.order())
		}
		row := ready[0]
		ready = ready[1:]
		return row, nil
	})
}

// order is the next one: one in fifty was cancelled, all others are paid.
func (p *past) order() Order {
	name := func(list []string) string { return list[p.random.IntN(len(list))] }
	number := fmt.Sprintf("%d-%d", p.seed, p.current)
	ago := time.Duration(p.orders-p.current) * (historyDays * 24 * time.Hour / time.Duration(p.orders))
	o := Order{
		ID:      fmt.Sprintf("%016X%s", p.random.Uint64(), number),
		Key:     fmt.Sprintf("%016x%s", p.random.Uint64(), number),
		Email:   fmt.Sprintf("%s.%s%d@%s", name(givenNames), name(familyNames), p.random.IntN(1000), name(providers)),
		Status:  Paid,
		Payment: fmt.Sprintf("P%016X%s", p.random.Uint64(), number),
		Placed:  p.now.Add(-ago),
	}
	if p.random.IntN(50) == 0 {
		o.Status = Cancelled
	}
	first, kinds := p.random.IntN(len(p.shelf)), 1+p.random.IntN(min(3, len(p.shelf)))
	for i := range kinds {
		product := p.shelf[(first+i)%len(p.shelf)]
		l := Line{Product: product.ID, Name: product.Name, Quantity: 1 + p.random.IntN(2), Price: product.Price}
		o.Lines = append(o.Lines, l)
		o.Total += l.Sum() // whatever has become cheaper since, then it was not
	}
	o.Charge = ChargeFor(o)
	p.current++
	return o
}

func orderRow(o Order) [][]any {
	return [][]any{{o.ID, o.Key, o.Email, string(o.Status), o.Reason, o.Payment, int64(o.Total), o.Charge, o.Placed}}
}

func lineRows(o Order) (rows [][]any) {
	for _, l := range o.Lines {
		rows = append(rows, []any{o.ID, l.Product, l.Name, int32(l.Quantity), int64(l.Price)}) // #nosec G115 -- 1 or 2
	}
	return rows
}

func chargeRow(o Order) [][]any {
	return [][]any{{o.Key, o.Payment, int64(o.Total), "approved", "", o.Status == Cancelled}}
}

// The customers of the past: words that are names in many places, and providers that can't exist (RFC 2606).
var (
	givenNames  = []string{"alex", "charlie", "dana", "eden", "jamie", "jordan", "kim", "lee", "luca", "mika", "noor", "robin", "sam", "sasha", "toni", "yuki"}
	familyNames = []string{"baker", "cook", "field", "fisher", "green", "hill", "lake", "miller", "smith", "stone", "weaver", "wood"}
	providers   = []string{"mail.example", "post.example", "letters.example", "example.com", "example.net", "example.org"}
)
