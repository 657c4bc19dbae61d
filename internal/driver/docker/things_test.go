package docker_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/driver/docker"
	"greenroom/internal/driver/docker/dockertest"
	"greenroom/internal/problem"
)

const password = "correct-horse-battery"

// TestFiles puts secrets and configs into containers, and looks for them wherever the Engine tells of one.
func TestFiles(t *testing.T) {
	t.Parallel()
	memory := []driver.Tmpfs{{Target: "/run"}}
	for name, c := range map[string]struct {
		readOnly bool
		memory   []driver.Tmpfs
	}{"writable": {}, "read-only": {readOnly: true}, "in memory": {memory: memory}, "in memory, the rest read-only": {true, memory}} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, dockertest.Shared(t))
			s := f.spec("web", "print:now", "show:/run/secrets/db", "show:/etc/shop/conf/shop.conf", "is:URL=postgres://shop:url-"+password+"@db/shop", "show-env:URL", "stay")
			s.Env = map[string]string{"URL": "postgres://shop:url-" + password + "@db/shop"}
			s.Secrets = []string{"url-" + password}
			s.Container.ReadOnly, s.Container.Tmpfs = c.readOnly, c.memory
			s.Container.Files = []driver.File{
				{Target: "/run/secrets/db", Content: []byte("file-" + password + "\n"), Mode: 0o400, Secret: true},
				{Target: "/etc/shop/conf/shop.conf", Content: []byte("color = green\n")},
			}
			f.startAndWait(s)
			f.until("shown", func() bool { return strings.Count(f.logs("web"), "\n") >= 4 })
			// A driver that never saw the spec takes out the same.
			for _, d := range []*docker.Driver{f.Driver, openOn(t, f.engine, t.Name())} {
				var b bytes.Buffer
				if err := d.Logs(f.ctx, "web", driver.LogOptions{}, &b); err != nil {
					t.Fatal(err)
				}
				if got := b.String(); strings.Contains(got, password) || !strings.Contains(got, "color = green") || !strings.Contains(got, "postgres://shop:***@db/shop") {
					t.Errorf("it printed %q", got)
				}
			}
			in, err := f.stranger.ContainerInspect(f.ctx, f.nameOf("web"), client.ContainerInspectOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(in.Raw, []byte("file-"+password)) || bytes.Contains(in.Raw, []byte("green\\n")) {
				t.Errorf("the Engine tells the contents: %s", in.Raw)
			}
			for label, value := range in.Container.Config.Labels {
				if strings.Contains(value, password) {
					t.Errorf("label %s holds a secret", label)
				}
			}
			if err := f.Stop(f.ctx, "web"); err != nil {
				t.Error(err)
			}
			f.wantNothing("shop", "qa")
		})
	}
	f := newFixture(t, dockertest.Shared(t))
	s := f.spec("web", "stay")
	s.Container.ReadOnly = true
	s.Container.Files = []driver.File{{Target: "/conf", Content: []byte("x")}}
	_, err := f.Start(f.ctx, s)
	wantProblem(t, err, problem.Invalid, "read-only")
	s.Container.ReadOnly, s.Container.Tmpfs = false, memory
	s.Container.Files = []driver.File{{Target: "/run/conf", Content: []byte("x")}}
	_, err = f.Start(f.ctx, s)
	wantProblem(t, err, problem.Invalid, "nothing can be put into /run, which is empty in memory")

	// What is kept for longer than a container gets no secret.
	volume, err := f.EnsureVolume(f.ctx, "shop", "qa", "data")
	if err != nil {
		t.Fatal(err)
	}
	s.Container.Tmpfs = nil
	s.Container.Mounts = append(s.Container.Mounts, driver.Mount{Volume: volume, Target: "/data"})
	for target, over := range map[string]string{"/data/key": "/data", "/data/deep/key": "/data", f.tmp + "/key": f.tmp} {
		s.Container.Files = []driver.File{{Target: target, Content: []byte(password), Secret: true}}
		_, err = f.Start(f.ctx, s)
		wantProblem(t, err, problem.Invalid, "would be written into what is mounted at "+over)
	}
	s.Container.Tmpfs = []driver.Tmpfs{{Target: "/data/memory"}}
	s.Container.Files = []driver.File{{Target: "/data/memory/deep/key", Content: []byte(password), Secret: true}, {Target: "/database", Content: []byte("x")}}
	f.startAndWait(s)
	if err := errors.Join(f.Stop(f.ctx, "web"), f.Remove(f.ctx, "shop", "qa", true)); err != nil {
		t.Error(err)
	}
	f.wantNothing("shop", "qa")
}

