package docker_test

import (
	"slices"
	"testing"

	engine "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"greenroom/internal/driver"
	"greenroom/internal/driver/docker"
	"greenroom/internal/driver/docker/dockertest"
	"greenroom/internal/problem"
)

// TestJoin has a replica that outlives releases be in the network of one, then of two, and in that of the other alone, and go on
// the whole time.
func TestJoin(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	all, first, second := f.network("qa", "environment", docker.Addressed), f.network("qa", "first", docker.Names), f.network("qa", "second", docker.Names)
	in := func(id string) []string {
		t.Helper()
		got, err := f.stranger.ContainerInspect(f.ctx, f.nameOf(id), client.ContainerInspectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, e := range got.Container.NetworkSettings.Networks {
			ids = append(ids, e.NetworkID)
		}
		return slices.Sorted(slices.Values(ids))
	}
	want := func(when, id string, networks ...string) {
		t.Helper()
		if got := in(id); !slices.Equal(got, slices.Sorted(slices.Values(networks))) {
			t.Errorf("%s %s is in %v, want %v", when, id, got, networks)
		}
	}
	s := f.spec("cache", "stay")
	s.Release = ""
	s.Container.Networks = []driver.Attach{{Network: all.ID, Aliases: []string{"cache"}}, {Network: first.ID, Passing: true}}
	digest, err := driver.SpecDigest(s)
	if err != nil {
		t.Fatal(err)
	}
	was := f.startAndWait(s)
	if was.Spec != digest {
		t.Errorf("its spec is told as %s, and is %s", was.Spec, digest)
	}
	want("at first", "cache", all.ID, first.ID)
	for range 2 {
		if err := f.Join(f.ctx, "cache", second.ID); err != nil {
			t.Fatal(err)
		}
	}
	want("joined", "cache", all.ID, first.ID, second.ID)
	s.Container.Networks[1].Network = second.ID
	if again, err := driver.SpecDigest(s); err != nil || again != digest {
		t.Errorf("in another release's network it is another spec, %v", err)
	}
	if err := f.Join(f.ctx, "nobody", second.ID); err != nil {
		t.Errorf("nobody joins: %v", err)
	}
	keep := func(name string) bool { return name != "first" }
	if err := f.RemoveNetworks(f.ctx, "shop", "qa", keep); err != nil {
		t.Fatal(err)
	}
	want("left", "cache", all.ID, second.ID)
	if is := f.status("cache"); is.PID != was.PID {
		t.Errorf("it is process %d, and was %d", is.PID, was.PID)
	}

	web := f.spec("web", "stay")
	web.Container.Networks = []driver.Attach{{Network: second.ID}}
	f.startAndWait(web)
	made, err := f.stranger.ContainerCreate(f.ctx, client.ContainerCreateOptions{Name: "stranger-in-second",
		Config:     &engine.Config{Image: f.image, Cmd: web.Command},
		HostConfig: &engine.HostConfig{NetworkMode: engine.NetworkMode(second.ID)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.stranger.ContainerStart(f.ctx, made.ID, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	err = f.RemoveNetworks(f.ctx, "shop", "qa", func(name string) bool { return name == "environment" })
	wantProblem(t, err, problem.Blocked, "second")
	want("a release's own", "web", second.ID)
	if _, err := f.stranger.ContainerRemove(f.ctx, made.ID, client.ContainerRemoveOptions{Force: true}); err != nil {
		t.Error(err)
	}
}

// TestAnswers asks an Engine that is there, and one that is not, and does not wait for it.
func TestAnswers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Start(t))
	if err := f.Answers(f.ctx); err != nil {
		t.Error(err)
	}
	for _, id := range []string{"web", "web2"} {
		f.start(f.spec(id, "stay"))
	}
	s := f.spec("other", "stay")
	s.Environment = "staging"
	f.start(s)
	there, err := f.Environments(f.ctx)
	slices.SortFunc(there, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	if err != nil || !slices.Equal(there, [][2]string{{"shop", "qa"}, {"shop", "staging"}}) {
		t.Errorf("there are %v, %v", there, err)
	}
	if _, err := f.stranger.ImageTag(f.ctx, client.ImageTagOptions{Source: f.image, Target: "app:1"}); err != nil {
		t.Error(err)
	}
	if err := f.Keep(f.ctx, f.image); err != nil {
		t.Error(err)
	}
	if kept, err := f.Kept(f.ctx); err != nil || !slices.Equal(kept, []string{f.image}) {
		t.Errorf("kept are %v, %v", kept, err)
	}
	f.engine.Kill(t)
	wantProblem(t, f.Answers(f.ctx), problem.Unavailable, "no Docker Engine answers")
	f.engine.Return(t)
	if err := f.Answers(f.ctx); err != nil {
		t.Error(err)
	}
}
