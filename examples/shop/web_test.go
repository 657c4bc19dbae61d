package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// get asks a shop that has no database: what these tests look at needs none.
func get(t *testing.T, method, path string, form url.Values) *httptest.ResponseRecorder {
	t.Helper()
	s := &Shop{log: slog.New(slog.DiscardHandler), release: "r-1"}
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func TestUpNeedsNothing(t *testing.T) {
	if w := get(t, "GET", "/up", nil); w.Code != http.StatusOK {
		t.Errorf("/up answers %d", w.Code)
	}
}

func TestRequestsThatMakeNoSense(t *testing.T) {
	for _, c := range []struct {
		method, path string
		form         url.Values
		want         int
	}{
		{"GET", "/nothing", nil, http.StatusNotFound},
		{"POST", "/cart", url.Values{"product": {"cup"}, "quantity": {"0"}}, http.StatusBadRequest},
		{"POST", "/cart", url.Values{"product": {"cup"}, "quantity": {"eleven"}}, http.StatusBadRequest},
		{"POST", "/checkout", url.Values{"email": {"a@shop.example"}}, http.StatusBadRequest},
		{"POST", "/checkout", url.Values{"key": {strings.Repeat("k", 26)}, "email": {"nobody"}}, http.StatusBadRequest},
		{"POST", "/checkout", url.Values{"key": {strings.Repeat("k", 26)}, "email": {"a@shop.example"}}, http.StatusBadRequest},
	} {
		if w := get(t, c.method, c.path, c.form); w.Code != c.want {
			t.Errorf("%s %s %v answers %d, want %d", c.method, c.path, c.form, w.Code, c.want)
		}
	}
}

func TestEmptyCartAndTheRelease(t *testing.T) {
	w := get(t, "GET", "/cart", nil)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "nothing in it yet") {
		t.Errorf("the empty cart answers %d", w.Code)
	}
	if !strings.Contains(w.Body.String(), "<code>r-1</code>") {
		t.Error("the page does not say which release it is")
	}
}

func TestProblemPages(t *testing.T) {
	s := &Shop{log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	for want, err := range map[int]error{
		http.StatusNotFound:            errNotFound,
		http.StatusConflict:            fmt.Errorf("cup: %w", errSoldOut),
		http.StatusPaymentRequired:     &DeclinedError{Reason: "no money"},
		http.StatusServiceUnavailable:  fmt.Errorf("%w: it is away", errPaymentDown),
		http.StatusInternalServerError: io.ErrUnexpectedEOF,
	} {
		w := httptest.NewRecorder()
		s.showProblem(w, httptest.NewRequest("GET", "/", nil), err)
		if w.Code != want || !strings.Contains(w.Body.String(), "data-problem") {
			t.Errorf("%v answers %d, want %d with a page", err, w.Code, want)
		}
	}
}
