package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// journeyEmail marks the orders of journeys, so that nobody packs them should one not be cancelled.
const journeyEmail = "journey@shop.example"

// journeyCommand does what a customer does, on the shop at APP_URL, and fails where a customer would.
func journeyCommand(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	journeys := map[string]func(*Walk) error{"browse": browse, "buy": buy}
	if len(args) != 1 || journeys[args[0]] == nil {
		return errors.New("usage: shop journey browse|buy")
	}
	if getenv("APP_URL") == "" {
		return errors.New("APP_URL is not set: the shop's address")
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	w := &Walk{ctx: ctx, shopper: NewShopper(getenv("APP_URL"), transport), out: out}
	if err := journeys[args[0]](w); err != nil {
		return fmt.Errorf("the journey %q ended: %w", args[0], err)
	}
	return nil
}

// Walk is a journey under way.
type Walk struct {
	ctx     context.Context
	shopper *Shopper
	out     io.Writer
}

// step does one thing and says how it went.
func (w *Walk) step(name string, do func() error) error {
	start := time.Now()
	err := do()
	if err != nil {
		_, _ = fmt.Fprintf(w.out, "FAIL  %s: %v\n", name, err)
		return fmt.Errorf("%s: %w", name, err)
	}
	_, _ = fmt.Fprintf(w.out, "ok    %s (%d ms)\n", name, time.Since(start).Milliseconds())
	return nil
}

// browse opens the catalogue and every product in it.
func browse(w *Walk) error {
	var ids []string
	err := w.step("open the catalogue", func() (err error) {
		ids, err = w.shopper.Catalogue(w.ctx)
		return err
	})
	for _, id := range ids {
		if err == nil {
			err = w.step("look at "+id, func() error { return w.shopper.Product(w.ctx, id) })
		}
	}
	return err
}

// buy buys three things and pays, twice with the same button, and cancels the order: it can be done in production.
func buy(w *Walk) error {
	order, cart := "", Bill{}
	defer func() { // after a step that failed; a second cancellation does nothing
		if order != "" {
			_ = w.shopper.Cancel(w.ctx, order)
		}
	}()
	return w.steps(
		named{"fill the cart", func() error { return w.fillCart() }},
		named{"look at the cart", func() (err error) {
			cart, err = w.shopper.Cart(w.ctx)
			return err
		}},
		named{"pay", func() (err error) {
			order, err = w.shopper.Checkout(w.ctx, cart, journeyEmail)
			return err
		}},
		named{"read the receipt", func() error { return w.checkReceipt(order, cart) }},
		named{"press the button again", func() error { return w.payAgain(order, cart) }},
		named{"cancel the order", func() error { return w.cancelOrder(order) }},
	)
}

type named struct {
	name string
	do   func() error
}

func (w *Walk) steps(list ...named) error {
	for _, s := range list {
		if err := w.step(s.name, s.do); err != nil {
			return err
		}
	}
	return nil
}

// fillCart puts one of the first product and two of the second in.
func (w *Walk) fillCart() error {
	ids, err := w.shopper.Catalogue(w.ctx)
	if err != nil {
		return err
	}
	if len(ids) < 2 {
		return errors.New("the catalogue has fewer than two products")
	}
	for i, id := range ids[:2] {
		if err := errors.Join(w.shopper.Product(w.ctx, id), w.shopper.Add(w.ctx, id, i+1)); err != nil {
			return err
		}
	}
	return nil
}

// checkReceipt wants an order that is paid, of what was in the cart, at the price that was shown there.
func (w *Walk) checkReceipt(order string, cart Bill) error {
	got, err := w.shopper.Order(w.ctx, order)
	switch {
	case err != nil:
		return err
	case got.Status != string(Paid):
		return fmt.Errorf("the order is %s and not paid", got.Status)
	case got.Total != cart.Total:
		return fmt.Errorf("the cart said %s, the receipt says %s", cart.Total, got.Total)
	case !slices.Equal(got.Items, cart.Items):
		return fmt.Errorf("the cart held %v, the receipt says %v", cart.Items, got.Items)
	}
	return nil
}

// payAgain wants the same order with the same payment for the same button.
func (w *Walk) payAgain(order string, cart Bill) error {
	before, err := w.shopper.Order(w.ctx, order)
	if err != nil {
		return err
	}
	again, err := w.shopper.Checkout(w.ctx, cart, journeyEmail)
	if err != nil {
		return err
	}
	after, err := w.shopper.Order(w.ctx, again)
	if err == nil && (again != order || after.Payment != before.Payment) {
		return fmt.Errorf("a second click made another order or payment: %s and %s, %s and %s",
			order, again, before.Payment, after.Payment)
	}
	return err
}

func (w *Walk) cancelOrder(order string) error {
	if err := w.shopper.Cancel(w.ctx, order); err != nil {
		return err
	}
	got, err := w.shopper.Order(w.ctx, order)
	if err == nil && got.Status != string(Cancelled) {
		return fmt.Errorf("the order is %s and not cancelled", got.Status)
	}
	return err
}
