package drivertest

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/driver"
)

func startHealthStop(b *bench) {
	s := b.web()
	s.Listen = b.port()
	s.Command[2] = "serve:tcp:" + s.Listen.Address
	st := b.start(s)
	if st.ID != s.ID || st.App != "shop" || st.Environment != "qa" || st.Service != "web" || st.Release != "sha256:1" || st.Listen != s.Listen {
		b.Errorf("start gave %+v, which is not the spec's", st)
	}
	st = b.wait(s.ID)
	if st.PID == 0 || st.Since.IsZero() || st.Reason != "" {
		b.Errorf("a healthy replica has status %+v", st)
	}
	id := b.identify(st.PID)
	if got := b.status(s.ID); got.PID != st.PID || got.Phase != driver.Healthy {
		b.Errorf("status %+v, want what wait gave: %+v", got, st)
	}
	b.stop(s.ID)
	b.wantGone(id)
	if _, err := b.Status(b.ctx, s.ID); !errors.Is(err, driver.ErrNotFound) {
		b.Errorf("status after stop: %v, want that there is none", err)
	}
	if all, err := b.List(b.ctx, driver.Filter{}); err != nil || len(all) != 0 {
		b.Errorf("list after stop: %+v, %v", all, err)
	}
	b.stop(s.ID)
	b.startAndWait(s) // an id that was stopped is free again
}

func startTwice(b *bench) {
	s := b.web("count:" + b.file("starts"))
	first := b.startAndWait(s)
	second := b.start(s)
	if second.PID != first.PID || b.size("starts") != 1 {
		b.Errorf("the second start gave pid %d after %d, %d starts", second.PID, first.PID, b.size("starts"))
	}
}

func environment(b *bench) {
	s := b.web("env:" + b.file("env"))
	s.Env = map[string]string{"PATH": "/bin", "EMPTY": "", "LINES": "a\nb", "EQUALS": "a=b", "PORT": "1"}
	b.startAndWait(s)
	raw, err := os.ReadFile(b.file("env"))
	if err != nil {
		b.Fatal(err)
	}
	var got []string
	marked := false
	for _, e := range strings.Split(string(raw), "\x00") {
		if strings.HasPrefix(e, "GREENROOM_REPLICA=") {
			marked = true
			continue
		}
		if name, _, _ := strings.Cut(e, "="); slices.Contains(b.world.Adds, name) {
			continue
		}
		got = append(got, e)
	}
	slices.Sort(got)
	want := []string{"EMPTY=", "EQUALS=a=b", "LINES=a\nb", "PATH=/bin", "PORT=1"}
	if !slices.Equal(got, want) || !marked {
		b.Errorf("the environment is %q (marked: %v), want %q and GREENROOM_REPLICA", got, marked, want)
	}
}

func stopKillsAll(b *bench) {
	pids := b.folder("pids")
	st := b.startAndWait(b.web("fork:"+pids, "daemon:"+pids, "live:"+pids))
	all := b.forked(pids, 3)
	b.stop(st.ID)
	b.wantGone(all...)
}

func stopSignal(b *bench) {
	s := b.web("bye")
	s.Stop = app.Stop{Signal: "SIGINT", Grace: time.Minute}
	b.startAndWait(s)
	logs := b.follow(s.ID)
	b.stop(s.ID)
	logs.want("bye, interrupt")
}

func ignoresTerm(b *bench) {
	pids := b.folder("pids")
	s := b.web("on-term:"+b.file("asked"), "fork:"+pids, "live:"+pids)
	// On a busy machine it is killed before it came to notice that it is asked: then it gets more time.
	for s.Stop.Grace = 200 * time.Millisecond; !exists(b.file("asked")); s.Stop.Grace *= 4 {
		if s.Stop.Grace > 30*time.Second {
			b.Fatal("it was killed without having been asked")
		}
		b.startAndWait(s)
		all := b.forked(pids, 2)
		b.stop(s.ID)
		b.wantGone(all...)
	}
}

func stopOfMissing(b *bench) {
	for _, id := range []string{"nobody", "", "../../etc", "A"} {
		b.stop(id)
	}
}

func missing(b *bench) {
	for _, id := range []string{"nobody", "", "../x", "a/b"} {
		_, statusErr := b.Status(b.ctx, id)
		_, waitErr := b.Wait(b.ctx, id)
		logsErr := b.Logs(b.ctx, id, driver.LogOptions{}, io.Discard)
		for _, err := range []error{statusErr, waitErr, logsErr} {
			if !errors.Is(err, driver.ErrNotFound) {
				b.Errorf("%q: %v, want that there is none", id, err)
			}
		}
	}
}

func badSpecs(b *bench) {
	for name, spoil := range map[string]func(*driver.Spec){
		"no id":             func(s *driver.Spec) { s.ID = "" },
		"id climbs":         func(s *driver.Spec) { s.ID = "../x" },
		"id is hidden":      func(s *driver.Spec) { s.ID = ".x" },
		"id has upper case": func(s *driver.Spec) { s.ID = "Web" },
		"id is too long":    func(s *driver.Spec) { s.ID = strings.Repeat("x", 300) },
		"no command":        func(s *driver.Spec) { s.Command = nil },
		"relative folder":   func(s *driver.Spec) { s.Dir = "here" },
		"unknown network":   func(s *driver.Spec) { s.Listen.Network = "udp" },
		"unknown signal":    func(s *driver.Spec) { s.Stop.Signal = "SIGNONSENSE" },
		"health of nothing": func(s *driver.Spec) { s.Listen = driver.Endpoint{} },
		"variable's name":   func(s *driver.Spec) { s.Env = map[string]string{"A=B": ""} },
		"variable's value":  func(s *driver.Spec) { s.Env = map[string]string{"A": "secret\x00"} },
	} {
		if name == "no command" && (b.world.Containers || b.world.Bare) { // its image has one, or there is nothing to be done
			continue
		}
		s := b.web()
		spoil(&s)
		_, err := b.Start(b.ctx, s)
		if err == nil {
			b.Errorf("%s: it was started", name)
			continue
		}
		b.wantProblem(err)
		if strings.Contains(err.Error(), "secret") {
			b.Errorf("%s: the error tells a value: %v", name, err)
		}
	}
}

