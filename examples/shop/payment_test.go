package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

// provider is a payment provider that gives one answer and keeps what it was asked.
func provider(t *testing.T, status int, answer string) (*Payments, *Charge, *http.Header) {
	t.Helper()
	var asked Charge
	var header http.Header
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(s.Close)
	return NewPayments(s.URL + "/"), &asked, &header
}

func TestChargeAsksForTheOrdersTotalOnce(t *testing.T) {
	payments, asked, header := provider(t, http.StatusCreated, `{"reference": "ch_1", "status": "approved"}`)
	basket := ParseCart("teapot.1/cup.1").Price(shelf)
	order := Order{ID: "o1", Total: basket.Total(), Lines: basket.Lines}

	reference, err := payments.Charge(t.Context(), "key-1", ChargeFor(order))
	if err != nil || reference != "ch_1" {
		t.Fatalf("the charge is %q, %v", reference, err)
	}
	if asked.Amount != basket.Total() || asked.Currency != "EUR" || asked.Order != "o1" || len(asked.Lines) != 2 {
		t.Errorf("the provider was asked for %+v", *asked)
	}
	if got := header.Get("Idempotency-Key"); got != "key-1" {
		t.Errorf("the idempotency key is %q", got)
	}
}

func TestChargeTellsNoFromNoAnswer(t *testing.T) {
	for _, c := range []struct {
		status   int
		answer   string
		declined bool
	}{
		{http.StatusPaymentRequired, `{"status": "declined", "reason": "no money"}`, true},
		{http.StatusServiceUnavailable, `try again`, false},
		{http.StatusConflict, `other amount`, false},
		{http.StatusCreated, `<html>`, false},
	} {
		payments, _, _ := provider(t, c.status, c.answer)
		_, err := payments.Charge(t.Context(), "key-1", Charge{})
		var declined *DeclinedError
		if errors.As(err, &declined) != c.declined || errors.Is(err, errPaymentDown) == c.declined {
			t.Errorf("%d %s gives %v", c.status, c.answer, err)
		}
	}
}
