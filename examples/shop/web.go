package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"time"
)

//go:embed pages/*.html
var pageFiles embed.FS

// pages holds each page by name, parsed once: a mistake in one is found when the program starts.
var pages = map[string]*template.Template{
	"catalogue": parsePage("catalogue"),
	"product":   parsePage("product"),
	"cart":      parsePage("cart"),
	"order":     parsePage("order"),
	"problem":   parsePage("problem"),
}

func parsePage(name string) *template.Template {
	return template.Must(template.ParseFS(pageFiles, "pages/layout.html", "pages/pictures.html", "pages/"+name+".html"))
}

// Shop is the shop's web site.
type Shop struct {
	store    *Store
	payments *Payments
	log      *slog.Logger
	release  string // shown at the foot of each page, may be empty
}

// Handler is all addresses of the shop.
func (s *Shop) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /up", up)
	mux.HandleFunc("GET /{$}", s.page(s.catalogue))
	mux.HandleFunc("GET /products/{id}", s.page(s.product))
	mux.HandleFunc("GET /cart", s.page(s.showCart))
	mux.HandleFunc("POST /cart", s.page(s.addToCart))
	mux.HandleFunc("POST /checkout", s.page(s.checkout))
	mux.HandleFunc("GET /orders/{id}", s.page(s.order))
	mux.HandleFunc("POST /orders/{id}/cancel", s.page(s.cancel))
	mux.HandleFunc("/", s.page(func(http.ResponseWriter, *http.Request) error { return errNotFound }))
	return http.MaxBytesHandler(mux, 1<<16)
}

// up says that the process runs and answers, and nothing more: whether a customer can buy, only buying shows.
func up(w http.ResponseWriter, _ *http.Request) {
	_, _ = w.Write([]byte("up\n"))
}

// page turns a handler that may fail into one that shows a page saying so. Every request has to be done in five seconds.
func (s *Shop) page(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		r = r.WithContext(ctx)
		if err := h(w, r); err != nil {
			s.showProblem(w, r, err)
		}
	}
}

// badRequestError is a request that a customer's browser does not send.
type badRequestError string

func (e badRequestError) Error() string { return string(e) }

func (s *Shop) showProblem(w http.ResponseWriter, r *http.Request, err error) {
	var declined *DeclinedError
	var bad badRequestError
	status, text := http.StatusInternalServerError, "Something went wrong on our side. Please try again."
	switch {
	case errors.Is(err, errNotFound):
		status, text = http.StatusNotFound, "There is nothing here."
	case errors.Is(err, errSoldOut):
		status, text = http.StatusConflict, "Sorry: "+err.Error()+"."
	case errors.As(err, &declined):
		status, text = http.StatusPaymentRequired, "Your payment was declined: "+declined.Reason+"."
	case errors.As(err, &bad):
		status, text = http.StatusBadRequest, bad.Error()
	case errors.Is(err, errPaymentDown):
		status, text = http.StatusServiceUnavailable, "The payment could not be made. Please try again: you will pay once only."
	}
	if status >= 500 {
		s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	_ = s.show(w, r, status, "problem", struct {
		Title, Text string
	}{http.StatusText(status), text}) // the page of last resort has no other
}

// show renders a page as a whole before its first byte goes out, so that an error can still be one.
func (s *Shop) show(w http.ResponseWriter, r *http.Request, status int, name string, data any) error {
	var b bytes.Buffer
	err := pages[name].ExecuteTemplate(&b, "layout", struct {
		Data    any
		InCart  int
		Release string
	}{data, cartSize(readCart(r)), s.release})
	if err != nil {
		http.Error(w, "Something went wrong on our side.", http.StatusInternalServerError)
		return nil
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // a customer who is gone needs no answer
	return nil
}

func (s *Shop) catalogue(w http.ResponseWriter, r *http.Request) error {
	products, err := s.store.Products(r.Context())
	if err != nil {
		return err
	}
	return s.show(w, r, http.StatusOK, "catalogue", products)
}

func (s *Shop) product(w http.ResponseWriter, r *http.Request) error {
	p, err := s.store.Product(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.show(w, r, http.StatusOK, "product", p)
}
