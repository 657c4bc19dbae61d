package examples

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestStory runs every release as the demo does, on a real PostgreSQL, and wants each to do what the story says of it.
func TestStory(t *testing.T) {
	db := startPostgres(t)
	shops := map[string]program{}
	for _, release := range Releases() {
		shops[release] = build(t, release)
	}
	v1, broken, fixed, doomed := shops[Base], shops[Broken], shops[Fixed], shops[Doomed]
	slow, safe := shops[Slow], shops[Safe]

	t.Run("the base release sells", func(t *testing.T) { sells(t, v1, db.database(t)) })
	t.Run("one click or twenty is one order", func(t *testing.T) { ordersOnce(t, v1, db.database(t)) })
	t.Run("the last cup is sold once", func(t *testing.T) { sellsTheLastCup(t, v1, db.database(t)) })
	t.Run("the broken release is green but for the customer", func(t *testing.T) { breaks(t, broken, v1, db.database(t)) })
	t.Run("the fixed release and the one before live on its schema", func(t *testing.T) {
		livesWith(t, fixed, v1, db.database(t))
	})
	t.Run("two releases sell side by side", func(t *testing.T) { sellTogether(t, v1, fixed, db.database(t)) })
	t.Run("the slow release stops all who read orders, the safe one nobody", func(t *testing.T) { numbers(t, slow, safe, fixed, db) })
	t.Run("the safe release and the one before live on its schema", func(t *testing.T) {
		livesWith(t, safe, fixed, db.database(t))
	})
	t.Run("the safe release where the slow one was", func(t *testing.T) { livesWith(t, safe, slow, db.database(t)) })
	t.Run("the doomed release and the one before live on its schema", func(t *testing.T) {
		livesWith(t, doomed, safe, db.database(t))
	})
	t.Run("the doomed release fails its real customers only", func(t *testing.T) { fails(t, doomed, safe, db.database(t)) })
}

func sells(t *testing.T, v1 program, database string) {
	v1.migrates(t, database)
	stock := number(t, database, "SELECT sum(stock) FROM products")
	shop := v1.opens(t, database, 10)
	v1.succeeds(t, shop)
	if n := number(t, database, "SELECT stock FROM products WHERE id = 'cup'"); n != stock/8 {
		t.Errorf("after a journey there are %d cups of %d: it did not clean up", n, stock/8)
	}
	seen := v1.customers(t, shop, func(r report) bool { return r.Orders >= 20 })
	if seen.Failed != 0 || seen.Twice != 0 || seen.P99 == 0 {
		t.Errorf("the customers saw %+v", seen)
	}
	paid := number(t, database, "SELECT count(*) FROM orders WHERE status = 'paid'")
	if charges := number(t, database, "SELECT count(*) FROM provider_charges WHERE status = 'approved' AND NOT refunded"); charges != paid || paid != seen.Orders {
		t.Errorf("%d orders were seen, %d are paid, %d were charged", seen.Orders, paid, charges)
	}
	sold := number(t, database, "SELECT sum(quantity) FROM order_lines JOIN orders ON id = order_id WHERE status = 'paid'")
	if left := number(t, database, "SELECT sum(stock) FROM products"); left != stock-sold {
		t.Errorf("%d things were sold of %d, %d are left", sold, stock, left)
	}
}

func ordersOnce(t *testing.T, v1 program, database string) {
	v1.migrates(t, database)
	shop := v1.opens(t, database, 3)
	var clicks sync.WaitGroup
	orders := make([]string, 20)
	for i := range orders {
		clicks.Go(func() { _, orders[i] = buys(t, shop, "one-and-the-same-key") })
	}
	clicks.Wait()
	if different := slices.Compact(slices.Sorted(slices.Values(orders))); len(different) != 1 || different[0] == "" {
		t.Errorf("twenty clicks led to %q", different)
	}
	if n := number(t, database, "SELECT count(*) FROM provider_charges"); n != 1 {
		t.Errorf("the customer paid %d times", n)
	}
}

func sellsTheLastCup(t *testing.T, v1 program, database string) {
	v1.migrates(t, database)
	shop := v1.opens(t, database, 3)
	execute(t, database, "UPDATE products SET stock = 5 WHERE id = 'cup'")
	var customers sync.WaitGroup
	statuses := make([]int, 20)
	for i := range statuses {
		customers.Go(func() { statuses[i], _ = buys(t, shop, fmt.Sprintf("the-key-of-customer-%d", i)) })
	}
	customers.Wait()
	got := map[int]int{}
	for _, s := range statuses {
		got[s]++
	}
	if want := map[int]int{http.StatusSeeOther: 5, http.StatusConflict: 15}; !maps.Equal(got, want) {
		t.Errorf("five cups and twenty customers: %v, want %v", got, want)
	}
	if n := number(t, database, "SELECT stock FROM products WHERE id = 'cup'"); n != 0 {
		t.Errorf("%d cups are left", n)
	}
}