// wantNothing wants the Engine to have nothing of an environment.
func (f *fixture) wantNothing(app, environment string) {
	f.Helper()
	by := client.Filters{}.Add("label", "greenroom.app="+app).Add("label", "greenroom.environment="+environment).Add("label", "greenroom.home="+f.Name())
	containers, err1 := f.stranger.ContainerList(f.ctx, client.ContainerListOptions{All: true, Filters: by})
	networks, err2 := f.stranger.NetworkList(f.ctx, client.NetworkListOptions{Filters: by})
	volumes, err3 := f.stranger.VolumeList(f.ctx, client.VolumeListOptions{Filters: by})
	if err := errors.Join(err1, err2, err3); err != nil {
		f.Fatal(err)
	}
	if len(containers.Items)+len(networks.Items)+len(volumes.Items) > 0 {
		f.Errorf("left of %s/%s: %+v %+v %+v", app, environment, containers.Items, networks.Items, volumes.Items)
	}
}

func (f *fixture) network(environment, name string, kind docker.Kind) docker.Network {
	f.Helper()
	n, err := f.EnsureNetwork(f.ctx, "shop", environment, name, kind)
	if err != nil {
		f.Fatal(err)
	}
	if !n.Subnet.IsValid() || !n.Subnet.Contains(n.Gateway) {
		f.Fatalf("network %+v", n)
	}
	return n
}

// TestNetworks has services find one another by name, in their environment and in no other, and reaches them from here by
// the addresses that were chosen for them.
func TestNetworks(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	qa, inner, other := f.network("qa", "default", docker.Addressed), f.network("qa", "inner", docker.Internal), f.network("staging", "default", docker.Addressed)
	if again := f.network("qa", "default", docker.Addressed); again != qa {
		t.Errorf("asked for twice: %+v, then %+v", qa, again)
	}
	if _, err := f.EnsureNetwork(f.ctx, "shop", "qa", "inner", docker.Addressed); err == nil {
		t.Error("an internal network was given for one with a way out")
	}
	address := qa.Gateway.Next().Next().Next()
	s := f.spec("web", "serve:tcp:0.0.0.0:80", "stay")
	s.Listen = driver.Endpoint{Network: "tcp", Address: netip.AddrPortFrom(address, 80).String()}
	s.Health = app.Health{HTTP: "/", Interval: 20 * time.Millisecond, Timeout: 5 * time.Second, Retries: 2, Start: time.Minute}
	s.Container.Networks = []driver.Attach{{Network: qa.ID, Aliases: []string{"web", "shop.local"}, IPv4: address}, {Network: inner.ID, Aliases: []string{"web"}}}
	f.startAndWait(s)

	ask := func(env string, n docker.Network, what string) string {
		a := f.spec("ask."+env, what, "exit:0")
		a.Environment = env
		a.Container.Networks = []driver.Attach{{Network: n.ID}}
		f.start(a)
		f.until("asked", func() bool { return f.status(a.ID).Phase == driver.Exited })
		said := f.logs(a.ID)
		if err := f.Stop(f.ctx, a.ID); err != nil {
			t.Error(err)
		}
		return said
	}
	for name, n := range map[string]docker.Network{"web:80": qa, "shop.local:80": qa} {
		if got := ask("qa", n, "get:http://"+name+"/"); !strings.HasPrefix(got, "200") {
			t.Errorf("%s from beside it: %q", name, got)
		}
	}
	if got := ask("qa", inner, "get:http://web:80/"); !strings.HasPrefix(got, "200") {
		t.Errorf("from the internal network: %q", got)
	}
	if got := ask("staging", other, "get:http://web:80/"); strings.HasPrefix(got, "200") {
		t.Errorf("another environment finds it by name: %q", got)
	}
	elsewhere := s
	elsewhere.ID, elsewhere.Environment = "elsewhere", "staging"
	elsewhere.Listen.Address = netip.AddrPortFrom(other.Gateway.Next().Next().Next(), 80).String()
	c := *s.Container
	c.Networks = []driver.Attach{{Network: other.ID, IPv4: other.Gateway.Next().Next().Next()}}
	elsewhere.Container = &c
	f.startAndWait(elsewhere)
	if got := ask("staging", other, "get:http://"+elsewhere.Listen.Address+"/"); !strings.HasPrefix(got, "200") {
		t.Errorf("beside it: %q", got)
	}
	for name, n := range map[string]docker.Network{"the internal network": inner, "another environment": qa} {
		if got := ask("qa", n, "get:http://"+elsewhere.Listen.Address+"/"); strings.HasPrefix(got, "200") {
			t.Errorf("it is reached from %s: %q", name, got)
		}
	}
	if err := errors.Join(f.Remove(f.ctx, "shop", "qa", false), f.Remove(f.ctx, "shop", "staging", false)); err != nil {
		t.Error(err)
	}
	f.wantNothing("shop", "qa")
	f.wantNothing("shop", "staging")
}

