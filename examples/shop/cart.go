package main

import (
	"regexp"
	"strconv"
	"strings"
)

// What a cart can hold. The limits keep the cookie small.
const (
	maxKinds    = 20
	maxQuantity = 10
)

var productID = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)

// Item is a product in a cart and how many of it.
type Item struct {
	Product  string
	Quantity int
}

// Cart is what a customer means to buy, in the order in which it was put in. It lives in a cookie and holds no prices:
// those are read from the catalogue each time, so a cookie can't lie about them.
type Cart []Item

// ParseCart reads a cart from its cookie, such as "teapot.1/cup.2". What does not make sense is left out: a customer
// with a damaged cookie gets a smaller cart and no error page.
func ParseCart(cookie string) Cart {
	var c Cart
	for part := range strings.SplitSeq(cookie, "/") {
		id, number, _ := strings.Cut(part, ".")
		n, err := strconv.Atoi(number)
		if err == nil && n > 0 {
			c = c.Add(id, n)
		}
	}
	return c
}

// String is the cart as its cookie holds it.
func (c Cart) String() string {
	parts := make([]string, len(c))
	for i, it := range c {
		parts[i] = it.Product + "." + strconv.Itoa(it.Quantity)
	}
	return strings.Join(parts, "/")
}

// Add returns the cart with n more of a product in it, up to what a cart can hold.
func (c Cart) Add(product string, n int) Cart {
	added := make(Cart, len(c), len(c)+1)
	copy(added, c)
	for i, it := range added {
		if it.Product == product {
			added[i].Quantity = min(it.Quantity+n, maxQuantity)
			return added
		}
	}
	if len(added) == maxKinds || !productID.MatchString(product) {
		return added
	}
	return append(added, Item{Product: product, Quantity: min(n, maxQuantity)})
}

// Products names what is in the cart.
func (c Cart) Products() []string {
	ids := make([]string, len(c))
	for i, it := range c {
		ids[i] = it.Product
	}
	return ids
}

// Line is one line of a basket, an order or a receipt.
type Line struct {
	Product  string
	Name     string
	Quantity int
	Price    Cents // of one
}

// Sum is what the line costs.
func (l Line) Sum() Cents { return Cents(l.Quantity) * l.Price }

// Basket is a cart with prices.
type Basket struct{ Lines []Line }

// Price gives each item of a cart its name and price. What is no longer in the catalogue is left out.
func (c Cart) Price(catalogue map[string]Product) Basket {
	var b Basket
	for _, it := range c {
		if p, ok := catalogue[it.Product]; ok {
			b.Lines = append(b.Lines, Line{Product: p.ID, Name: p.Name, Quantity: it.Quantity, Price: p.Price})
		}
	}
	return b
}

// Count is how many things are in the basket.
func (b Basket) Count() int {
	n := 0
	for _, l := range b.Lines {
		n += l.Quantity
	}
	return n
}

// Total is what the customer pays.
func (b Basket) Total() Cents {
	var sum Cents
	for _, l := range b.Lines {
		sum += l.Sum()
	}
	return sum
}