func breaks(t *testing.T, broken, v1 program, database string) {
	broken.migrates(t, database)
	shop := broken.opens(t, database, 1) // which waits for /up to be green
	env := []string{"APP_URL=" + shop}
	if out, err := broken.does(t, env, "journey", "browse"); err != nil {
		t.Errorf("browse: %v\n%s", err, out)
	}
	for _, p := range []program{broken, v1} {
		out, err := p.does(t, env, "journey", "buy")
		if err == nil || !strings.Contains(out, "FAIL  pay: POST /checkout: 402 Payment Required") || !strings.Contains(out, "amount mismatch") {
			t.Errorf("the journey ends with %v:\n%s", err, out)
		}
	}
	if n := number(t, database, "SELECT count(*) FROM orders WHERE status <> 'declined'"); n != 0 {
		t.Errorf("%d orders are not declined", n)
	}
	if n := number(t, database, "SELECT count(DISTINCT stock) FROM products"); n != 1 {
		t.Error("the stock of a declined order was not put back")
	}
}

// livesWith brings a database from the schema of old to that of young while old sells, as a promotion does, and wants
// the journeys of both to succeed in both, on the new schema and after going back.
func livesWith(t *testing.T, young, old program, database string) {
	old.migrates(t, database)
	before := old.opens(t, database, 1)
	old.succeeds(t, before)
	young.migrates(t, database)
	old.succeeds(t, before)
	after := young.opens(t, database, 1)
	for range 3 {
		young.succeeds(t, after)
		old.succeeds(t, after)
		young.succeeds(t, before)
	}
	old.migrates(t, database) // finds a newer schema and leaves it alone
	old.succeeds(t, before)
}

// sellTogether wants no customer to notice a rollout between two releases that have different prices.
func sellTogether(t *testing.T, old, young program, database string) {
	young.migrates(t, database)
	shop := open(t, database, old, old, young, young)
	seen := young.customers(t, shop, func(r report) bool { return r.Orders >= 40 && r.NewPrice > 0 })
	if seen.Failed != 0 || seen.Twice != 0 {
		t.Errorf("the customers saw %+v", seen)
	}
}

// fails wants the doomed release to pass more journeys than any rehearsal has, to sell to real customers for a while,
// and then to answer more and more of them with 500; and the release before to sell on, on the same database.
func fails(t *testing.T, doomed, fixed program, database string) {
	fixed.migrates(t, database)
	doomed.migrates(t, database)
	shop := doomed.opens(t, database, 10)
	for range 45 { // of three things each, more than the vans have room for: a journey gives it back
		doomed.succeeds(t, shop, "buy")
	}
	seen := doomed.customers(t, shop, func(r report) bool { return r.Failed >= 20 })
	if seen.Orders < 30 || seen.Orders > 120 {
		t.Errorf("it sold to %d customers, which is too few or too many for the story", seen.Orders)
	}
	const only = "POST /checkout: 500 Internal Server Error"
	if seen.Failures[only] != seen.Failed {
		t.Errorf("it failed with %v, want only %q", seen.Failures, only)
	}
	again := fixed.opens(t, database, 2)
	fixed.succeeds(t, again)
	if seen := fixed.customers(t, again, func(r report) bool { return r.Orders >= 10 }); seen.Failed != 0 {
		t.Errorf("after going back the customers saw %+v", seen)
	}
}

// numbers gives a shop with a past its invoice numbers both ways, and looks whether the table was written anew under them.
func numbers(t *testing.T, slow, safe, fixed program, db *postgres) {
	const file, orders = "SELECT relfilenode::bigint FROM pg_class WHERE relname = 'orders'", 12_000
	for _, c := range []struct {
		name    string
		young   program
		rewrite bool
	}{{"slow", slow, true}, {"safe", safe, false}} {
		database := db.database(t)
		fixed.migrates(t, database)
		if out, err := fixed.does(t, []string{"DATABASE_URL=" + database}, "history", "--orders", fmt.Sprint(orders)); err != nil {
			t.Fatalf("history: %v\n%s", err, out)
		}
		before := number(t, database, file)
		c.young.migrates(t, database)
		if after := number(t, database, file); (after != before) != c.rewrite {
			t.Errorf("the %s release wrote the table anew: %t", c.name, after != before)
		}
		if n := number(t, database, "SELECT count(DISTINCT invoice) FROM orders"); n != orders {
			t.Errorf("with the %s release %d of %d orders have a number of their own", c.name, n, orders)
		}
		if n := number(t, database, "SELECT count(*) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'invoice' AND attnotnull"); n != 1 {
			t.Errorf("after the %s release an order may be without a number", c.name)
		}
	}
}

func execute(t *testing.T, url, statement string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	must(t, err)
	defer func() { _ = c.Close(t.Context()) }()
	_, err = c.Exec(t.Context(), statement)
	must(t, err)
}
