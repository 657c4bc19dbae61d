package docker_test

import (
	"fmt"
	"sync"
	"testing"

	"greenroom/internal/driver"
	"greenroom/internal/driver/docker"
	"greenroom/internal/driver/docker/dockertest"
)

// BenchmarkReconcile50 makes sure that 50 containers run which run, and lists them: what a look at an environment of 20 services
// costs in which nothing changed.
func BenchmarkReconcile50(b *testing.B) {
	f := newFixture(b, dockertest.Start(b))
	networks := make([]string, 5) // those of a test's Engine are small
	for i := range networks {
		networks[i] = f.network("qa", fmt.Sprint(i), docker.Names).ID
	}
	specs := make([]driver.Spec, 50)
	for i := range specs {
		s := f.spec(fmt.Sprintf("web.%d", i), "stay")
		s.Service = fmt.Sprintf("service%d", i%20)
		s.Container.Networks = []driver.Attach{{Network: networks[i%len(networks)]}}
		specs[i] = s
	}
	f.startAll(specs)
	for _, size := range []string{"starts and list", "list"} {
		b.Run(size, func(b *testing.B) {
			for b.Loop() {
				if size != "list" {
					f.startAll(specs)
				}
				all, err := f.List(f.ctx, driver.Filter{App: "shop"})
				if err != nil || len(all) != len(specs) {
					b.Fatalf("%d, %v", len(all), err)
				}
				for _, st := range all {
					if st.Phase != driver.Healthy {
						b.Fatalf("status %+v", st)
					}
				}
			}
		})
	}
}

// startAll starts all as an environment does: some at a time.
func (f *fixture) startAll(specs []driver.Spec) {
	slots := make(chan struct{}, 16)
	var wg sync.WaitGroup
	for _, s := range specs {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if _, err := f.Start(f.ctx, s); err != nil {
				f.Error(err)
			}
		})
	}
	wg.Wait()
}
