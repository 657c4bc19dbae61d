package main

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestThePastIsOneThatTheProviderAccepts(t *testing.T) {
	now := time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)
	orders := func(seed uint64) []Order {
		var all []Order
		p := past{shelf: []Product{shelf["teapot"], shelf["cup"]}, now: now, seed: seed, orders: 1000}
		for source := p.each(func(o Order) [][]any { all = append(all, o); return orderRow(o) }); source.Next(); {
			if _, err := source.Values(); err != nil {
				t.Fatal(err)
			}
		}
		return all
	}
	first, ids := orders(1), map[string]bool{}
	if len(first) != 1000 || !reflect.DeepEqual(first, orders(1)) {
		t.Errorf("the same seed makes %d orders, or others", len(first))
	}
	for _, o := range append(first, orders(2)...) {
		if ids[o.ID] {
			t.Errorf("two orders are %s", o.ID)
		}
		ids[o.ID] = true
		if reason := decide(o.Charge); reason != "" {
			t.Fatalf("the charge of %+v is declined: %s", o, reason)
		}
		_, host, _ := strings.Cut(o.Email, "@")
		if !strings.HasPrefix(host, "example.") && !strings.HasSuffix(host, ".example") {
			t.Errorf("%s might be somebody's", o.Email)
		}
		if age := now.Sub(o.Placed); age <= 0 || age > historyDays*24*time.Hour {
			t.Errorf("an order is %s old", age)
		}
	}
}
