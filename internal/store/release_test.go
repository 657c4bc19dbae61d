package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// colliding finds two documents whose digests begin with the same four digits.
func colliding() (a, b []byte) {
	seen := map[string][]byte{}
	for i := 0; ; i++ {
		d := fmt.Appendf(nil, "document %d", i)
		short := release.Of(d).Short()[:shortest]
		if seen[short] != nil {
			return seen[short], d
		}
		seen[short] = d
	}
}

func build(t testing.TB, s *Store, document []byte, revision, ref string) release.Digest {
	t.Helper()
	d := release.Of(document)
	change(t, s, func(tx *Tx) error {
		return tx.PutRelease(t.Context(), document, Build{Release: d, App: "shop", Revision: revision, Ref: ref, At: noon, By: "ann"})
	})
	return d
}

func TestResolve(t *testing.T) {
	s := open(t)
	_, err := s.Resolve(t.Context(), "shop", Latest)
	wantProblem(t, err, problem.NotFound, "nothing was built of shop yet", "greenroom build")

	one, two := colliding()
	three := []byte("three")
	first := strings.Repeat("a", 40)
	a := build(t, s, one, first, "main")
	b := build(t, s, two, "aaaa"+strings.Repeat("b", 36), "feature")
	c := build(t, s, three, strings.Repeat("c", 40), "main")
	again := strings.Repeat("d", 40)
	build(t, s, one, again, "hotfix") // the same inputs at another commit

	for name, want := range map[string]release.Digest{
		Latest:                         a,
		string(c):                      c,
		c.Short():                      c,
		string(c[len("sha256:"):])[:4]: c,
		a.Short():                      a,
		b.Short():                      b,
		first:                          a,
		"aaaab":                        b,
		again[:4]:                      a,
		"main":                         c,
		"feature":                      b,
		"hotfix":                       a,
	} {
		got, err := s.Resolve(t.Context(), "shop", name)
		if err != nil || got.Release != want {
			t.Errorf("%s: %s, %v, want %s", name, got.Release.Short(), err, want.Short())
		}
	}
	for _, name := range []string{a.Short()[:shortest], "aaaa"} {
		_, err := s.Resolve(t.Context(), "shop", name)
		wantProblem(t, err, problem.Invalid, fmt.Sprintf("%q is the name of several releases of shop: ", name), "more of the id")
		if !strings.Contains(err.Error(), a.Short()) || !strings.Contains(err.Error(), b.Short()) {
			t.Errorf("does not name both: %v", err)
		}
	}
	for _, name := range []string{"", "nothing", c.Short()[:3], "sha256:" + c.Short(), "main'--", "%", strings.ToUpper(string(c))} {
		_, err := s.Resolve(t.Context(), "shop", name)
		wantProblem(t, err, problem.NotFound, fmt.Sprintf("no release %q of shop", name), "at least 4 digits")
	}
	_, err = s.Resolve(t.Context(), "blog", c.Short())
	wantProblem(t, err, problem.NotFound, "no release", "greenroom status")
}

// A branch may be called like a commit: that is two names, never a guess.
func TestResolveNeverGuesses(t *testing.T) {
	s := open(t)
	build(t, s, []byte("one"), "beef"+strings.Repeat("0", 36), "main")
	build(t, s, []byte("two"), strings.Repeat("1", 40), "beef")
	_, err := s.Resolve(t.Context(), "shop", "beef")
	wantProblem(t, err, problem.Invalid, "several releases", "")
}

func TestReleases(t *testing.T) {
	s := open(t)
	a := build(t, s, []byte("one"), "1", "main")
	b := build(t, s, []byte("two"), "2", "main")
	build(t, s, []byte("one"), "3", "main")
	all, err := s.Releases(t.Context(), "shop", 0)
	if err != nil || len(all) != 2 || all[0].Release != a || all[0].Revision != "3" || all[1].Release != b || !all[0].At.Equal(noon) || all[0].By != "ann" {
		t.Errorf("%+v, %v", all, err)
	}
	if all, err := s.Releases(t.Context(), "shop", 1); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	document, err := s.Document(t.Context(), a)
	if err != nil || string(document) != "one" {
		t.Errorf("%q, %v", document, err)
	}
	_, err = s.Document(t.Context(), release.Of([]byte("none")))
	wantProblem(t, err, problem.NotFound, "there is no release", "greenroom build")
	err = s.Change(t.Context(), Audit{Actor: "ann", Action: "test"}, func(tx *Tx) error {
		return tx.PutRelease(t.Context(), []byte("forged"), Build{Release: a, App: "shop"})
	})
	wantProblem(t, err, problem.Invalid, "not that of the release", "")
}

// fill puts 10,000 releases of a usual size into the store.
func fill(b *testing.B, s *Store) []release.Digest {
	b.Helper()
	var all []release.Digest
	padding := strings.Repeat("x", 4000)
	change(b, s, func(tx *Tx) error {
		for i := range 10_000 {
			document := fmt.Appendf(nil, "%d %s", i, padding)
			d := release.Of(document)
			all = append(all, d)
			if err := tx.PutRelease(b.Context(), document, Build{Release: d, App: "shop", Revision: string(release.Of([]byte(d))[7:47]),
				Ref: fmt.Sprint("branch-", i), At: noon.Add(time.Duration(i) * time.Minute), By: "ann"}); err != nil {
				return err
			}
		}
		return nil
	})
	return all
}

func BenchmarkTenThousandReleases(b *testing.B) {
	s := open(b)
	all := fill(b, s)
	b.Run("resolve id", func(b *testing.B) {
		for i := range b.N {
			if _, err := s.Resolve(b.Context(), "shop", all[i%len(all)].Short()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("resolve ref", func(b *testing.B) {
		for i := range b.N {
			if _, err := s.Resolve(b.Context(), "shop", fmt.Sprint("branch-", i%len(all))); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("latest", func(b *testing.B) {
		for range b.N {
			if _, err := s.Resolve(b.Context(), "shop", Latest); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("list 50", func(b *testing.B) {
		for range b.N {
			if _, err := s.Releases(b.Context(), "shop", 50); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("open", func(b *testing.B) {
		for range b.N {
			again, err := Open(b.Context(), s.file, testOptions())
			if err != nil {
				b.Fatal(err)
			}
			if err := again.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