// TestNetworkForNames has services of two releases find those of their own by one name, whatever addresses the Engine gives them, and
// still do when it has died.
func TestNetworkForNames(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Start(t))
	first, second := f.network("qa", "first", docker.Names), f.network("qa", "second", docker.Names)
	ports := map[string]string{"first": "80", "second": "81"}
	for release, n := range map[string]docker.Network{"first": first, "second": second} {
		s := f.spec("web."+release, "serve:tcp:0.0.0.0:"+ports[release], "stay")
		s.Container.Networks = []driver.Attach{{Network: n.ID, Aliases: []string{"web"}}}
		s.Restart = true
		f.startAndWait(s)
	}
	find := func() {
		t.Helper()
		for release, n := range map[string]docker.Network{"first": first, "second": second} {
			web, err := f.stranger.ContainerInspect(f.ctx, f.nameOf("web."+release), client.ContainerInspectOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var at netip.Addr
			for _, e := range web.Container.NetworkSettings.Networks {
				at = e.IPAddress
			}
			if !n.Subnet.Contains(at) {
				t.Errorf("%s is at %s, and its network is %+v", release, at, n)
			}
			a := f.spec("ask", "get:http://web:80/", "get:http://web:81/", "exit:0")
			a.Container.Networks = []driver.Attach{{Network: n.ID}}
			f.start(a)
			f.until("asked", func() bool { return f.status(a.ID).Phase == driver.Exited })
			got := strings.SplitN(f.logs(a.ID), "\n", 2)
			if strings.HasPrefix(got[0], "200") != (release == "first") || len(got) != 2 || strings.HasPrefix(got[1], "200") != (release == "second") {
				t.Errorf("web beside %s: %q", release, got)
			}
			if err := f.Stop(f.ctx, a.ID); err != nil {
				t.Error(err)
			}
		}
	}
	find()
	f.engine.Kill(t)
	f.engine.Return(t)
	if again := []docker.Network{f.network("qa", "first", docker.Names), f.network("qa", "second", docker.Names)}; again[0] != first || again[1] != second {
		t.Errorf("after the Engine's death they are %+v, and were %+v and %+v", again, first, second)
	}
	f.until("they run again", func() bool {
		return f.status("web.first").Phase == driver.Healthy && f.status("web.second").Phase == driver.Healthy
	})
	find()
	if err := f.Remove(f.ctx, "shop", "qa", false); err != nil {
		t.Error(err)
	}
	f.wantNothing("shop", "qa")
}

