package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/jackc/pgx/v5"
)

// This file is not part of the shop. It stands in for the payment provider, which in real life is another company: no
// money moves here. It does the three things of a real one that matter to a shop that is being changed: it wants to see
// what the money is for and declines when the lines don't add up to the amount; it remembers idempotency keys, so that
// one key is charged once; and it refunds.

// Provider is the payment provider's stand-in.
type Provider struct {
	store *Store
	log   *slog.Logger
}

// Handler is the provider's API.
func (p *Provider) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /up", up)
	mux.HandleFunc("POST /charges", p.charge)
	mux.HandleFunc("POST /charges/{reference}/refund", p.refund)
	return http.MaxBytesHandler(mux, 1<<16)
}

// decide says why a charge is declined, or "" when it is approved.
func decide(c Charge) string {
	var sum Cents
	for _, l := range c.Lines {
		sum += Cents(l.Quantity) * l.UnitAmount
	}
	switch {
	case c.Currency != "EUR":
		return fmt.Sprintf("currency %q is not accepted", c.Currency)
	case c.Amount <= 0:
		return fmt.Sprintf("nothing to pay: the amount is %s", c.Amount)
	case c.Amount != sum:
		return fmt.Sprintf("amount mismatch: %s asked for, the lines add up to %s", c.Amount, sum)
	default:
		return ""
	}
}

func (p *Provider) charge(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Idempotency-Key")
	var c Charge
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil || key == "" {
		http.Error(w, "a charge in JSON and an Idempotency-Key are needed", http.StatusBadRequest)
		return
	}
	a, err := p.book(r.Context(), key, c)
	switch {
	case errors.Is(err, errKeyReused):
		http.Error(w, err.Error(), http.StatusConflict)
	case err != nil:
		p.log.Error("charge", "error", err)
		http.Error(w, "try again", http.StatusServiceUnavailable)
	case a.Status == "declined":
		p.log.Info("declined", "order", c.Order, "reason", a.Reason)
		answer(w, http.StatusPaymentRequired, a)
	default:
		answer(w, http.StatusCreated, a)
	}
}

var errKeyReused = errors.New("this Idempotency-Key was used for another amount")

// book writes the charge into the book unless its key is there already, and answers with what the book says.
func (p *Provider) book(ctx context.Context, key string, c Charge) (ChargeAnswer, error) {
	a := ChargeAnswer{Reference: "ch_" + rand.Text(), Status: "approved", Reason: decide(c)}
	if a.Reason != "" {
		a.Status = "declined"
	}
	_, err := p.store.db.Exec(ctx, `INSERT INTO provider_charges (key, reference, amount, status, reason)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT (key) DO NOTHING`, key, a.Reference, c.Amount, a.Status, a.Reason)
	if err != nil {
		return ChargeAnswer{}, err
	}
	var amount Cents
	err = p.store.db.QueryRow(ctx, `SELECT reference, amount, status, reason FROM provider_charges WHERE key = $1`, key).
		Scan(&a.Reference, &amount, &a.Status, &a.Reason)
	if err == nil && amount != c.Amount {
		return ChargeAnswer{}, errKeyReused
	}
	return a, err
}

func (p *Provider) refund(w http.ResponseWriter, r *http.Request) {
	var a ChargeAnswer
	err := p.store.db.QueryRow(r.Context(), `UPDATE provider_charges SET refunded = true
		WHERE reference = $1 AND status = 'approved' RETURNING reference, status`, r.PathValue("reference")).
		Scan(&a.Reference, &a.Status)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		http.Error(w, "no such charge", http.StatusNotFound)
	case err != nil:
		p.log.Error("refund", "error", err)
		http.Error(w, "try again", http.StatusServiceUnavailable)
	default:
		answer(w, http.StatusOK, a)
	}
}

func answer(w http.ResponseWriter, status int, a ChargeAnswer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(a) // the customer who is gone needs no answer
}