func cannotStart(b *bench) {
	text := b.touch("text")
	script := b.file("script")
	if err := os.WriteFile(script, []byte("#!/no/such/interpreter\n"), 0o700); err != nil {
		b.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil func(*driver.Spec)
		says  string
	}{
		"not in PATH":     {func(s *driver.Spec) { s.Command = []string{"no-such-program"} }, "no program no-such-program in its PATH (/usr/bin:/bin)"},
		"no such file":    {func(s *driver.Spec) { s.Command = []string{"bin/shop"} }, "no program " + b.file("bin/shop")},
		"not executable":  {func(s *driver.Spec) { s.Command = []string{text} }, text + " may not be executed"},
		"no such folder":  {func(s *driver.Spec) { s.Dir = b.file("away") }, "its folder " + b.file("away") + " does not exist"},
		"its interpreter": {func(s *driver.Spec) { s.Command = []string{script} }, "the interpreter or loader that " + script + " asks for"},
		"no such user":    {func(s *driver.Spec) { s.User = "no-such-user" }, "no-such-user"},
	} {
		if name == "no such folder" && b.world.Containers { // it is made
			continue
		}
		s := b.web()
		c.spoil(&s)
		_, err := b.Start(b.ctx, s)
		if err == nil && name == "its interpreter" && b.world.Containers { // found out when the container runs already
			b.waitFails(s.ID, c.says)
			b.stop(s.ID)
			continue
		}
		if err == nil {
			b.Errorf("%s: it was started", name)
			continue
		}
		b.wantProblem(err, c.says)
		if _, err := b.Status(b.ctx, s.ID); !errors.Is(err, driver.ErrNotFound) {
			b.Errorf("%s: status %v, want that there is none", name, err)
		}
	}
}

func filter(b *bench) {
	for i, env := range []string{"qa", "qa", "staging"} {
		s := b.spec("stay")
		s.ID, s.Environment, s.Service, s.Index = fmt.Sprintf("r%d", 3-i), env, "worker", i
		b.startAndWait(s)
	}
	for _, c := range []struct {
		f    driver.Filter
		want string
	}{
		{driver.Filter{}, "[r1 r2 r3]"},
		{driver.Filter{Environment: "qa"}, "[r2 r3]"},
		{driver.Filter{App: "shop", Service: "worker", Release: "sha256:1", Environment: "staging"}, "[r1]"},
		{driver.Filter{App: "other"}, "[]"},
	} {
		all, err := b.List(b.ctx, c.f)
		ids := []string{}
		for _, st := range all {
			ids = append(ids, st.ID)
		}
		if err != nil || fmt.Sprint(ids) != c.want {
			b.Errorf("%+v: %v, %v; want %s", c.f, ids, err, c.want)
		}
	}
}

func recovered(b *bench) {
	st := b.startAndWait(b.web("print:hello"))
	id := b.identify(st.PID)
	b.Driver = b.open()
	if all, err := b.List(b.ctx, driver.Filter{}); err != nil || len(all) != 1 || all[0].PID != st.PID || all[0].Phase != driver.Healthy {
		b.Errorf("a new driver lists %+v, %v; want pid %d", all, err, st.PID)
	}
	if again := b.start(b.web()); again.PID != st.PID {
		b.Errorf("a new driver started it anew")
	}
	b.wait(st.ID)
	if got := b.logs(st.ID, 0); got != "hello\n" {
		b.Errorf("a new driver reads the logs as %q", got)
	}
	b.stop(st.ID)
	b.wantGone(id)
}

func twoDriversOneReplica(b *bench) {
	pids := b.folder("pids")
	s := b.web("live:"+pids, "count:"+b.file("starts"))
	var wg sync.WaitGroup
	for range 6 {
		d := b.open()
		wg.Go(func() {
			if _, err := d.Start(b.ctx, b.fit(s)); err != nil {
				b.Errorf("start: %v", err)
			}
			if _, err := d.Wait(b.ctx, s.ID); err != nil {
				b.Errorf("wait: %v", err)
			}
		})
	}
	wg.Wait()
	if n := len(b.living(pids)); n != 1 || b.size("starts") != 1 {
		b.Errorf("%d replicas run after %d starts, want one", n, b.size("starts"))
	}
}

func concurrentStartStop(b *bench) {
	pids := b.folder("pids")
	s := b.web("live:" + pids)
	s.Stop.Grace = 100 * time.Millisecond
	var wg sync.WaitGroup
	for range 4 {
		d := b.open()
		wg.Go(func() {
			for range 4 {
				if rand.N(2) == 0 {
					if err := d.Stop(b.ctx, s.ID); err != nil {
						b.Errorf("stop: %v", err)
					}
				} else if _, err := d.Start(b.ctx, b.fit(s)); err != nil {
					b.Errorf("start: %v", err)
				}
				if _, err := d.List(b.ctx, driver.Filter{}); err != nil {
					b.Errorf("list: %v", err)
				}
			}
		})
	}
	wg.Wait()
	b.startAndWait(s)
	if n := len(b.living(pids)); n != 1 {
		b.Errorf("%d replicas run, want one", n)
	}
	all := b.living(pids)
	b.stop(s.ID)
	b.wantGone(all...)
}
