package main

import (
	"strings"
	"testing"
)

func TestProviderDecides(t *testing.T) {
	lines := []ChargeLine{{Name: "Teapot", Quantity: 1, UnitAmount: 2450}, {Name: "Cup", Quantity: 2, UnitAmount: 890}}
	for name, c := range map[string]struct {
		charge Charge
		reason string // "" is approved
	}{
		"adds up":          {Charge{Currency: "EUR", Amount: 4230, Lines: lines}, ""},
		"too little":       {Charge{Currency: "EUR", Amount: 4229, Lines: lines}, "amount mismatch"},
		"no lines":         {Charge{Currency: "EUR", Amount: 4230}, "amount mismatch"},
		"other money":      {Charge{Currency: "XTS", Amount: 4230, Lines: lines}, "currency"},
		"nothing":          {Charge{Currency: "EUR"}, "nothing to pay"},
		"discount as line": {Charge{Currency: "EUR", Amount: 4000, Lines: append(lines, ChargeLine{Name: "Discount", Quantity: 1, UnitAmount: -230})}, ""},
	} {
		got := decide(c.charge)
		if (c.reason == "") != (got == "") || !strings.Contains(got, c.reason) {
			t.Errorf("%s: declined with %q, want %q", name, got, c.reason)
		}
	}
}
