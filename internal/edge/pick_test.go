package edge

import (
	"fmt"
	"math"
	"net/http"
	"net/http/cookiejar"
	"testing"

	"pgregory.net/rapid"
)

func TestSharesAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		left, weights := buckets, []int{}
		for left > 0 {
			w := rapid.IntRange(0, left).Draw(t, "weight")
			weights = append(weights, w)
			if left -= w; len(weights) == 6 {
				weights = append(weights, left)
				left = 0
			}
		}
		got := make([]int, len(weights))
		for b := range buckets {
			got[poolOf(weights, b)]++
		}
		for i := range weights {
			if got[i] != weights[i] {
				t.Fatalf("weights %v have %v buckets", weights, got)
			}
		}
		if i := poolOf(weights, buckets); i != -1 {
			t.Fatalf("a bucket too many went to pool %d", i)
		}
	})
}

// Who is in a release whose share grows stays there.
func TestGrowingShareKeepsItsOwn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := rapid.IntRange(0, 100).Draw(t, "before")
		after := rapid.IntRange(before, 100).Draw(t, "after")
		b := rapid.IntRange(0, 99).Draw(t, "bucket")
		if poolOf([]int{before, 100 - before}, b) == 0 && poolOf([]int{after, 100 - after}, b) != 0 {
			t.Fatal("the first pool lost it")
		}
		if poolOf([]int{100 - before, before}, b) == 1 && poolOf([]int{100 - after, after}, b) != 1 {
			t.Fatal("the last pool lost it")
		}
	})
}

// 10 % is 10 %: five standard deviations of the binomial distribution are allowed, one run in two million errs.
func TestShareOfTenPercent(t *testing.T) {
	k := newKeeper()
	for _, sticky := range []bool{false, true} {
		r := k.route(Route{Name: "r", Sticky: sticky, Pools: []Pool{share("new", 10, "127.0.0.1:9"), share("old", 90, "127.0.0.1:9")}})
		const n = 200_000
		hits := 0
		req, _ := http.NewRequest(http.MethodGet, "http://h/", nil)
		for range n {
			b, tell := r.bucket(req)
			if tell != sticky {
				t.Fatal("a client is told its bucket when the share is sticky, and only then")
			}
			if r.pool(b).spec.Release == "new" {
				hits++
			}
		}
		if off := math.Abs(float64(hits) - n*0.1); off > 5*math.Sqrt(n*0.1*0.9) {
			t.Errorf("sticky %v: %d of %d", sticky, hits, n)
		}
	}
}

func TestStickyShares(t *testing.T) {
	e := start(t, Options{})
	older, newer := backendOf(t, says("old")), backendOf(t, says("new"))
	split := func(weight int) {
		e.swap(e.route([]Pool{share("new", weight, newer), share("old", 100-weight, older)}, func(r *Route) { r.Sticky = true }))
	}
	split(30)
	inNew := map[int]bool{}
	var people []*http.Client
	for i := range 60 {
		jar, _ := cookiejar.New(nil)
		c := client(t)
		c.Jar = jar
		people = append(people, c)
		_, first := get(t, c, e.url("/"))
		for range 3 {
			if _, again := get(t, c, e.url("/")); again != first {
				t.Errorf("person %d changed from %s to %s", i, first, again)
			}
		}
		inNew[i] = first == "new"
	}
	split(60)
	for i, c := range people {
		if _, now := get(t, c, e.url("/")); inNew[i] && now != "new" {
			t.Errorf("person %d was taken out of the growing release", i)
		}
	}
	// Nonsense in the cookie is answered with a new bucket.
	for _, v := range []string{"-1", "100", "x", "9999999999999999999999"} {
		req, _ := http.NewRequest(http.MethodGet, e.url("/"), nil)
		req.AddCookie(&http.Cookie{Name: shareCookie, Value: v})
		res, err := client(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if len(res.Cookies()) != 1 || !res.Cookies()[0].HttpOnly {
			t.Errorf("cookie %s: %v", v, res.Cookies())
		}
	}
	split(100)
	res, err := client(t).Get(e.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if len(res.Cookies()) != 0 {
		t.Error("a cookie is set although there is nothing to choose")
	}
}

func TestNextTakesTheLeastBusyThatIsWell(t *testing.T) {
	p := &pool{}
	for i := range 3 {
		p.backends = append(p.backends, newBackend(backendKey{network: "tcp", address: fmt.Sprint("127.0.0.1:", i+1)}))
	}
	p.backends[0].inFlight.Store(2)
	p.backends[1].inFlight.Store(1)
	why := "it is sick"
	p.backends[2].sick.Store(&why)
	if got := p.next(nil); got != p.backends[1] {
		t.Errorf("took %s", got.key.address)
	}
	if got := p.next(p.backends[1:2]); got != p.backends[0] {
		t.Errorf("second try: took %s", got.key.address)
	}
	if got := p.next(p.backends[:2]); got != p.backends[2] {
		t.Errorf("third try: took %s", got.key.address)
	}
	p.backends[0].inFlight.Store(1)
	taken := map[*backend]int{}
	for range 100 {
		taken[p.next(nil)]++
	}
	if taken[p.backends[0]] < 30 || taken[p.backends[1]] < 30 {
		t.Errorf("equals do not take turns: %v", taken)
	}
}
