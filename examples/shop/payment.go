package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// errPaymentDown says that the provider gave no answer: the order stays pending, and the same click may be repeated.
var errPaymentDown = errors.New("the payment provider does not answer")

// DeclinedError is the provider's no.
type DeclinedError struct{ Reason string }

// Error gives the provider's reason.
func (e *DeclinedError) Error() string { return "the payment was declined: " + e.Reason }

// Charge is what the shop asks the payment provider for. The provider wants to see what the money is for: the lines
// have to add up to the amount, otherwise it declines (see decide in provider.go).
type Charge struct {
	Order    string       `json:"order"`
	Currency string       `json:"currency"`
	Amount   Cents        `json:"amount"`
	Lines    []ChargeLine `json:"lines"`
}

// ChargeLine is one thing that the money is for. A discount is a line with a negative unit amount.
type ChargeLine struct {
	Name       string `json:"name"`
	Quantity   int    `json:"quantity"`
	UnitAmount Cents  `json:"unit_amount"`
}

// ChargeFor is the charge of an order.
func ChargeFor(o Order) Charge {
	c := Charge{Order: o.ID, Currency: "EUR", Amount: o.Total}
	for _, l := range o.Lines {
		c.Lines = append(c.Lines, ChargeLine{Name: l.Name, Quantity: l.Quantity, UnitAmount: l.Price})
	}
	return c
}

// ChargeAnswer is what the provider says about a charge.
type ChargeAnswer struct {
	Reference string `json:"reference"`
	Status    string `json:"status"` // approved or declined
	Reason    string `json:"reason,omitempty"`
}

// Payments is the shop's side of the payment provider.
type Payments struct {
	base   string
	client *http.Client
}

// NewPayments speaks to the provider at that address.
func NewPayments(base string) *Payments {
	return &Payments{base: strings.TrimSuffix(base, "/"), client: &http.Client{Timeout: 3 * time.Second}}
}

// Charge takes the money, once for each key, however often it is asked. It returns the provider's reference, a
// DeclinedError, or errPaymentDown.
func (p *Payments) Charge(ctx context.Context, key string, c Charge) (string, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	a, err := p.post(ctx, "/charges", key, body)
	if err != nil {
		return "", err
	}
	if a.Status != "approved" {
		return "", &DeclinedError{Reason: a.Reason}
	}
	return a.Reference, nil
}

// Refund gives the money of a charge back, once.
func (p *Payments) Refund(ctx context.Context, reference string) error {
	_, err := p.post(ctx, "/charges/"+url.PathEscape(reference)+"/refund", "refund-"+reference, nil)
	return err
}

// post sends a request that may be repeated: net/http does so by itself when a kept-alive connection turns out to be
// closed, because the Idempotency-Key tells it that it may.
func (p *Payments) post(ctx context.Context, path, key string, body []byte) (ChargeAnswer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.base+path, bytes.NewReader(body))
	if err != nil {
		return ChargeAnswer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	res, err := p.client.Do(req)
	if err != nil {
		return ChargeAnswer{}, fmt.Errorf("%w: %w", errPaymentDown, err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(res.Body, 1<<16))
	if err != nil {
		return ChargeAnswer{}, fmt.Errorf("%w: %w", errPaymentDown, err)
	}
	var a ChargeAnswer
	switch res.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusPaymentRequired:
		if err := json.Unmarshal(data, &a); err != nil {
			return ChargeAnswer{}, fmt.Errorf("%w: its answer makes no sense: %w", errPaymentDown, err)
		}
		return a, nil
	default:
		return ChargeAnswer{}, fmt.Errorf("%w: it says %s", errPaymentDown, res.Status)
	}
}
