package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// What can be in the way of a customer, and of the shop.
var (
	errNotFound     = errors.New("not found")
	errSoldOut      = errors.New("sold out")
	errPriceChanged = errors.New("the price has changed")
	errNoDatabase   = errors.New("DATABASE_URL is not set: the address of the database")
)

// Product is one entry of the catalogue.
type Product struct {
	ID    string
	Name  string
	Blurb string
	Price Cents
	Stock int
}

// Store is the shop's database.
type Store struct{ db *pgxpool.Pool }

// OpenStore prepares a small pool of connections and does not connect yet, so that a replica starts at once. Ten
// replicas, twice that during a rollout, share one PostgreSQL of a hundred connections.
func OpenStore(ctx context.Context, url string) (*Store, error) {
	if url == "" {
		return nil, errNoDatabase
	}
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	c.MaxConns = 4
	c.MaxConnIdleTime = 30 * time.Second
	c.HealthCheckPeriod = 15 * time.Second
	c.ConnConfig.ConnectTimeout = 3 * time.Second
	c.ConnConfig.RuntimeParams["application_name"] = "shop"
	db, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return &Store{db: db}, nil
}

// Close ends all connections.
func (s *Store) Close() { s.db.Close() }

const selectProducts = `SELECT id, name, blurb, price, stock FROM products `

// Products is the catalogue, in its order.
func (s *Store) Products(ctx context.Context) ([]Product, error) {
	return s.products(ctx, selectProducts+`ORDER BY place`)
}

// ProductsByID finds some products. Those that don't exist are not in the answer.
func (s *Store) ProductsByID(ctx context.Context, ids []string) (map[string]Product, error) {
	list, err := s.products(ctx, selectProducts+`WHERE id = ANY($1)`, ids)
	if err != nil {
		return nil, err
	}
	found := make(map[string]Product, len(list))
	for _, p := range list {
		found[p.ID] = p
	}
	return found, nil
}

// Product finds one product, or errNotFound.
func (s *Store) Product(ctx context.Context, id string) (Product, error) {
	found, err := s.ProductsByID(ctx, []string{id})
	if err != nil {
		return Product{}, err
	}
	p, ok := found[id]
	if !ok {
		return Product{}, errNotFound
	}
	return p, nil
}

func (s *Store) products(ctx context.Context, query string, args ...any) ([]Product, error) {
	rows, err := s.db.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read the catalogue: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Product])
	if err != nil {
		return nil, fmt.Errorf("read the catalogue: %w", err)
	}
	return list, nil
}
