package main

import "testing"

func TestCents(t *testing.T) {
	for c, want := range map[Cents]string{0: "€0.00", 5: "€0.05", 1290: "€12.90", -387: "-€3.87"} {
		if got := c.String(); got != want {
			t.Errorf("%d cents are %q, want %q", int64(c), got, want)
		}
	}
}