// TestNetworkTaken has a stranger hold the name of a network, and then all addresses.
func TestNetworkTaken(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Start(t))
	n := f.network("qa", "default", docker.Addressed)
	if err := f.Remove(f.ctx, "shop", "qa", true); err != nil {
		t.Fatal(err)
	}
	made, err := f.stranger.NetworkCreate(f.ctx, n.Name, client.NetworkCreateOptions{Driver: "bridge"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.EnsureNetwork(f.ctx, "shop", "qa", "default", docker.Addressed)
	wantProblem(t, err, problem.Blocked, n.Name, made.ID[:12])
	if err := f.Remove(f.ctx, "shop", "qa", true); err != nil {
		t.Error(err)
	}
	if _, err := f.stranger.NetworkInspect(f.ctx, made.ID, client.NetworkInspectOptions{}); err != nil {
		t.Errorf("the stranger's network: %v", err)
	}

	var pool []network.IPAMConfig
	for i := range 2 { // halves of all that the Engine has to give
		subnet := netip.PrefixFrom(netip.MustParseAddr(fmt.Sprintf("%s.%d.0", f.engine.Range(), 8*i)), 21)
		pool = append(pool, network.IPAMConfig{Subnet: subnet})
	}
	if _, err := f.stranger.NetworkRemove(f.ctx, made.ID, client.NetworkRemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	for i, c := range pool {
		if _, err := f.stranger.NetworkCreate(f.ctx, fmt.Sprint("all", i), client.NetworkCreateOptions{Driver: "bridge", IPAM: &network.IPAM{Config: []network.IPAMConfig{c}}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range []docker.Kind{docker.Addressed, docker.Names, docker.Internal} {
		_, err = f.EnsureNetwork(f.ctx, "shop", "qa", "default", kind)
		wantProblem(t, err, problem.Unavailable, "no range of addresses left")
	}
}

// TestRemove takes away an environment and leaves what stands beside it: another of the app, the same one of another
// Greenroom, and a stranger's.
func TestRemove(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	neighbour := openOn(t, f.engine, "neighbour")
	t.Cleanup(func() {
		if err := neighbour.Remove(t.Context(), "shop", "qa", true); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	make1 := func(d *docker.Driver, env string) driver.Spec {
		n, err := d.EnsureNetwork(f.ctx, "shop", env, "default", docker.Addressed)
		if err != nil {
			t.Fatal(err)
		}
		v, err := d.EnsureVolume(f.ctx, "shop", env, "data")
		if err != nil {
			t.Fatal(err)
		}
		s := f.spec("web", "env:/data/kept", "stay")
		s.ID, s.Environment = env+".web", env
		s.Container.Networks = []driver.Attach{{Network: n.ID}}
		s.Container.Mounts = append(s.Container.Mounts, driver.Mount{Volume: v, Target: "/data"})
		if _, err := d.Start(f.ctx, s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := make1(f.Driver, "qa")
	make1(f.Driver, "staging")
	make1(neighbour, "qa")
	stranger, err := f.stranger.VolumeCreate(f.ctx, client.VolumeCreateOptions{Name: "stranger"})
	if err != nil {
		t.Fatal(err)
	}

	// Without volumes the data stays, and is there again.
	if err := f.Remove(f.ctx, "shop", "qa", false); err != nil {
		t.Fatal(err)
	}
	s = make1(f.Driver, "qa")
	if err := f.Stop(f.ctx, s.ID); err != nil {
		t.Fatal(err)
	}
	s.Command = []string{"/app", "drivertest-app", "has:/data/kept", "print:kept", "stay"}
	f.start(s)
	f.until("its data", func() bool { return f.logs(s.ID) == "kept\n" })

	if err := f.Remove(f.ctx, "shop", "qa", true); err != nil {
		t.Fatal(err)
	}
	f.wantNothing("shop", "qa")
	if st := f.status("staging.web"); st.Phase != driver.Healthy {
		t.Errorf("another environment: %+v", st)
	}
	if st, err := neighbour.Status(f.ctx, "qa.web"); err != nil || st.Phase != driver.Healthy {
		t.Errorf("the same environment of another Greenroom: %+v, %v", st, err)
	}
	if _, err := f.stranger.VolumeInspect(f.ctx, stranger.Volume.Name, client.VolumeInspectOptions{}); err != nil {
		t.Errorf("a stranger's volume: %v", err)
	}
	// A volume of that name which is not ours is none of ours.
	name, err := f.EnsureVolume(f.ctx, "shop", "qa", "data")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Remove(f.ctx, "shop", "qa", true); err != nil {
		t.Fatal(err)
	}
	if _, err := f.stranger.VolumeCreate(f.ctx, client.VolumeCreateOptions{Name: name}); err != nil {
		t.Fatal(err)
	}
	_, err = f.EnsureVolume(f.ctx, "shop", "qa", "data")
	wantProblem(t, err, problem.Blocked, name)
	if err := errors.Join(neighbour.Remove(f.ctx, "shop", "qa", true), f.Remove(f.ctx, "shop", "staging", true)); err != nil {
		t.Error(err)
	}
}

// TestCareful has a replica that dies before it was healthy stay down, and one that was healthy come back.
func TestCareful(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	s := f.spec("early", "exit:3")
	s.Restart, s.Careful = true, true
	s.Health = app.Health{Command: []string{"/app", "drivertest-app", "has:" + f.file("well")}, Interval: 500 * time.Millisecond, Timeout: 5 * time.Second, Retries: 3, Start: time.Minute}
	f.start(s)
	_, err := f.Wait(f.ctx, s.ID)
	wantProblem(t, err, problem.Fail, "exit code 3", "is not started again")
	if st := f.status(s.ID); st.Phase != driver.Exited || st.Restarts != 0 {
		t.Errorf("status %+v", st)
	}
	s.ID, s.Command = "late", []string{"/app", "drivertest-app", "env:" + f.file("well"), "until:" + f.file("die"), "exit:3"}
	f.startAndWait(s)
	f.touch("die")
	f.until("started again", func() bool { return f.status(s.ID).Restarts > 1 })
}

// TestSpec tells whether what runs is what is asked for.
func TestSpec(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	s := f.spec("web", "stay")
	st := f.startAndWait(s)
	want, err := driver.SpecDigest(s)
	if err != nil || st.Spec != want {
		t.Errorf("it runs %s, want %s, %v", st.Spec, want, err)
	}
	s.Container.Resources.Pids = 100
	other := f.start(s)
	if other.PID != st.PID || other.Spec != want {
		t.Errorf("a start with another spec gave %+v, want what runs: %+v", other, st)
	}
}

// TestHalfCreated leaves what a driver leaves that was killed between creating a container and starting it.
func TestHalfCreated(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	s := f.spec("web", "show:/etc/shop.conf", "stay")
	s.Container.Files = []driver.File{{Target: "/etc/shop.conf", Content: []byte("old\n")}}
	for name, change := range map[string]func(){
		"the same":      func() {},
		"another file":  func() { s.Container.Files[0].Content = []byte("new\n") },
		"another value": func() { s.Env, s.Secrets = map[string]string{"PASSWORD": password}, []string{password} },
	} {
		if err := docker.Create(f.ctx, f.Driver, s); err != nil {
			t.Fatal(err)
		}
		if st := f.status("web"); st.Phase != driver.Exited || !strings.Contains(st.Reason, "never started") {
			t.Errorf("%s: status %+v", name, st)
		}
		change()
		f.startAndWait(s)
		f.until(name, func() bool { return f.logs("web") == string(s.Container.Files[0].Content) })
		if err := f.Stop(f.ctx, "web"); err != nil {
			t.Error(err)
		}
	}
}

// TestImages builds, saves, loads, keeps and prunes.
func TestImages(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	dir := t.TempDir()
	for name, content := range map[string]string{
		"Dockerfile":     "FROM scratch AS one\nARG COLOR=red\nLABEL color=$COLOR\nCOPY . /\nFROM one AS two\nLABEL stage=two\n",
		"greeting":       "hello\n",
		"hidden":         "not in the image\n",
		"bad/Dockerfile": "FROM scratch\nRUN true\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var said []string
	b := docker.Build{Context: dir, Target: "one", Args: map[string]string{"COLOR": "green"}, Hide: func(name string) bool { return name == "hidden" || strings.HasPrefix(name, "bad") }}
	i, err := f.Build(f.ctx, b, func(line string) { said = append(said, line) })
	if err != nil {
		t.Fatal(err)
	}
	in, err := f.stranger.ImageInspect(f.ctx, i.ID)
	if err != nil || in.Config.Labels["color"] != "green" || in.Config.Labels["stage"] != "" || !slices.ContainsFunc(said, func(l string) bool { return strings.Contains(l, "COPY") }) {
		t.Errorf("built %+v, %v; said %q", in.Config, err, said)
	}
	var saved bytes.Buffer
	if err := f.Save(f.ctx, i.ID, &saved); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(saved.Bytes(), []byte("not in the image")) || !bytes.Contains(saved.Bytes(), []byte("hello")) {
		t.Error("the image does not have what it should have")
	}
	_, err = f.Build(f.ctx, docker.Build{Context: dir, Dockerfile: "bad/Dockerfile"}, func(string) {})
	wantProblemNoHint(t, err, problem.Fail, "bad/Dockerfile", "RUN true")

	if err := f.Keep(f.ctx, i.ID); err != nil {
		t.Fatal(err)
	}
	if pruned, err := f.Prune(f.ctx, []string{i.ID}); err != nil || len(pruned) != 0 {
		t.Errorf("pruned %v, %v; it is needed", pruned, err)
	}
	if pruned, err := f.Prune(f.ctx, nil); err != nil || !slices.Equal(pruned, []string{i.ID}) {
		t.Errorf("pruned %v, %v", pruned, err)
	}
	if ok, err := f.Has(f.ctx, i.ID); ok || err != nil {
		t.Errorf("after the pruning it is there: %v, %v", ok, err)
	}
	if ok, err := f.Has(f.ctx, f.image); !ok || err != nil {
		t.Errorf("an image that was not kept is gone: %v, %v", ok, err)
	}
	again, err := f.Load(f.ctx, &saved)
	if err != nil || len(again) != 1 || again[0].ID != i.ID {
		t.Errorf("loaded again: %+v, %v", again, err)
	}
	if _, err := f.Load(f.ctx, strings.NewReader("nonsense")); err == nil {
		t.Error("nonsense was loaded")
	}
	_, err = f.Resolve(f.ctx, "nobody/nothing:1")
	wantProblem(t, err, problem.NotFound, "nobody/nothing:1")
	_, err = f.Start(f.ctx, func() driver.Spec { s := f.spec("web", "stay"); s.Container.Image = "nobody/nothing:1"; return s }())
	wantProblemNoHint(t, err, problem.Invalid, "not pinned")
}

// TestImagesOfOthers: an image without a tag is somebody's who built it, and stays without one and there; what Greenroom builds or
// brings is known to be Greenroom's from when it is there, whatever is killed then.
func TestImagesOfOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Start(t))
	load := func(comment string, tags ...string) string {
		t.Helper()
		i := dockertest.Image{Files: map[string][]byte{"hello": []byte(comment)}, Comment: comment, Tags: tags}
		if _, err := f.Load(f.ctx, bytes.NewReader(i.Archive(t))); err != nil {
			t.Fatal(err)
		}
		return i.ID(t)
	}
	tags := func(id string) []string {
		t.Helper()
		i, err := f.Resolve(f.ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		return i.Tags
	}
	theirs, named := load("theirs"), load("named", "named:1")
	if err := errors.Join(f.Keep(f.ctx, theirs), f.Keep(f.ctx, named)); err != nil {
		t.Fatal(err)
	}
	if got := tags(theirs); len(got) != 0 {
		t.Errorf("an image without a tag got %q", got)
	}

	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY . /\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	built, err := f.Build(f.ctx, docker.Build{Context: dir}, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	brought := dockertest.Image{Files: map[string][]byte{"hello": []byte("brought")}}
	id := brought.ID(t)
	tag, err := f.KeepTag(id)
	if err != nil {
		t.Fatal(err)
	}
	brought.Tags = []string{tag}
	if err := f.Bring(f.ctx, bytes.NewReader(brought.Archive(t)), id); err != nil {
		t.Fatal(err)
	}
	wantProblemNoHint(t, f.Bring(f.ctx, bytes.NewReader(brought.Archive(t)), theirs), problem.Invalid, "is not "+theirs)
	want := []string{named, built.ID, id}
	slices.Sort(want)
	kept, err := f.Kept(f.ctx)
	slices.Sort(kept)
	if err != nil || !slices.Equal(kept, want) {
		t.Errorf("kept are %q, %v; want %q", kept, err, want)
	}
	if err := f.Keep(f.ctx, built.ID); err != nil {
		t.Error(err)
	}
	if got, one := tags(built.ID), "greenroom-"; len(got) != 1 || !strings.HasPrefix(got[0], one) || !strings.HasSuffix(got[0], strings.TrimPrefix(built.ID, "sha256:")) {
		t.Errorf("what was built and kept is called %q", got)
	}
	again, err := f.Build(f.ctx, docker.Build{Context: dir}, func(string) {}) // as one that was killed before it kept it
	if err != nil || again.ID != built.ID {
		t.Errorf("built again: %v, %v", again, err)
	}
	pruned, err := f.Prune(f.ctx, nil)
	slices.Sort(pruned)
	if err != nil || !slices.Equal(pruned, want) {
		t.Errorf("pruned %q, %v", pruned, err)
	}
	for id, want := range map[string]bool{theirs: true, named: true, built.ID: false, id: false} {
		if has, err := f.Has(f.ctx, id); err != nil || has != want {
			t.Errorf("%s is there: %v, %v; want %v", id, has, err, want)
		}
	}
	if got := tags(named); !slices.Equal(got, []string{"named:1"}) {
		t.Errorf("what has a name of theirs is called %q", got)
	}
}

func wantProblemNoHint(t testing.TB, err error, code problem.Code, words ...string) {
	t.Helper()
	var p *problem.Error
	if errors.As(err, &p) && p.Hint == "" {
		err = p.WithHint("none")
	}
	wantProblem(t, err, code, words...)
}

// TestSettings reads back from inside what was asked for.
func TestSettings(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	s := f.spec("web", "show:/proc/sys/net/ipv4/ip_unprivileged_port_start", "show:/etc/hostname", "show:/etc/hosts", "show:/proc/self/limits", "show:/proc/self/status", "show:/proc/self/mountinfo", "stay")
	s.User = "1234:5678"
	c := s.Container
	c.Sysctls, c.Hostname, c.ExtraHosts = map[string]string{"net.ipv4.ip_unprivileged_port_start": "81"}, "shopkeeper", []string{"bank:10.9.8.7"}
	c.Ulimits = []driver.Ulimit{{Name: "nofile", Soft: 333, Hard: 444}}
	c.Resources.Shared = 96 << 20
	c.CapDrop, c.ReadOnly = []string{"ALL"}, true
	c.Tmpfs = []driver.Tmpfs{{Target: "/scratch", Size: 1 << 20, Mode: 0o700}}
	f.startAndWait(s)
	f.until("all of it", func() bool { return strings.Contains(f.logs("web"), "/scratch") })
	got := f.logs("web")
	for _, want := range []string{"81\n", "shopkeeper\n", "10.9.8.7\tbank", "444                  files", "Uid:\t1234", "Gid:\t5678", "CapBnd:\t0000000000000000", "/scratch rw", "size=98304k"} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not see %q in:\n%s", want, got)
		}
	}
	raw, err := f.stranger.ContainerInspect(f.ctx, f.nameOf("web"), client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var in struct {
		HostConfig struct {
			ReadonlyRootfs bool
			LogConfig      struct{ Config map[string]string }
		}
	}
	if err := json.Unmarshal(raw.Raw, &in); err != nil || !in.HostConfig.ReadonlyRootfs || in.HostConfig.LogConfig.Config["max-file"] != "3" {
		t.Errorf("the Engine has %+v, %v", in, err)
	}
}
