package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Shopper is a customer with a browser: it knows the shop's pages and nothing of what is behind them. Each of its
// methods is one request whose answer is looked at; an error is a *VisitError, or one of the two that a shop may well say
// no with: errSoldOut, errPriceChanged.
type Shopper struct {
	base   string
	client *http.Client
}

// NewShopper visits the shop at base with a fresh browser over the connections of transport.
func NewShopper(base string, transport http.RoundTripper) *Shopper {
	jar, _ := cookiejar.New(nil) // without options it does not fail
	return &Shopper{base: strings.TrimSuffix(base, "/"), client: &http.Client{
		Transport:     transport,
		Jar:           jar,
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// VisitError is an answer that a customer can't do anything with. Request and What are the same for all customers to
// whom the same happened, such as "POST /checkout" and "500 Internal Server Error".
type VisitError struct {
	Request string
	What    string
	Text    string // what the page says, or the cause; may be empty
}

// Error tells all of it.
func (e *VisitError) Error() string {
	if e.Text == "" {
		return e.Request + ": " + e.What
	}
	return e.Request + ": " + e.What + ": " + e.Text
}

// page is an answer of the shop.
type page struct {
	request  string
	body     string
	location string
}

// wrong is an answer whose content is not what a customer wants.
func (p page) wrong(format string, args ...any) error {
	return &VisitError{Request: p.request, What: "wrong content", Text: fmt.Sprintf(format, args...)}
}

// noAnswer is a request that got none, or not the whole of it. The innermost cause names no address, so it is the same
// for all.
func (p page) noAnswer(err error) error {
	cause := err
	for next := err; next != nil; next = errors.Unwrap(next) {
		cause = next
	}
	return &VisitError{Request: p.request, What: "no answer: " + cause.Error()}
}

// What is read out of the shop's pages.
var (
	catalogueEntry = regexp.MustCompile(`href="/products/([a-z0-9-]+)" data-product=`)
	billLine       = regexp.MustCompile(`data-line="([a-z0-9-]+)" data-quantity="(\d+)"`)
	billTotal      = regexp.MustCompile(`data-total="(\d+)"`)
	cartKey        = regexp.MustCompile(`name="key" value="([^"]+)"`)
	orderStatus    = regexp.MustCompile(`data-status="([^"]*)"`)
	orderPayment   = regexp.MustCompile(`data-payment="([^"]*)"`)
	problemText    = regexp.MustCompile(`<p data-problem>([^<]*)</p>`)
)

// ask sends one request, as a form where there is one, and wants that status.
func (s *Shopper) ask(ctx context.Context, request, path string, form url.Values, want int) (page, error) {
	p := page{request: request}
	method, _, _ := strings.Cut(request, " ")
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return p, p.noAnswer(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := s.client.Do(req)
	if err != nil {
		return p, p.noAnswer(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return p, p.noAnswer(err)
	}
	p.body, p.location = string(body), res.Header.Get("Location")
	switch res.StatusCode {
	case want:
		return p, nil
	case http.StatusConflict:
		return p, errSoldOut
	}
	return p, &VisitError{Request: request, What: res.Status, Text: p.find(problemText)}
}

// Catalogue opens the front page and returns the ids of what is for sale.
func (s *Shopper) Catalogue(ctx context.Context) ([]string, error) {
	p, err := s.ask(ctx, "GET /", "/", nil, http.StatusOK)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, m := range catalogueEntry.FindAllStringSubmatch(p.body, -1) {
		ids = append(ids, m[1])
	}
	if len(ids) == 0 {
		return nil, p.wrong("nothing is for sale")
	}
	return ids, nil
}

// Product opens a product's page.
func (s *Shopper) Product(ctx context.Context, id string) error {
	p, err := s.ask(ctx, "GET /products/…", "/products/"+url.PathEscape(id), nil, http.StatusOK)
	if err == nil && !strings.Contains(p.body, `data-product="`+id+`"`) {
		return p.wrong("it is not the page of %s", id)
	}
	return err
}

// Add puts n of a product into the cart.
func (s *Shopper) Add(ctx context.Context, id string, n int) error {
	form := url.Values{"product": {id}, "quantity": {strconv.Itoa(n)}}
	p, err := s.ask(ctx, "POST /cart", "/cart", form, http.StatusSeeOther)
	if err == nil && p.location != "/cart" {
		return p.wrong("it leads to %q and not to the cart", p.location)
	}
	return err
}

// Bill is what a cart or an order says: what is in it, what it costs.
type Bill struct {
	Items  []Item // sorted by product
	Total  Cents
	Key    string // of a cart
	Status string // of an order
	// Payment is the provider's reference in an order that is paid: a second charge would have another one.
	Payment string
}

// Cart opens the cart.
func (s *Shopper) Cart(ctx context.Context) (Bill, error) {
	p, err := s.ask(ctx, "GET /cart", "/cart", nil, http.StatusOK)
	if err != nil {
		return Bill{}, err
	}
	b, err := p.bill()
	if b.Key = p.find(cartKey); err == nil && b.Key == "" {
		return b, p.wrong("one can't pay here")
	}
	return b, err
}

// Checkout pays for the cart as it was shown, and returns the order's address.
func (s *Shopper) Checkout(ctx context.Context, cart Bill, email string) (string, error) {
	form := url.Values{"key": {cart.Key}, "total": {strconv.FormatInt(int64(cart.Total), 10)}, "email": {email}}
	p, err := s.ask(ctx, "POST /checkout", "/checkout", form, http.StatusSeeOther)
	switch {
	case err != nil:
		return "", err
	case p.location == changedCart:
		return "", errPriceChanged
	case !strings.HasPrefix(p.location, "/orders/"):
		return "", p.wrong("it leads to %q and not to an order", p.location)
	}
	return p.location, nil
}

// Order opens an order's page.
func (s *Shopper) Order(ctx context.Context, path string) (Bill, error) {
	p, err := s.ask(ctx, "GET /orders/…", path, nil, http.StatusOK)
	if err != nil {
		return Bill{}, err
	}
	b, err := p.bill()
	b.Status, b.Payment = p.find(orderStatus), p.find(orderPayment)
	return b, err
}

// Cancel cancels an order.
func (s *Shopper) Cancel(ctx context.Context, path string) error {
	_, err := s.ask(ctx, "POST /orders/…/cancel", path+"/cancel", url.Values{}, http.StatusSeeOther)
	return err
}

func (p page) bill() (Bill, error) {
	var b Bill
	for _, m := range billLine.FindAllStringSubmatch(p.body, -1) {
		n, err := strconv.Atoi(m[2])
		if err != nil {
			return b, p.wrong("%s of %s", m[2], m[1])
		}
		b.Items = append(b.Items, Item{Product: m[1], Quantity: n})
	}
	slices.SortFunc(b.Items, func(a, b Item) int { return strings.Compare(a.Product, b.Product) })
	total, err := strconv.ParseInt(p.find(billTotal), 10, 64)
	if err != nil || len(b.Items) == 0 {
		return b, p.wrong("there is nothing in it")
	}
	b.Total = Cents(total)
	return b, nil
}

// find returns the first group of the pattern's first match, or "".
func (p page) find(pattern *regexp.Regexp) string {
	if m := pattern.FindStringSubmatch(p.body); m != nil {
		return html.UnescapeString(m[1])
	}
	return ""
}
