package main

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strconv"
	"strings"
)

const cartCookie = "cart"

// changedCart is where a customer goes whose cart has another price than the one on the button.
const changedCart = "/cart?changed=price"

func readCart(r *http.Request) Cart {
	c, err := r.Cookie(cartCookie)
	if err != nil {
		return nil
	}
	return ParseCart(c.Value)
}

func writeCart(w http.ResponseWriter, c Cart) {
	cookie := &http.Cookie{Name: cartCookie, Value: c.String(), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if len(c) == 0 {
		cookie.MaxAge = -1
	}
	http.SetCookie(w, cookie)
}

func cartSize(c Cart) int {
	n := 0
	for _, it := range c {
		n += it.Quantity
	}
	return n
}

// basket is the request's cart at today's prices.
func (s *Shop) basket(r *http.Request) (Basket, error) {
	cart := readCart(r)
	if len(cart) == 0 {
		return Basket{}, nil
	}
	found, err := s.store.ProductsByID(r.Context(), cart.Products())
	if err != nil {
		return Basket{}, err
	}
	return cart.Price(found), nil
}

func (s *Shop) showCart(w http.ResponseWriter, r *http.Request) error {
	b, err := s.basket(r)
	if err != nil {
		return err
	}
	return s.show(w, r, http.StatusOK, "cart", struct {
		Basket
		Key     string // makes this page's button one order, however often it is pressed
		Changed bool
	}{b, rand.Text(), r.FormValue("changed") != ""})
}

func (s *Shop) addToCart(w http.ResponseWriter, r *http.Request) error {
	n, err := strconv.Atoi(r.PostFormValue("quantity"))
	if err != nil || n < 1 || n > maxQuantity {
		return badRequestError("A quantity from 1 to 10 is needed.")
	}
	p, err := s.store.Product(r.Context(), r.PostFormValue("product"))
	if err != nil {
		return err
	}
	writeCart(w, readCart(r).Add(p.ID, n))
	http.Redirect(w, r, "/cart", http.StatusSeeOther)
	return nil
}

func (s *Shop) checkout(w http.ResponseWriter, r *http.Request) error {
	key, email := r.PostFormValue("key"), strings.TrimSpace(r.PostFormValue("email"))
	if len(key) < 16 || len(key) > 64 {
		return badRequestError("The cart's key is missing. Please open the cart again.")
	}
	if len(email) > 200 || !strings.Contains(email, "@") {
		return badRequestError("An e-mail address is needed.")
	}
	shown, err := strconv.ParseInt(r.PostFormValue("total"), 10, 64)
	if err != nil {
		return badRequestError("The price is missing. Please open the cart again.")
	}
	o, err := s.buy(r, key, email, Cents(shown))
	if errors.Is(err, errPriceChanged) {
		http.Redirect(w, r, changedCart, http.StatusSeeOther)
		return nil
	}
	if err != nil {
		return err
	}
	writeCart(w, nil)
	http.Redirect(w, r, "/orders/"+o.ID, http.StatusSeeOther)
	return nil
}

// buy places the order at the price that the customer was shown, and pays for it. It can be repeated with the same key
// at any point, also by two at once: the order is one because its key is unique, and so is the charge.
func (s *Shop) buy(r *http.Request, key, email string, shown Cents) (Order, error) {
	ctx := r.Context()
	o, err := s.store.OrderByKey(ctx, key)
	if errors.Is(err, errNotFound) {
		var b Basket
		if b, err = s.basket(r); err != nil {
			return Order{}, err
		}
		if len(b.Lines) == 0 {
			return Order{}, badRequestError("Your cart is empty.")
		}
		if b.Total() != shown {
			return Order{}, errPriceChanged
		}
		o, err = s.store.PlaceOrder(ctx, key, email, b)
	}
	if err != nil {
		return Order{}, err
	}
	return o, s.pay(ctx, o)
}

// pay charges an order that is pending, and says what became of one that is not.
func (s *Shop) pay(ctx context.Context, o Order) error {
	switch o.Status {
	case Declined:
		return &DeclinedError{Reason: o.Reason}
	case Paid, Cancelled:
		return nil
	}
	reference, err := s.payments.Charge(ctx, o.Key, o.Charge)
	var declined *DeclinedError
	if errors.As(err, &declined) {
		return errors.Join(err, s.store.MarkDeclined(ctx, o, declined.Reason))
	}
	if err != nil {
		return err
	}
	return s.store.MarkPaid(ctx, o, reference)
}

func (s *Shop) order(w http.ResponseWriter, r *http.Request) error {
	o, err := s.store.Order(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.show(w, r, http.StatusOK, "order", o)
}

// cancel gives the money back first: a customer who has to ask twice is better than one who is not paid.
func (s *Shop) cancel(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	o, err := s.store.Order(ctx, r.PathValue("id"))
	if err != nil {
		return err
	}
	if o.Status == Paid {
		if err := s.payments.Refund(ctx, o.Payment); err != nil {
			return err
		}
		if err := s.store.MarkCancelled(ctx, o); err != nil {
			return err
		}
	}
	http.Redirect(w, r, "/orders/"+o.ID, http.StatusSeeOther)
	return nil
}
