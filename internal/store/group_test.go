package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"greenroom/internal/problem"
)

// together lets changes wait for the turn, and then run. Each is given the number of its try.
func together(t *testing.T, s *Store, changes ...func(tx *Tx) error) []error {
	t.Helper()
	if err := s.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	errs := make([]error, len(changes))
	var work sync.WaitGroup
	for i, do := range changes {
		work.Go(func() {
			errs[i] = s.Change(context.Background(), Audit{Actor: "ann", Action: fmt.Sprint("change ", i)}, do)
		})
	}
	for range 100 { // most of them, at least, are in the queue then
		runtime.Gosched()
	}
	s.give()
	work.Wait()
	return errs
}

func putApp(name string) func(tx *Tx) error {
	return func(tx *Tx) error { return tx.PutApp(context.Background(), App{Name: name}) }
}

// names are the apps that are kept.
func names(t *testing.T, s *Store) string {
	t.Helper()
	apps, err := s.Apps(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, a := range apps {
		all = append(all, a.Name)
	}
	return strings.Join(all, " ")
}

// until repeats a test of something that takes chance, until that has happened.
func until(t *testing.T, what string, try func(s *Store) bool) {
	t.Helper()
	for range 200 {
		s := openFile(t, filepath.Join(inMemory(t), "state.db"))
		if try(s) {
			return
		}
	}
	t.Errorf("it never came to pass: %s", what)
}

func TestChangesAtTheSameTimeShareATransaction(t *testing.T) {
	until(t, "a group of several", func(s *Store) bool {
		var mu sync.Mutex
		largest := 0
		share := func(name string) func(tx *Tx) error {
			return func(tx *Tx) error {
				mu.Lock()
				defer mu.Unlock()
				largest = max(largest, tx.group.size)
				return putApp(name)(tx)
			}
		}
		for _, err := range together(t, s, share("a"), share("b"), share("c"), share("d")) {
			if err != nil {
				t.Fatal(err)
			}
		}
		if got := names(t, s); got != "a b c d" {
			t.Fatalf("%s are here", got)
		}
		if head := verified(t, s); head.Seq != 4 {
			t.Fatalf("%d entries", head.Seq)
		}
		return largest > 1
	})
}

func TestAFailingChangeTakesNobodyAlong(t *testing.T) {
	failed := errors.New("no luck")
	until(t, "a failure within a group", func(s *Store) bool {
		shared := false
		fail := func(tx *Tx) error {
			shared = tx.group.size > 1
			return errors.Join(putApp("bad")(tx), failed)
		}
		errs := together(t, s, putApp("a"), fail, putApp("b"))
		if errs[0] != nil || !errors.Is(errs[1], failed) || errs[2] != nil {
			t.Fatal(errs)
		}
		if got := names(t, s); got != "a b" {
			t.Fatalf("%s are here", got)
		}
		if head := verified(t, s); head.Seq != 2 {
			t.Fatalf("%d entries", head.Seq)
		}
		return shared
	})
}

// A full disk makes SQLite roll back all of a transaction. Who shared it with the one that was too large does not suffer.
func TestAFullDiskStopsOnlyWhatDoesNotFit(t *testing.T) {
	until(t, "a full disk within a group", func(s *Store) bool {
		limit(t, s, 40)
		shared := false
		large := func(tx *Tx) error {
			shared = shared || tx.group.size > 1
			return tx.PutApp(context.Background(), App{Name: "large", Repository: strings.Repeat("x", 1<<20)})
		}
		errs := together(t, s, putApp("a"), large, putApp("b"), large, putApp("c"))
		for i, err := range errs {
			if i%2 == 0 && err != nil {
				t.Fatalf("change %d: %v", i, err)
			}
		}
		wantProblem(t, errs[1], problem.Unavailable, "the disk is full", "make room")
		wantProblem(t, errs[3], problem.Unavailable, "the disk is full", "make room")
		if got := names(t, s); got != "a b c" {
			t.Fatalf("%s are here", got)
		}
		if head := verified(t, s); head.Seq != 3 {
			t.Fatalf("%d entries", head.Seq)
		}
		return shared
	})
}

// Writers that nobody coordinates, and one write that fails somewhere: who was told yes is there, who was told no is not.
func TestAFaultAmongManyWriters(t *testing.T) {
	t.Cleanup(func() { failAt(0, false) })
	s, err := Open(t.Context(), filepath.Join(inMemory(t), "state.db"), faultyOptions(newRing()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	for n := 1; n <= 60; n++ {
		failAt(n, n%2 == 0)
		const writers = 8
		told := make([]error, writers)
		var work sync.WaitGroup
		for i := range writers {
			work.Go(func() {
				told[i] = s.Change(context.Background(), Audit{Actor: "ann", Action: "test"}, putApp(fmt.Sprint(n, "-", i)))
			})
		}
		work.Wait()
		failAt(0, false)
		here := " " + names(t, s) + " "
		for i, err := range told {
			if err != nil && !errors.Is(err, errInjected) {
				t.Fatal(err)
			}
			if there := strings.Contains(here, fmt.Sprintf(" %d-%d ", n, i)); there != (err == nil) {
				t.Errorf("write %d: writer %d was told %v, and is there: %v", n, i, err, there)
			}
		}
	}
	verified(t, s)
}

func TestAPanicHurtsOnlyItsOwnChange(t *testing.T) {
	s := open(t)
	panicking := func() (v any) {
		defer func() { v = recover() }()
		change(t, s, func(tx *Tx) error {
			if err := putApp("half")(tx); err != nil {
				return err
			}
			panic("a bug")
		})
		return nil
	}
	if v := panicking(); v != "a bug" {
		t.Errorf("it panicked with %v", v)
	}
	left := make(chan struct{})
	go func() { // as t.FailNow does
		defer close(left)
		_ = s.transact(context.Background(), func(*Tx) error { runtime.Goexit(); return nil })
	}()
	<-left
	if s.open != nil || len(s.turn) != 0 {
		t.Error("it left its transaction open")
	}
	change(t, s, putApp("next"))
	if got := names(t, s); got != "next" {
		t.Errorf("%s are here", got)
	}
	verified(t, s)
}

func TestWhoGivesUpWaitingHasNotBegun(t *testing.T) {
	s := open(t)
	if err := s.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan error)
	go func() {
		told <- s.Change(ctx, Audit{Actor: "ann", Action: "test"}, func(*Tx) error {
			t.Error("it has begun")
			return nil
		})
	}()
	cancel()
	if err := <-told; !errors.Is(err, context.Canceled) {
		t.Errorf("told %v", err)
	}
	s.give()
	if err := s.Change(ctx, Audit{Actor: "ann", Action: "test"}, putApp("late")); !errors.Is(err, context.Canceled) {
		t.Errorf("told %v", err)
	}
}

// A change that is cancelled half-way is undone as a whole, and interrupts nobody.
func TestAChangeThatIsCancelledHalfWay(t *testing.T) {
	s := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Change(ctx, Audit{Actor: "ann", Action: "test"}, func(tx *Tx) error {
		if err := tx.PutApp(ctx, App{Name: "half"}); err != nil {
			return err
		}
		cancel()
		return tx.PutApp(ctx, App{Name: "other half"})
	})
	if !errors.Is(err, context.Canceled) || names(t, s) != "" {
		t.Errorf("told %v, and %q is here", err, names(t, s))
	}
	change(t, s, putApp("next"))
}

// What SQLite may have undone is not gone on with, whatever the change makes of the error.
func TestAChangeCantGoOnAfterAFailure(t *testing.T) {
	t.Cleanup(func() { failAt(0, false) })
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), faultyOptions(newRing()))
	if err != nil {
		t.Fatal(err)
	}
	err = s.Change(t.Context(), Audit{Actor: "ann", Action: "test"}, func(tx *Tx) error {
		failAt(1, true)
		_ = putApp("one")(tx)
		_ = putApp("two")(tx)
		return nil
	})
	if !errors.Is(err, errInjected) || names(t, s) != "" {
		t.Errorf("told %v, and %q is here", err, names(t, s))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Change(t.Context(), Audit{Actor: "ann", Action: "test"}, putApp("late")); !errors.Is(err, errClosed) {
		t.Errorf("after the end: %v", err)
	}
}
