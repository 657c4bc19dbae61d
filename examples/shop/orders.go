package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Status is where an order is in its life.
type Status string

// An order is pending from the moment its stock is taken until the payment provider has answered.
const (
	Pending   Status = "pending"
	Paid      Status = "paid"
	Declined  Status = "declined"
	Cancelled Status = "cancelled"
)

// Order is what a customer bought.
type Order struct {
	ID      string
	Key     string // idempotency key: one per cart page, also the payment's
	Email   string
	Status  Status
	Reason  string // why the payment was declined
	Payment string // the provider's reference
	Total   Cents
	Charge  Charge // kept, so that a repeated payment is the same one, even by another release
	Placed  time.Time
	Lines   []Line
}

// PlaceOrder writes a pending order and takes its stock, both or neither. Where an order with this key exists already,
// that one is the answer, so that a second click buys nothing.
func (s *Store) PlaceOrder(ctx context.Context, key, email string, b Basket) (Order, error) {
	o := Order{ID: rand.Text(), Key: key, Email: email, Status: Pending, Total: b.Total(), Lines: b.Lines}
	o.Charge = ChargeFor(o)
	isNew := false
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		// A concurrent click with the same key waits here until the first one has committed.
		tag, err := tx.Exec(ctx, `INSERT INTO orders (id, key, email, status, total, charge)
			VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (key) DO NOTHING`,
			o.ID, o.Key, o.Email, o.Status, o.Total, o.Charge)
		if err != nil {
			return err
		}
		if isNew = tag.RowsAffected() == 1; !isNew {
			return nil
		}
		if err := takeStock(ctx, tx, o.Lines); err != nil {
			return err
		}
		return writeLines(ctx, tx, o)
	})
	switch {
	case errors.Is(err, errSoldOut):
		return Order{}, err
	case err != nil:
		return Order{}, fmt.Errorf("place an order: %w", err)
	case isNew:
		return o, nil
	default:
		return s.OrderByKey(ctx, key)
	}
}

func writeLines(ctx context.Context, tx pgx.Tx, o Order) error {
	var b pgx.Batch
	for _, l := range o.Lines {
		b.Queue(`INSERT INTO order_lines (order_id, product, name, quantity, price) VALUES ($1, $2, $3, $4, $5)`,
			o.ID, l.Product, l.Name, l.Quantity, l.Price)
	}
	return tx.SendBatch(ctx, &b).Close()
}

// takeStock takes what the lines say, or nothing and errSoldOut. The condition is part of the update, so two customers
// can't both get the last cup.
func takeStock(ctx context.Context, tx pgx.Tx, lines []Line) error {
	for _, l := range byProduct(lines) {
		tag, err := tx.Exec(ctx, `UPDATE products SET stock = stock - $2 WHERE id = $1 AND stock >= $2`, l.Product, l.Quantity)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return fmt.Errorf("%s: %w", l.Name, errSoldOut)
		}
	}
	return nil
}

func putStockBack(ctx context.Context, tx pgx.Tx, lines []Line) error {
	for _, l := range byProduct(lines) {
		if _, err := tx.Exec(ctx, `UPDATE products SET stock = stock + $2 WHERE id = $1`, l.Product, l.Quantity); err != nil {
			return err
		}
	}
	return nil
}

// byProduct puts lines into one order for all: two orders that lock the same products the other way round would wait
// for each other.
func byProduct(lines []Line) []Line {
	return slices.SortedFunc(slices.Values(lines), func(a, b Line) int { return cmp.Compare(a.Product, b.Product) })
}

// MarkPaid ends a pending order well. An order that is paid already stays as it is.
func (s *Store) MarkPaid(ctx context.Context, o Order, payment string) error {
	_, err := s.db.Exec(ctx, `UPDATE orders SET status = $2, payment = $3 WHERE id = $1 AND status = $4`,
		o.ID, Paid, payment, Pending)
	if err != nil {
		return fmt.Errorf("mark the order paid: %w", err)
	}
	return nil
}

// MarkDeclined ends a pending order whose payment was declined, and puts its stock back, once.
func (s *Store) MarkDeclined(ctx context.Context, o Order, reason string) error {
	return s.giveBack(ctx, o, Pending, Declined, reason)
}

// MarkCancelled ends a paid order that the customer does not want after all, and puts its stock back, once.
func (s *Store) MarkCancelled(ctx context.Context, o Order) error {
	return s.giveBack(ctx, o, Paid, Cancelled, "")
}

func (s *Store) giveBack(ctx context.Context, o Order, from, to Status, reason string) error {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE orders SET status = $3, reason = $4 WHERE id = $1 AND status = $2`,
			o.ID, from, to, reason)
		if err != nil || tag.RowsAffected() == 0 { // somebody else was faster, and has put it back
			return err
		}
		return putStockBack(ctx, tx, o.Lines)
	})
	if err != nil {
		return fmt.Errorf("mark the order %s: %w", to, err)
	}
	return nil
}

// Order finds an order by its id, or errNotFound.
func (s *Store) Order(ctx context.Context, id string) (Order, error) {
	return s.order(ctx, `WHERE id = $1`, id)
}

// OrderByKey finds an order by its idempotency key, or errNotFound.
func (s *Store) OrderByKey(ctx context.Context, key string) (Order, error) {
	return s.order(ctx, `WHERE key = $1`, key)
}

func (s *Store) order(ctx context.Context, where, arg string) (Order, error) {
	var o Order
	err := s.db.QueryRow(ctx, `SELECT id, key, email, status, reason, payment, total, charge, placed
		FROM orders `+where, arg).
		Scan(&o.ID, &o.Key, &o.Email, &o.Status, &o.Reason, &o.Payment, &o.Total, &o.Charge, &o.Placed)
	if errors.Is(err, pgx.ErrNoRows) {
		return Order{}, errNotFound
	}
	if err != nil {
		return Order{}, fmt.Errorf("read an order: %w", err)
	}
	rows, err := s.db.Query(ctx, `SELECT product, name, quantity, price FROM order_lines WHERE order_id = $1 ORDER BY product`, o.ID)
	if err != nil {
		return Order{}, fmt.Errorf("read an order's lines: %w", err)
	}
	if o.Lines, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Line]); err != nil {
		return Order{}, fmt.Errorf("read an order's lines: %w", err)
	}
	return o, nil
}
