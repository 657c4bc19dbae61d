package main

import (
	"slices"
	"testing"
)

func TestCartSurvivesItsCookie(t *testing.T) {
	cart := Cart{}.Add("teapot", 1).Add("cup", 2).Add("teapot", 1)
	want := Cart{{Product: "teapot", Quantity: 2}, {Product: "cup", Quantity: 2}}
	if got := ParseCart(cart.String()); !slices.Equal(got, want) {
		t.Errorf("the cart is %v, want %v", got, want)
	}
}

func TestParseCartLeavesNonsenseOut(t *testing.T) {
	for cookie, want := range map[string]Cart{
		"":                         nil,
		"cup":                      nil,
		"cup.-1":                   nil,
		"cup.x/teapot.1":           {{Product: "teapot", Quantity: 1}},
		"<b>.1/cup.2":              {{Product: "cup", Quantity: 2}},
		"cup.99999999999999999999": nil,
		"cup.5/cup.900":            {{Product: "cup", Quantity: maxQuantity}},
	} {
		if got := ParseCart(cookie); !slices.Equal(got, want) {
			t.Errorf("the cookie %q gives %v, want %v", cookie, got, want)
		}
	}
}

func TestCartIsBounded(t *testing.T) {
	var cart Cart
	for c := 'a'; c <= 'z'; c++ {
		cart = cart.Add(string(c), 1)
	}
	if len(cart) != maxKinds {
		t.Errorf("the cart holds %d kinds, want %d", len(cart), maxKinds)
	}
}

func TestAddLeavesTheOldCartAlone(t *testing.T) {
	old := Cart{{Product: "cup", Quantity: 1}}
	old.Add("cup", 1)
	if old[0].Quantity != 1 {
		t.Error("adding to a cart changed the cart that was there before")
	}
}

var shelf = map[string]Product{
	"teapot": {ID: "teapot", Name: "Teapot", Price: 2450},
	"cup":    {ID: "cup", Name: "Cup", Price: 890},
}

func TestBasketTotal(t *testing.T) {
	for _, c := range []struct {
		cart  string
		total Cents
		count int
	}{
		{"", 0, 0},
		{"teapot.1", 2450, 1},
		{"teapot.1/cup.1", 3340, 2},
		{"cup.1/no-longer-sold.3", 890, 1},
	} {
		b := ParseCart(c.cart).Price(shelf)
		if b.Total() != c.total || b.Count() != c.count {
			t.Errorf("%q is %d things for %s, want %d for %s", c.cart, b.Count(), b.Total(), c.count, c.total)
		}
	}
}
