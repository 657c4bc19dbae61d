package environment

import (
	"sync/atomic"
	"testing"

	"greenroom/internal/driver/docker"
	"greenroom/internal/home"
	"greenroom/internal/problem"
)

// TestSlowEngine: whom an Engine keeps waiting keeps nobody else waiting: neither what another app has to do with its network, nor who
// asks for the Engine himself.
func TestSlowEngine(t *testing.T) {
	h := home.Home(t.TempDir())
	must(t, h.Make())
	w := &World{Home: h}
	unlock := w.networks.lock("slow")
	must(t, (&Environment{App: "other", Name: "staging", world: w}).endNetwork())
	own := make(chan error)
	go func() { own <- (&Environment{App: "slow", Name: "staging", world: w}).endNetwork() }()
	unlock()
	must(t, <-own)

	asked, answers := make(chan bool), make(chan struct{})
	var calls atomic.Int32
	e := NewEngine(h, func() (*docker.Driver, error) {
		if calls.Add(1) == 1 {
			asked <- true
			<-answers
		}
		return nil, problem.New(problem.Unavailable, "no Engine answers")
	})
	first := make(chan error)
	go func() {
		_, err := e.Driver()
		first <- err
	}()
	<-asked
	if _, err := e.Driver(); err == nil {
		t.Error("there is an Engine")
	}
	close(answers)
	if err := <-first; err == nil {
		t.Error("there is an Engine after all")
	}
}
